// The only file that includes toml++. Header only and without exceptions, whatever the system's library was
// built with: errors are values here.
#undef TOML_HEADER_ONLY
#undef TOML_SHARED_LIB
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
// The parser asserts things that a file can make untrue (a date, a blank, one digit and the end of the line),
// where going on is harmless and ends in an error. With NDEBUG it would even tell the compiler to rely on
// them.
#undef NDEBUG
#define TOML_ASSERT(condition) static_cast<void>(0)

#include "config/config_file.h"

#include <fcntl.h>
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <variant>
#include <vector>

#include "base/log.h"
#include "config/listen.h"
#include "config/suggest.h"
#include "config/text.h"

namespace ringcached::config {
namespace {

struct Problem {
  toml::source_position position;
  std::string text;
};

constexpr std::string_view kSeeAll = "; ringcached --print-default-config shows all";

std::string type_name(toml::node_type type) {
  switch (type) {
    case toml::node_type::table:
      return "a table";
    case toml::node_type::array:
      return "a list";
    case toml::node_type::string:
      return "a string";
    case toml::node_type::integer:
      return "a whole number";
    case toml::node_type::floating_point:
      return "a number with a fraction";
    case toml::node_type::boolean:
      return "true or false";
    default:
      return "a date or time";
  }
}

class Reader {
 public:
  Reader(const std::string& name, Draft& draft) : name_(name), draft_(draft) {}

  void read(const toml::table& root) {
    for (const auto& [key, node] : root) {
      if (const toml::table* section = node.as_table(); section != nullptr && is_section(key.str())) {
        for (const auto& [name, value] : *section) read_setting(key.str(), name, value);
      } else {
        unknown_section(key, node);
      }
    }
  }

  // The first problem of the file; toml++ keeps tables sorted by name, not by place.
  std::optional<Failure> first_problem() const {
    const auto first = std::ranges::min_element(problems_, {}, [](const Problem& problem) {
      return std::pair(problem.position.line, problem.position.column);
    });
    if (first == problems_.end()) return std::nullopt;
    return Failure{place(first->position) + ": " + first->text, 1};
  }

 private:
  static bool is_section(std::string_view name) {
    return std::ranges::find(sections(), name, &Section::name) != sections().end();
  }

  std::string place(const toml::source_position& position) const {
    return name_ + ":" + std::to_string(position.line) + ":" + std::to_string(position.column);
  }

  void problem(const toml::source_region& where, std::string text) {
    problems_.push_back({where.begin, std::move(text)});
  }

  void unknown_section(const toml::key& key, const toml::node& node) {
    const std::string shown = escaped(key.str(), 80);
    if (is_section(key.str())) {
      problem(node.source(), shown + ": is a section; write [" + shown + "] on a line of its own");
    } else if (node.is_table()) {
      std::vector<std::string_view> names;
      for (const Section& section : sections()) names.push_back(section.name);
      problem(key.source(),
              "unknown section [" + shown + "]" + did_you_mean(key.str(), names) + std::string(kSeeAll));
    } else {
      problem(key.source(), "unknown setting " + shown + meant(key.str()) + std::string(kSeeAll));
    }
  }

  // For a setting named without its section, or with a wrong one, the full key; else the nearest key.
  static std::string meant(std::string_view key) {
    const std::string_view last = key.substr(key.rfind('.') + 1);
    std::vector<std::string_view> keys;
    for (const Option& option : options()) {
      if (option.key.substr(option.key.find('.') + 1) == last)
        return did_you_mean(option.key, {{option.key}});
      keys.push_back(option.key);
    }
    return did_you_mean(key, keys);
  }

  void read_setting(std::string_view section, const toml::key& name, const toml::node& node) {
    const std::string key = std::string(section) + "." + std::string(name.str());
    const Option* option = find_key(key);
    if (option == nullptr) {
      problem(name.source(), "unknown setting " + escaped(key, 80) + meant(key) + std::string(kSeeAll));
      return;
    }
    if (option->type == Type::kList) {
      read_list(*option, node);
      return;
    }
    const Result<Value> value = scalar(*option, node);
    if (!value) {
      problem(node.source(), key + ": " + value.status().message());
      return;
    }
    accept(*option, value.value(), node);
  }

  void accept(const Option& option, const Value& value, const toml::node& node) {
    const bool changed = option.field.get(Config{}) != value;
    draft_.set(option, value, place(node.source().begin));
    if (changed && !option.inert.empty()) draft_.acknowledge(option.key, option.inert);
  }

  void read_list(const Option& option, const toml::node& node) {
    const std::string key(option.key);
    const toml::array* array = node.as_array();
    if (array == nullptr) {
      problem(node.source(), key + ": " + wrong_type(option, node));
      return;
    }
    std::vector<std::string> all;
    for (const toml::node& element : *array) {
      const auto* text = element.as_string();
      if (text == nullptr) {
        problem(element.source(), key + ": " + wrong_type(option, element));
        return;
      }
      const Result<Value> value = parse_value(option, text->get(), Source::kFile);
      if (!value) {
        problem(element.source(), key + ": " + value.status().message());
        return;
      }
      for (std::string& part : split_addresses(text->get())) all.push_back(std::move(part));
    }
    accept(option, Value(std::move(all)), node);
  }

  static std::string wrong_type(const Option& option, const toml::node& node) {
    return type_name(node.type()) + " is not " + expected(option, Source::kFile);
  }

  static Result<Value> checked(const Option& option, Value value) {
    if (Status status = check_value(option, value); !status) return status;
    return value;
  }

  static Result<Value> scalar(const Option& option, const toml::node& node) {
    const Status wrong(StatusCode::kInvalidArgument, wrong_type(option, node));
    const auto* integer = node.as_integer();
    switch (option.type) {
      case Type::kFlag:
        if (const auto* flag = node.as_boolean()) return Value(flag->get());
        return wrong;
      case Type::kInteger:
        return integer != nullptr ? checked(option, Value(integer->get())) : Result<Value>(wrong);
      case Type::kFloat:
        if (const auto* real = node.as_floating_point()) return checked(option, Value(real->get()));
        return integer != nullptr ? checked(option, Value(static_cast<double>(integer->get())))
                                  : Result<Value>(wrong);
      default:
        if (const auto* text = node.as_string()) return parse_value(option, text->get(), Source::kFile);
        return wrong;
    }
  }

  const std::string& name_;
  Draft& draft_;
  std::vector<Problem> problems_;
};

// toml++ shows what it saw escaped already ('\n'), so a backslash is one.
std::string description_of(const toml::parse_error& error) {
  constexpr std::string_view kBackslash = "\\x5C";
  std::string text = escaped(error.description(), 300);
  for (std::size_t at = 0; (at = text.find(kBackslash, at)) != std::string::npos; ++at) {
    text.replace(at, kBackslash.size(), "\\");
  }
  return text;
}

Failure unreadable(const std::string& path, int error) {
  return {escaped(path, 300) + ": cannot be read: " + std::generic_category().message(error) +
              "; give --config a file this user may read",
          1};
}

// The whole file, or the errno of the failure; EFBIG when it is too large.
std::variant<std::string, int> contents(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return errno;
  std::string text;
  int error = 0;
  while (text.size() <= kConfigFileBytesMax) {
    const std::size_t have = text.size();
    text.resize(have + 65536);
    const ssize_t got = ::read(descriptor, text.data() + have, 65536);
    if (got < 0 && errno == EINTR) {
      text.resize(have);
      continue;
    }
    if (got < 0) error = errno;
    text.resize(have + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    if (got <= 0) break;
  }
  ::close(descriptor);
  if (error == 0 && text.size() > kConfigFileBytesMax) error = EFBIG;
  if (error != 0) return error;
  return text;
}

}  // namespace

std::optional<Failure> read_config_text(std::string_view text, const std::string& name, Draft& draft) {
  const std::string shown = escaped(name, 300);
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const auto& begin = parsed.error().source().begin;
    return Failure{shown + ":" + std::to_string(begin.line) + ":" + std::to_string(begin.column) +
                       ": not valid TOML: " + description_of(parsed.error()) +
                       "; correct this place (ringcached --print-default-config shows the form)",
                   1};
  }
  Reader reader(shown, draft);
  reader.read(parsed.table());
  return reader.first_problem();
}

std::optional<Failure> read_config_file(const std::string& path, Draft& draft) {
  const auto text = contents(path);
  if (const int* error = std::get_if<int>(&text)) return unreadable(path, *error);
  return read_config_text(std::get<std::string>(text), path, draft);
}

}  // namespace ringcached::config
