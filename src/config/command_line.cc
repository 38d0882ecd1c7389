#include "config/command_line.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <system_error>

#include "base/log.h"
#include "config/arguments.h"
#include "config/config_file.h"
#include "config/listen.h"
#include "config/print.h"
#include "config/suboptions.h"
#include "config/text.h"
#include "config/validate.h"
#include "config/version.h"

namespace ringcached::config {
namespace {

std::optional<Failure> apply_list(const Option& option, const std::vector<std::string>& texts, Draft& draft) {
  std::vector<std::string> all;
  std::string place = flag_name(option);
  for (const std::string& text : texts) {
    place += " " + escaped(text, 100);
    for (std::string& part : split_addresses(text)) {
      const Result<Value> value = parse_value(option, part, Source::kCommandLine);
      if (!value) return Failure{flag_name(option) + ": " + value.status().message(), option.exit_code};
      all.push_back(std::move(part));
    }
  }
  draft.set(option, Value(std::move(all)), place);
  return std::nullopt;
}

std::optional<Failure> apply_flag(const Option& option, const std::vector<std::string>& texts, Draft& draft) {
  if (option.type == Type::kList) return apply_list(option, texts, draft);
  std::string text = texts.back();
  std::string place = flag_name(option);
  if (option.counted) {
    text = std::to_string(std::min<std::size_t>(texts.size(), static_cast<std::size_t>(option.max)));
  } else if (option.type != Type::kFlag) {
    place += " " + escaped(text, 60);
  }
  const Result<Value> value = parse_value(option, text, Source::kCommandLine);
  if (!value) return Failure{flag_name(option) + ": " + value.status().message(), option.exit_code};
  draft.set(option, value.value(), place);
  if (!option.inert.empty()) draft.acknowledge(flag_name(option), option.inert);
  return std::nullopt;
}

// What memcached's flags do beyond their own setting.
void apply_side_effects(const Arguments& arguments, Draft& draft) {
  bool port_given = false;
  const Option* udp_port = nullptr;
  for (const auto& [option, texts] : arguments.given) {
    if (option->key == "stats.prefix_delimiter") draft.set(*find_key("stats.detail"), Value(true), "-D");
    if (option->key == "network.port") port_given = true;
    if (option->key == "network.udp_port") udp_port = option;
  }
  const int udp = draft.config.network.udp_port;
  if (udp_port != nullptr && udp != 0 && !port_given && !draft.is_set("network.port")) {
    draft.set(*find_key("network.port"), Value(std::int64_t{udp}), draft.origin("network.udp_port"));
  }
}

// Seen from any directory: a daemon leaves the one it was started in.
std::string absolute_path(const std::string& path) {
  if (path.empty()) return {};
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(path, error);
  return error ? path : absolute.string();
}

void name_password_files(Draft& draft) {
  const AuthConfig& auth = draft.config.auth;
  draft.config.text_password_file = absolute_path(auth.file);
  if (auth.sasl) {
    const char* const named = std::getenv("MEMCACHED_SASL_PWDB");
    const bool by_option = !auth.sasl_file.empty() || named == nullptr;
    draft.config.sasl_password_file = absolute_path(by_option ? auth.sasl_file : named);
  } else if (!auth.sasl_file.empty()) {
    draft.note(draft.origin("auth.sasl_file") + " has no effect without SASL; add -S (auth.sasl)");
  }
}

std::optional<Failure> apply_file(const std::string& path, Draft& draft) {
  if (path.empty()) return Failure{"--config: no file name; write --config=FILE", 1};
  draft.config.config_file = absolute_path(path);
  return read_config_file(path, draft);
}

std::optional<Failure> apply_all(const Arguments& arguments, std::string_view config_file, Draft& draft) {
  if (arguments.refused != nullptr) {
    const RefusedFlag& flag = *arguments.refused;
    return Failure{std::string("-") + flag.short_flag + " (--" + std::string(flag.long_flag) +
                       "): this build lacks " + std::string(flag.reason) + "; start without it",
                   1};
  }
  if (arguments.config_files.size() > 1) return Failure{"--config: given more than once; name one file", 1};
  if (!arguments.config_files.empty()) {
    const std::string path(config_file.empty() ? std::string_view(arguments.config_files.front())
                                               : config_file);
    if (auto failure = apply_file(path, draft)) return failure;
  }
  for (const auto& [option, texts] : arguments.given) {
    if (auto failure = apply_flag(*option, texts, draft)) return failure;
  }
  if (auto failure = apply_suboptions(arguments.extended, draft)) return failure;
  apply_side_effects(arguments, draft);
  name_password_files(draft);
  if (auto failure = validate(draft)) return failure;
  if (auto failure = resolve_udp_clients(draft)) return failure;
  return resolve_listeners(draft, ipv6_loopback_available());
}

std::optional<Print> informative(const Arguments& arguments) {
  if (arguments.help) return Print{help_text()};
  if (arguments.license) return Print{std::string(license())};
  if (arguments.version) return Print{version_text()};
  if (arguments.print_default_config) return Print{default_config_text()};
  return std::nullopt;
}

}  // namespace

ParseOutcome parse_command_line(int argc, const char* const* argv, std::string_view config_file) {
  std::vector<std::string> words;
  for (int i = 1; i < argc; ++i) words.emplace_back(argv[i]);
  auto taken = take_arguments(words);
  if (const Failure* failure = std::get_if<Failure>(&taken))
    return Error{failure->text + "\n", failure->exit_code};
  const Arguments& arguments = std::get<Arguments>(taken);
  if (auto print = informative(arguments)) return *print;

  Draft draft;
  if (const auto failure = apply_all(arguments, config_file, draft)) {
    return Error{failure->text + "\n", arguments.check_config ? 1 : failure->exit_code};
  }
  if (arguments.print_config) return Print{config_text(draft.config)};
  return Run{std::move(draft.config), draft.notices(), arguments.features, arguments.check_config};
}

}  // namespace ringcached::config
