#include "protocol/admin_lru.h"

#include <algorithm>
#include <optional>

#include "protocol/number.h"
#include "protocol/parser.h"
#include "protocol/reply.h"

namespace ringcached::protocol {
namespace {

template <typename T>
AdminArgument<T> refuse(std::string_view reply) {
  return {.value = {}, .reply = reply};
}

AdminArgument<LruCommand> parse_tune(std::string_view words) {
  const auto hot = parse_u32(next_word(words)), warm = parse_u32(next_word(words));
  const auto hot_factor = parse_real(next_word(words)), warm_factor = parse_real(next_word(words));
  if (!hot || !warm || !hot_factor || !warm_factor) return refuse<LruCommand>(reply::kError);
  if (std::uint64_t{*hot} + *warm > kLruPercentsMax) return refuse<LruCommand>(reply::kLruPercents);
  if (*hot_factor <= 0 || *warm_factor <= 0) return refuse<LruCommand>(reply::kLruFactors);
  return {.value = {.action = LruCommand::Action::kTune,
                    .hot_percent = *hot,
                    .warm_percent = *warm,
                    .hot_factor = *hot_factor,
                    .warm_factor = *warm_factor},
          .reply = {}};
}

AdminArgument<LruCommand> parse_mode(std::string_view words) {
  const std::string_view mode = next_word(words);
  if (mode != "flat" && mode != "segmented") return refuse<LruCommand>(reply::kError);
  return {.value = {.action = LruCommand::Action::kMode, .segmented = mode == "segmented"}, .reply = {}};
}

AdminArgument<LruCommand> parse_temp_ttl(std::string_view words) {
  const std::optional<std::int32_t> ttl = parse_i32(next_word(words));
  if (!ttl) return refuse<LruCommand>(reply::kError);
  return {.value = {.action = LruCommand::Action::kTempTtl, .temp_ttl = *ttl}, .reply = {}};
}

AdminArgument<CrawlerCommand> parse_crawler_number(CrawlerCommand::Action action, std::string_view word) {
  const std::optional<std::uint32_t> number = parse_u32(word);
  if (!number) return refuse<CrawlerCommand>(reply::kBadFormat);
  if (action == CrawlerCommand::Action::kSleep && *number > kCrawlerSleepMicrosecondsMax) {
    return refuse<CrawlerCommand>(reply::kCrawlerSleep);
  }
  return {.value = {.action = action, .number = *number}, .reply = {}};
}

struct CrawlerWord {
  std::string_view word;
  CrawlerCommand::Action action;
  bool has_argument;
};
constexpr CrawlerWord kCrawlerWords[] = {
    {"enable", CrawlerCommand::Action::kEnable, false}, {"disable", CrawlerCommand::Action::kDisable, false},
    {"sleep", CrawlerCommand::Action::kSleep, true},    {"tocrawl", CrawlerCommand::Action::kTocrawl, true},
    {"crawl", CrawlerCommand::Action::kCrawl, true},    {"metadump", CrawlerCommand::Action::kMetadump, true},
    {"mgdump", CrawlerCommand::Action::kMgdump, true},
};

}  // namespace

AdminArgument<LruCommand> parse_lru(std::string_view arguments) {
  const std::string_view word = next_word(arguments);
  if (word == "tune") return parse_tune(arguments);
  if (word == "mode") return parse_mode(arguments);
  if (word == "temp_ttl") return parse_temp_ttl(arguments);
  return refuse<LruCommand>(reply::kError);
}

AdminArgument<CrawlerCommand> parse_lru_crawler(std::string_view arguments) {
  const std::string_view word = next_word(arguments);
  const auto* known = std::ranges::find(kCrawlerWords, word, &CrawlerWord::word);
  if (known == std::end(kCrawlerWords)) return refuse<CrawlerCommand>(reply::kError);
  const std::string_view argument = next_word(arguments);
  if (argument.empty() == known->has_argument || !next_word(arguments).empty()) {
    return refuse<CrawlerCommand>(reply::kError);
  }
  using Action = CrawlerCommand::Action;
  if (known->action == Action::kSleep || known->action == Action::kTocrawl) {
    return parse_crawler_number(known->action, argument);
  }
  return {.value = {.action = known->action, .classes = argument}, .reply = {}};
}

AdminArgument<ClassList> parse_class_list(std::string_view text, unsigned class_max) {
  AdminArgument<ClassList> parsed;
  parsed.value.by_hash = text == "hash";
  parsed.value.everything = text == "all" || parsed.value.by_hash;
  if (parsed.value.everything) return parsed;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    if (word.empty()) continue;
    const std::optional<std::uint32_t> id = parse_u32(word);
    if (!id || *id < 1 || *id > class_max) return refuse<ClassList>(reply::kCrawlerBadClass);
    parsed.value.ids.set(*id);
  }
  if (parsed.value.ids.none()) return refuse<ClassList>(reply::kCrawlerNotStarted);
  return parsed;
}

}  // namespace ringcached::protocol
