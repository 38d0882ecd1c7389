// The arguments of `lru` and `lru_crawler` (sections 7.6, 7.7 and 10.3).
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>

#include "protocol/admin.h"

namespace ringcached::protocol {

inline constexpr std::uint32_t kLruPercentsMax = 80;  // hot and warm together

struct LruCommand {
  enum class Action : std::uint8_t { kTune, kMode, kTempTtl };
  Action action = Action::kTune;
  std::uint32_t hot_percent = 0, warm_percent = 0;
  double hot_factor = 0, warm_factor = 0;
  bool segmented = true;
  std::int32_t temp_ttl = 0;  // negative: off
};
AdminArgument<LruCommand> parse_lru(std::string_view arguments);

inline constexpr std::uint32_t kCrawlerSleepMicrosecondsMax = 1'000'000;

struct CrawlerCommand {
  enum class Action : std::uint8_t { kEnable, kDisable, kSleep, kTocrawl, kCrawl, kMetadump, kMgdump };
  Action action = Action::kEnable;
  std::uint32_t number = 0;  // kSleep, kTocrawl
  std::string_view classes;  // of the three that look at items; for parse_class_list
};
AdminArgument<CrawlerCommand> parse_lru_crawler(std::string_view arguments);

// Which slab classes are meant.
struct ClassList {
  static constexpr unsigned kIdsMax = 256;
  bool everything = false;  // all, hash
  bool by_hash = false;
  std::bitset<kIdsMax> ids;  // unless `everything`; at least one
};
// `text` is all, hash or numbers from 1 to `class_max` (< kIdsMax), separated by commas.
AdminArgument<ClassList> parse_class_list(std::string_view text, unsigned class_max);

}  // namespace ringcached::protocol
