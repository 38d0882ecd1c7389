#include "config/suboptions.h"

#include <algorithm>
#include <array>
#include <vector>

#include "base/log.h"
#include "config/suggest.h"
#include "config/text.h"

namespace ringcached::config {
namespace {

struct Word {
  std::string_view name;
  std::optional<std::string_view> value;

  std::string place() const {
    return "-o " + std::string(name) + (value ? "=" + escaped(*value, 60) : std::string());
  }
};

// A sub-option that stands for several settings.
struct Preset {
  std::string_view name;
  std::string_view key;
  std::string_view value;
};
constexpr auto kPresets = std::to_array<Preset>({
    {"no_chunked_items", "compat.slab_chunk_max", "1024"},
    // The defaults of memcached 1.4.
    {"no_modern", "network.refuse_fast", "false"},
    {"no_modern", "compat.slab_chunk_max", "1024"},
    {"no_modern", "store.slab_reassign", "false"},
    {"no_modern", "store.slab_automove", "0"},
    {"no_modern", "store.lru_crawler", "false"},
    {"no_modern", "compat.lru_maintainer", "false"},
});

bool is_true(std::string_view value) {
  return value == "1" || value == "yes" || value == "true" || value == "on";
}

std::optional<Failure> set_text(const Option& option, std::string_view text, const Word& word, Draft& draft) {
  const Result<Value> value = parse_value(option, text, Source::kCommandLine);
  if (!value) return Failure{word.place() + ": " + value.status().message(), option.exit_code};
  draft.set(option, value.value(), word.place());
  if (!option.inert.empty()) draft.acknowledge("-o " + std::string(word.name), option.inert);
  return std::nullopt;
}

std::optional<Failure> apply_setting(const Option& option, const Word& word, Draft& draft) {
  if (option.type == Type::kFlag) {
    if (word.value && !is_true(*word.value)) {
      return Failure{
          word.place() + ": takes no value; write no_" + std::string(word.name) + " to turn it off", 1};
    }
    return set_text(option, "true", word, draft);
  }
  if (!word.value && option.optional_value.empty()) {
    return Failure{"Missing numeric argument for " + std::string(word.name) + ": write -o " +
                       std::string(word.name) + "=<" + expected(option, Source::kCommandLine) + ">",
                   1};
  }
  return set_text(option, word.value.value_or(option.optional_value), word, draft);
}

// The setting that "no_<name>" turns off, if there is one.
const Option* negated(std::string_view name) {
  if (!name.starts_with("no_")) return nullptr;
  const Option* option = find_suboption(name.substr(3));
  if (option == nullptr) return nullptr;
  return option->type == Type::kFlag || !option->optional_value.empty() ? option : nullptr;
}

bool apply_preset(const Word& word, Draft& draft) {
  bool found = false;
  bool effective = false;
  std::string_view reason;
  for (const Preset& preset : kPresets) {
    if (preset.name != word.name) continue;
    const Option& option = *find_key(preset.key);
    draft.set(option, parse_value(option, preset.value, Source::kCommandLine).value(), word.place());
    found = true;
    effective = effective || option.inert.empty();
    reason = option.inert;
  }
  if (found && !effective) draft.acknowledge("-o " + std::string(word.name), reason);
  return found;
}

Failure illegal(const Word& word, std::string_view why) {
  std::vector<std::string> names;
  for (const Option& option : options()) {
    if (option.suboption.empty()) continue;
    names.emplace_back(option.suboption);
    if (option.type == Type::kFlag) names.push_back("no_" + std::string(option.suboption));
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  std::string text = "Illegal suboption \"" + escaped(word.name, 60) + "\"";
  if (!why.empty()) return {text + ": " + std::string(why) + "; remove it", 1};
  const std::string_view near = nearest(word.name, views);
  return {text + (near.empty() ? ": see ringcached -h" : ": did you mean " + std::string(near) + "?"), 1};
}

std::optional<Failure> apply_word(const Word& word, Draft& draft) {
  if (const Option* option = find_suboption(word.name); option != nullptr) {
    if (option->key == "compat.temporary_ttl") {
      draft.set(*find_key("compat.temp_lru"), Value(true), word.place());
    }
    return apply_setting(*option, word, draft);
  }
  if (const Option* option = negated(word.name); option != nullptr) {
    return set_text(*option, option->type == Type::kFlag ? "false" : "0", word, draft);
  }
  if (apply_preset(word, draft)) return std::nullopt;
  const auto ignored = std::ranges::find(ignored_suboptions(), word.name, &Suboption::name);
  if (ignored == ignored_suboptions().end()) return illegal(word, {});
  if (ignored->kind == Suboption::Kind::kUnknown) return illegal(word, ignored->reason);
  draft.acknowledge("-o " + std::string(word.name), ignored->reason);
  return std::nullopt;
}

}  // namespace

std::optional<Failure> apply_suboptions(std::span<const std::string> lists, Draft& draft) {
  for (const std::string& list : lists) {
    std::string_view rest = list;
    while (!rest.empty()) {
      const std::string_view piece = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(piece.size() + 1, rest.size()));
      if (piece.empty()) continue;
      Word word{piece.substr(0, piece.find('=')), std::nullopt};
      if (word.name.size() < piece.size()) word.value = piece.substr(word.name.size() + 1);
      if (auto failure = apply_word(word, draft)) return failure;
    }
  }
  return std::nullopt;
}

}  // namespace ringcached::config
