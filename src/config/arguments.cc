// The only file that includes CLI11. It is used for taking the command line apart; its conversions, its
// validators and its configuration reader are not (they round, they forget places, and they drop what they do
// not know).
#include "config/arguments.h"

#include <CLI/CLI.hpp>

#include "base/log.h"
#include "config/suggest.h"

namespace ringcached::config {
namespace {

std::string names_of(char short_flag, std::string_view long_flag) {
  std::string names;
  if (short_flag != 0) names = {'-', short_flag};
  if (!long_flag.empty()) names += (names.empty() ? "--" : ",--") + std::string(long_flag);
  return names;
}

// One value each time, all times kept. allow_extra_args(false) also stops CLI11 from reading "[::1]" as a
// list, and expected(1) lets a value begin with '-' (-p -1).
CLI::Option* add_valued(CLI::App& app, const std::string& names) {
  return app.add_option(names, CLI::callback_t([](const CLI::results_t&) { return true; }))
      ->type_size(1)
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

CLI::Option* add_bare(CLI::App& app, const std::string& names) {
  return app.add_flag(names)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->disable_flag_override();
}

bool is_bare(const Option& option) {
  return option.type == Type::kFlag || option.counted;
}

// The flags of the program itself, with the field each sets.
struct ActionFlag {
  const char* names;
  bool Arguments::*field;
};
constexpr ActionFlag kActions[] = {
    {"-h,--help", &Arguments::help},
    {"-i,--license", &Arguments::license},
    {"-V,--version", &Arguments::version},
    {"--features", &Arguments::features},
    {"--check-config", &Arguments::check_config},
    {"--print-config", &Arguments::print_config},
    {"--print-default-config", &Arguments::print_default_config},
};

std::vector<std::string> long_flags() {
  std::vector<std::string> names = {"extended", "config"};
  for (const ActionFlag& action : kActions) {
    const std::string_view all = action.names;
    names.emplace_back(all.substr(all.find("--") + 2));
  }
  for (const RefusedFlag& flag : refused_flags()) names.emplace_back(flag.long_flag);
  for (const Option& option : options()) {
    if (!option.long_flag.empty()) names.emplace_back(option.long_flag);
    if (const std::string opposite = opposite_flag(option); !opposite.empty()) names.push_back(opposite);
  }
  return names;
}

Failure unknown_argument(const std::string& argument) {
  const std::string shown = escaped(argument, 80);
  if (argument.size() < 2 || argument.front() != '-') {
    return {"unexpected argument \"" + shown + "\": every setting is a flag; see ringcached -h", 1};
  }
  if (!argument.starts_with("--")) return {"unknown option " + shown.substr(0, 2) + "; see ringcached -h", 1};
  const std::vector<std::string> names = long_flags();
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string word = argument.substr(
      2, argument.find('=') == std::string::npos ? std::string::npos : argument.find('=') - 2);
  const std::string_view near = nearest(word, views);
  return {"unknown option --" + escaped(word, 80) + "; " +
              (near.empty() ? "see ringcached -h" : "did you mean --" + std::string(near) + "?"),
          1};
}

// "-p (--port)" for "--port", since either may have been written.
std::string both_forms(const std::string& long_form) {
  if (long_form == "--extended") return "-o (--extended)";
  for (const Option& option : options()) {
    if (option.short_flag == 0 || option.long_flag.empty()) continue;
    if (long_form == "--" + std::string(option.long_flag)) return flag_name(option) + " (" + long_form + ")";
  }
  return escaped(long_form, 80);
}

// CLI11 names the option in its message only: "--port: 1 required ... missing", or "daemon was given a
// disallowed flag override".
Failure mismatch(const CLI::ParseError& error) {
  const std::string what = error.what();
  if (error.get_exit_code() != static_cast<int>(CLI::ExitCodes::ArgumentMismatch)) {
    return {"command line: " + escaped(what, 200) + "; see ringcached -h", 1};
  }
  if (const std::size_t end = what.find(" was given"); end != std::string::npos) {
    return {"--" + escaped(what.substr(0, end), 80) + " takes no value; write it alone", 1};
  }
  return {both_forms(what.substr(0, what.find(':'))) + " needs a value; see ringcached -h", 1};
}

}  // namespace

std::variant<Arguments, Failure> take_arguments(std::span<const std::string> arguments) {
  CLI::App app;
  app.set_help_flag();
  app.allow_extras();

  std::vector<std::pair<const Option*, CLI::Option*>> settings;
  for (const Option& option : options()) {
    std::string names = names_of(option.short_flag, option.long_flag);
    if (names.empty()) continue;
    if (const std::string opposite = opposite_flag(option); !opposite.empty()) names += ",!--" + opposite;
    settings.emplace_back(&option, is_bare(option) ? add_bare(app, names) : add_valued(app, names));
  }
  std::vector<std::pair<const RefusedFlag*, CLI::Option*>> refused;
  for (const RefusedFlag& flag : refused_flags()) {
    const std::string names = names_of(flag.short_flag, flag.long_flag);
    refused.emplace_back(&flag, flag.takes_value ? add_valued(app, names) : add_bare(app, names));
  }
  std::vector<std::pair<bool Arguments::*, CLI::Option*>> actions;
  for (const ActionFlag& action : kActions) actions.emplace_back(action.field, add_bare(app, action.names));
  CLI::Option* const extended = add_valued(app, "-o,--extended");
  CLI::Option* const config_file = add_valued(app, "--config");

  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::ParseError& error) {
    return mismatch(error);
  }
  if (const auto unknown = app.remaining(); !unknown.empty()) return unknown_argument(unknown.front());

  Arguments taken;
  for (const auto& [option, parsed] : settings) {
    if (parsed->count() == 0) continue;
    std::vector<std::string> texts = parsed->results();
    if (option->type == Type::kFlag && !option->flag_value) {
      for (std::string& text : texts) text = text == "true" ? "false" : "true";
    }
    taken.given.emplace_back(option, std::move(texts));
  }
  for (const auto& [flag, parsed] : refused) {
    if (parsed->count() > 0 && taken.refused == nullptr) taken.refused = flag;
  }
  for (const auto& [field, parsed] : actions) taken.*field = parsed->count() > 0;
  taken.extended = extended->results();
  taken.config_files = config_file->results();
  return taken;
}

}  // namespace ringcached::config
