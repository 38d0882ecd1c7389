#include "protocol/command_word.h"

#include <cstddef>
#include <cstdint>

namespace ringcached::protocol {
namespace {

constexpr std::size_t kShortWordBytesMax = 7;

// A word of up to 7 bytes and its length as one number, so that one switch finds the command. With the length
// in it, "get" and "get\0" differ.
constexpr std::uint64_t word_code(std::string_view word) {
  std::uint64_t code = std::uint64_t{word.size()} << 56;
  for (std::size_t i = 0; i < word.size(); ++i) {
    code |= std::uint64_t{static_cast<unsigned char>(word[i])} << (8 * i);
  }
  return code;
}

std::optional<Command> find_short(std::string_view word) {
  switch (word_code(word)) {
    case word_code("get"):
      return Command::kGet;
    case word_code("gets"):
      return Command::kGets;
    case word_code("gat"):
      return Command::kGat;
    case word_code("gats"):
      return Command::kGats;
    case word_code("set"):
      return Command::kSet;
    case word_code("add"):
      return Command::kAdd;
    case word_code("replace"):
      return Command::kReplace;
    case word_code("append"):
      return Command::kAppend;
    case word_code("prepend"):
      return Command::kPrepend;
    case word_code("cas"):
      return Command::kCas;
    case word_code("delete"):
      return Command::kDelete;
    case word_code("incr"):
      return Command::kIncr;
    case word_code("decr"):
      return Command::kDecr;
    case word_code("touch"):
      return Command::kTouch;
    case word_code("stats"):
      return Command::kStats;
    case word_code("version"):
      return Command::kVersion;
    case word_code("quit"):
      return Command::kQuit;
    case word_code("slabs"):
      return Command::kSlabs;
    case word_code("lru"):
      return Command::kLru;
    case word_code("watch"):
      return Command::kWatch;
    default:
      return std::nullopt;
  }
}

std::optional<Command> find_long(std::string_view word) {
  struct Entry {
    std::string_view word;
    Command command;
  };
  static constexpr Entry kLongWords[] = {
      {"flush_all", Command::kFlushAll},         {"verbosity", Command::kVerbosity},
      {"shutdown", Command::kShutdown},          {"extstore", Command::kExtstore},
      {"lru_crawler", Command::kLruCrawler},     {"cache_memlimit", Command::kCacheMemlimit},
      {"refresh_certs", Command::kRefreshCerts},
  };
  for (const Entry& entry : kLongWords) {
    if (entry.word == word) return entry.command;
  }
  return std::nullopt;
}

}  // namespace

std::optional<Command> find_command(std::string_view word) {
  return word.size() <= kShortWordBytesMax ? find_short(word) : find_long(word);
}

}  // namespace ringcached::protocol
