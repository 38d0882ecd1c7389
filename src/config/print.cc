#include "config/print.h"

#include <vector>

#include "config/text.h"
#include "config/version.h"

namespace ringcached::config {
namespace {

constexpr std::size_t kHelpColumn = 30;
constexpr std::size_t kLineColumns = 100;

// `text` in lines of at most `width` characters, broken at spaces.
std::vector<std::string> wrapped(std::string_view text, std::size_t width) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    std::size_t length = text.size();
    if (length > width) {
      length = text.rfind(' ', width);
      if (length == std::string_view::npos || length == 0) length = width;
    }
    lines.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
    while (text.starts_with(' ')) text.remove_prefix(1);
  }
  return lines;
}

std::string_view value_name(const Option& option) {
  switch (option.type) {
    case Type::kSize:
      return "<size>";
    case Type::kDuration:
      return "<time>";
    case Type::kEnum:
      return "<name>";
    case Type::kText:
      return option.length_max == 1 ? "<char>" : "<text>";
    case Type::kList:
      return "<addr>";
    case Type::kMode:
      return "<mask>";
    default:
      return "<num>";
  }
}

std::string default_of(const Option& option) {
  std::string text = plain_text(option, option.field.get(Config{}));
  return text.empty() ? "none" : text;
}

// "-p, --port=<num>", or "-o idle_timeout=<time>"; empty when only the file knows the setting.
std::string usage(const Option& option) {
  const bool valued = option.type != Type::kFlag && !option.counted;
  const std::string value(valued ? value_name(option) : "");
  if (option.short_flag == 0 && option.long_flag.empty()) {
    if (option.suboption.empty()) return {};
    return "-o " + std::string(option.type == Type::kFlag ? "[no_]" : "") + std::string(option.suboption) +
           (valued ? "=" + value : "");
  }
  std::string text = option.short_flag != 0 ? std::string{'-', option.short_flag} : "   ";
  if (option.long_flag.empty()) return text + " " + value;
  text += option.short_flag != 0 ? ", --" : " --";
  if (option.short_flag == 0 && option.type == Type::kFlag) text += "[no-]";
  return text + std::string(option.long_flag) + (valued ? "=" + value : "");
}

// What the setting takes beyond its type, in parentheses.
std::string details(const Option& option) {
  std::string text = " (";
  if (!option.zero.empty()) text += "0: " + std::string(option.zero) + "; ";
  if (!option.minus_one.empty()) text += "-1: " + std::string(option.minus_one) + "; ";
  if (option.type == Type::kEnum) {
    for (std::size_t i = 0; i < option.names.size(); ++i)
      text += (i > 0 ? ", " : "") + std::string(option.names[i]);
    text += "; ";
  }
  return text + "default: " + default_of(option) + ")";
}

std::string help_entry(const std::string& left, const std::string& right) {
  std::string text = "  " + left;
  if (text.size() + 1 > kHelpColumn) {
    text += "\n" + std::string(kHelpColumn, ' ');
  } else {
    text.resize(kHelpColumn, ' ');
  }
  bool first = true;
  for (const std::string& line : wrapped(right, kLineColumns - kHelpColumn)) {
    if (!first) text += std::string(kHelpColumn, ' ');
    text += line + "\n";
    first = false;
  }
  return text;
}

// The help of a flag that turns its setting off says so.
std::string help_line(const Option& option) {
  if (option.type != Type::kFlag || option.short_flag == 0) return std::string(option.help) + details(option);
  if (option.flag_value) return std::string(option.help);
  return "do not " + std::string(option.help);
}

std::string ignored_help() {
  std::string flags;
  std::string names;
  const auto add = [](std::string& list, std::string_view name) {
    list += (list.empty() ? "" : ", ") + std::string(name);
  };
  for (const Option& option : options()) {
    if (option.inert.empty()) continue;
    if (option.short_flag != 0) add(flags, flag_name(option));
    if (!option.suboption.empty()) add(names, option.suboption);
  }
  for (const Suboption& suboption : ignored_suboptions()) {
    if (suboption.kind == Suboption::Kind::kAcknowledged) add(names, suboption.name);
  }
  return help_entry(flags, "each with a value") + help_entry("-o", names);
}

std::string section_of(const Option& option) {
  return std::string(option.key.substr(0, option.key.find('.')));
}

// A setting of the example file, without the empty line behind it.
std::string example_entry(const Option& option) {
  std::string about = option.help.empty() ? std::string() : std::string(option.help) + ". ";
  if (about.empty() || !option.inert.empty()) about += "Has no effect: " + std::string(option.inert) + ". ";
  about += "Takes " + expected(option, Source::kFile) + ".";
  if (const std::string flag = usage(option); !flag.empty()) {
    about += " Command line: " + flag.substr(flag.find_first_not_of(' ')) + ".";
  }
  if (option.reloadable) about += " Can be changed by SIGHUP.";
  if (about.front() >= 'a' && about.front() <= 'z')
    about.front() = static_cast<char>(about.front() - 'a' + 'A');
  std::string text;
  for (const std::string& line : wrapped(about, kLineColumns - 2)) text += "# " + line + "\n";
  return text + "#" + std::string(option.key.substr(option.key.find('.') + 1)) + " = " +
         toml_text(option, option.field.get(Config{})) + "\n";
}

}  // namespace

std::string version_text() {
  return "ringcached " + std::string(version()) + " (memcached " + std::string(kMemcachedVersion) +
         " compatible)\n";
}

std::string help_text() {
  std::string text = version_text();
  for (const Section& section : sections()) {
    text += "\n" + std::string(section.title) + "\n";
    if (section.name == "compat") {
      text += ignored_help();
      continue;
    }
    for (const Option& option : options()) {
      const std::string left = usage(option);
      if (section_of(option) == section.name && !left.empty()) text += help_entry(left, help_line(option));
    }
  }
  text += "\nProgram\n";
  text += help_entry("-o, --extended=<list>",
                     "comma separated list of the -o options shown here; may be repeated");
  text +=
      help_entry("    --config=<file>",
                 "read settings from a TOML file; the command line wins. Every setting has its place there, "
                 "and flags that turn something on or off have an opposite (--no-daemon, --enable-cas)");
  text += help_entry("    --check-config",
                     "check command line, file and the files they name, and exit: 0 if correct, 1 if not");
  text += help_entry("    --print-config", "print the settings in effect as a configuration file, and exit");
  text += help_entry("    --print-default-config",
                     "print a commented example of the configuration file, and exit");
  text += help_entry("    --features", "print what the kernel offers and what is used, and exit");
  text += help_entry("-h, --help", "print this help and exit");
  text += help_entry("-i, --license", "print the license and exit");
  text += help_entry("-V, --version", "print the version and exit");
  return text;
}

std::string config_text(const Config& config) {
  std::string text;
  for (const Section& section : sections()) {
    if (!text.empty()) text += "\n";
    text += "[" + std::string(section.name) + "]\n";
    for (const Option& option : options()) {
      if (section_of(option) != section.name) continue;
      text += std::string(option.key.substr(section.name.size() + 1)) + " = " +
              toml_text(option, option.field.get(config)) + "\n";
    }
  }
  return text;
}

std::string default_config_text() {
  std::string text =
      "# ringcached.conf: the settings of ringcached, each with its default.\n"
      "# Remove the '#' in front of a setting to change it. The command line wins over this file.\n"
      "# ringcached --config FILE --check-config says whether a file is correct.\n"
      "# Generated by ringcached --print-default-config.\n";
  for (const Section& section : sections()) {
    text += "\n# " + std::string(section.title) + "\n[" + std::string(section.name) + "]\n";
    for (const Option& option : options()) {
      if (section_of(option) == section.name) text += "\n" + example_entry(option);
    }
  }
  return text;
}

}  // namespace ringcached::config
