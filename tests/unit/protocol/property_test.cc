// Random streams against the rules of tests/support/text_oracle.h, the replay of the fuzz corpus, and the hot
// path against the general one.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "protocol/classic.h"
#include "protocol/command_word.h"
#include "protocol/hot_path.h"
#include "protocol/number.h"
#include "support/binary_oracle.h"
#include "support/meta_oracle.h"
#include "support/text_oracle.h"
#include "unit/protocol/parser_rows.h"

namespace ringcached::protocol {
namespace {

using Random = std::mt19937_64;

// Printed, and taken from RINGCACHED_SEED to repeat a run.
std::uint64_t fresh_seed() {
  std::uint64_t seed = (std::uint64_t{std::random_device()()} << 32) | std::random_device()();
  if (const char* const given = std::getenv("RINGCACHED_SEED"); given != nullptr) {
    seed = parse_u64(given).value_or(seed);
  }
  MESSAGE("RINGCACHED_SEED=" << seed);
  return seed;
}

std::string random_bytes(Random& random, std::size_t bytes_max) {
  std::string bytes(random() % (bytes_max + 1), '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

std::string pick(Random& random, const std::vector<std::string>& from) {
  return from[random() % from.size()];
}

// A line made of words that mean something somewhere.
std::string random_line(Random& random) {
  static const std::vector<std::string> words = {"get",
                                                 "gets",
                                                 "gat",
                                                 "gats",
                                                 "set",
                                                 "add",
                                                 "replace",
                                                 "append",
                                                 "prepend",
                                                 "cas",
                                                 "delete",
                                                 "incr",
                                                 "decr",
                                                 "touch",
                                                 "stats",
                                                 "flush_all",
                                                 "verbosity",
                                                 "version",
                                                 "cache_memlimit",
                                                 "slabs",
                                                 "mg",
                                                 "mn",
                                                 "noreply",
                                                 "0",
                                                 "1",
                                                 "5",
                                                 "-1",
                                                 "+1",
                                                 "30",
                                                 "4294967295",
                                                 "4294967296",
                                                 "2147483646",
                                                 "18446744073709551616",
                                                 "k",
                                                 "key_0001",
                                                 "HTTP/1.1",
                                                 "",
                                                 "\t",
                                                 "x\r",
                                                 std::string(250, 'k'),
                                                 std::string(251, 'k'),
                                                 std::string(1, '\0')};
  std::string line = pick(random, words);
  const std::size_t count = random() % 8;
  for (std::size_t i = 0; i < count; ++i)
    line += std::string(1 + random() % 8 / 7, ' ') + pick(random, words);
  if (random() % 40 == 0) line += std::string(random() % 3000, ' ');
  return line + pick(random, {"\r\n", "\r\n", "\n", "\r\n\r\n", "\n\r"});
}

void check_input(const std::string& input) {
  const std::string fault = testing::check_text_input(input);
  if (!fault.empty()) {
    CAPTURE(input);
    FAIL_CHECK(fault);
  }
}

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void replay(const std::string& directory, std::size_t files_min, std::string (*oracle)(std::string_view)) {
  std::size_t files = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(RINGCACHED_CORPUS_DIR) / directory)) {
    CAPTURE(entry.path().filename().string());
    const std::string input = read_file(entry.path());
    CHECK_FALSE(input.empty());
    CHECK(oracle(input) == "");
    ++files;
  }
  CHECK(files >= files_min);
}

// The shortest way of all, which declines most; it may only find what parse_hot() or the general way find.
bool plain_get_agrees(std::string_view input) {
  std::string_view key;
  const std::size_t bytes = parse_plain_get(input, key);
  if (bytes == 0) return true;
  LineScan scan;
  Request request;
  MetaRequest meta;
  const ParseResult parsed = parse_text(input, scan, request, meta);
  return parsed.kind == ParseKind::kRequest && parsed.consumed == bytes && request.command == Command::kGet &&
         request.arguments.empty() && request.key == key && request.key.data() == key.data();
}

bool plain_set_agrees(std::string_view input) {
  Request plain;
  const std::size_t bytes = parse_plain_set(input, plain);
  if (bytes == 0) return true;
  LineScan scan;
  Request request;
  MetaRequest meta;
  const ParseResult parsed = parse_text(input, scan, request, meta);
  return parsed.kind == ParseKind::kRequest && parsed.consumed == bytes &&
         testing::render(plain) == testing::render(request) && plain.key.data() == request.key.data();
}

// Both ways over the same complete line; the hot one may decline. What is behind the line is nobody's
// business.
bool agrees_with_general_way(std::string_view input) {
  const std::string longer = std::string(input) + "0123456789abcdef 0 0 1\r\nget 0123456789abcdef\r\n";
  for (const std::string_view shown : {input, std::string_view(longer)}) {
    if (!plain_get_agrees(shown) || !plain_set_agrees(shown)) return false;
  }
  Request hot;
  MetaRequest hot_meta;
  const HotLine line = parse_hot(input, hot, hot_meta);
  const std::size_t consumed = line.bytes;
  if (consumed == 0) return true;
  std::string_view words = input.substr(0, consumed - 1);
  if (words.ends_with('\r')) words.remove_suffix(1);
  if (input.find('\n') + 1 != consumed) return false;
  const std::string_view word = next_word(words);
  if (line.is_meta) {
    MetaRequest general;
    return parse_meta(find_meta_command(word).value(), words, consumed, general).kind == ParseKind::kMeta &&
           testing::render(hot_meta) == testing::render(general) &&
           hot_meta.key().data() == general.key().data() && hot_meta.opaque.data() == general.opaque.data();
  }
  const auto command = find_command(word);
  Request general;
  return command && parse_classic(*command, words, consumed, general).kind == ParseKind::kRequest &&
         testing::render(hot) == testing::render(general) && hot.key.data() == general.key.data();
}

}  // namespace

TEST_SUITE("protocol properties") {
  TEST_CASE("random bytes") {
    Random random(fresh_seed());
    for (int i = 0; i < 300; ++i) check_input(random_bytes(random, 300));
    for (int i = 0; i < 4; ++i) check_input(random_bytes(random, 5000));
  }

  TEST_CASE("random lines") {
    Random random(fresh_seed());
    for (int i = 0; i < 400; ++i) {
      std::string input;
      for (std::size_t lines = random() % 8; lines > 0; --lines) input += random_line(random);
      if (random() % 4 == 0 && !input.empty()) input[random() % input.size()] = static_cast<char>(random());
      check_input(input);
    }
  }

  TEST_CASE("the fuzz corpus of the classic commands") {
    replay("classic", 30, testing::check_text_input);
  }
  TEST_CASE("the fuzz corpus of the meta commands") {
    replay("meta", 10, testing::check_meta_input);
  }
  TEST_CASE("the fuzz corpus of the binary dialect") {
    replay("binary", 20, testing::check_binary_input);
  }

  // Every parser must survive what was written against another.
  TEST_CASE("each corpus against the other parsers") {
    for (const char* directory : {"meta", "binary"}) replay(directory, 10, testing::check_text_input);
    for (const char* directory : {"classic", "binary"}) replay(directory, 10, testing::check_meta_input);
    for (const char* directory : {"classic", "meta"}) replay(directory, 10, testing::check_binary_input);
  }

  TEST_CASE("the oracle notices a parser that depends on fragmentation") {
    testing::TextStream whole, cut;
    whole.feed("get a\r\nget b\r\n");
    cut.feed("get a\r\nget c\r\n");
    CHECK(testing::compare_streams(whole, cut) == "event 1 depends on fragmentation");
    cut.feed("get d\r\n");
    CHECK(testing::compare_streams(whole, cut) != "");
  }

  TEST_CASE("the hot path takes the plain lines") {
    const struct {
      const char* line;
      bool taken;
    } rows[] = {
        {"get k\r\n", true},
        {"get kk\n", true},
        {"get key_0000000000ab\r\n", true},
        {"get 012345678901234567890123456789012345678901234567890123456\r\n", true},
        {"get 0123456789012345678901234567890123456789012345678901234567890123456789\r\n", false},
        {"get a b\r\n", false},
        {"gets a\r\n", false},
        {"set key_0000000000ab 0 0 32\r\n", true},
        {"set key_0000000000ab 4294967 86400 32 noreply\r\n", true},
        {"set key_0000000000ab 0 0 32 noreplies\r\n", false},
        {"set k  0 0 32\r\n", false},
        {"set k 0 -1 32\r\n", false},
        {"set k 1234567890 0 32\r\n", false},
        {"add k 0 0 32\r\n", false},
        {"mg key_0000000000ab\r\n", true},
        {"mg key_0000000000ab v\r\n", true},
        {"mg key_0000000000ab v t f k Oabcdef q\n", true},
        {"mg key_0000000000ab T86400 v\r\n", true},
        {"mg key_0000000000ab v v\r\n", false},
        {"mg key_0000000000ab vfoo\r\n", false},
        {"mg key_0000000000ab  v\r\n", false},
        {"mg key_0000000000ab v \r\n", false},
        {"mg key_0000000000ab T-1 v\r\n", false},
        {"mg key_0000000000ab b v\r\n", false},
        {"mg key_0000000000ab O12345678901234567890123456789012\r\n", false},
        {"mg key_0000000000ab T\r\n", false},
        {"ms key_0000000000ab 32\r\n", true},
        {"ms key_0000000000ab 32 T0 F7 c q\r\n", true},
        {"ms key_0000000000ab\r\n", false},
        {"ms key_0000000000ab x\r\n", false},
        {"ms key_0000000000ab 32 MA\r\n", false},
        {"md key_0000000000ab\r\n", false},
    };
    for (const auto& row : rows) {
      const std::string input = row.line;
      CAPTURE(input);
      Request request;
      MetaRequest meta;
#if defined(__SSE2__)
      const std::size_t taken = row.taken && input.size() >= 8 ? input.size() : 0;
      CHECK(parse_hot(input, request, meta).bytes == taken);
      // Words of the next request in the same window change nothing.
      CHECK(parse_hot(input + "set a b c", request, meta).bytes == (row.taken ? input.size() : 0));
#endif
      CHECK(agrees_with_general_way(input));
    }
  }

  TEST_CASE("the plain lines are taken, and nothing that only looks like them") {
    const std::string behind = "0123456789abcdef0123456789abcdef0123456789\r\n";
    const struct {
      const char* line;
      bool taken;
    } rows[] = {
        {"set k 0 0 1\r\n", true},
        {"set key_0000000000ab 0 0 32\r\n", true},
        {"set key_0000000000ab 999999999 999999999 999999999\r\n", true},
        {"set key_0000000000ab 7 0 32\r\n", true},
        {"set key_0000000000ab 0 7 32\r\n", true},
        {"set key_0000000000ab 0 0 9999999999\r\n", false},
        {"set key_0000000000ab 0 0 x\r\n", false},
        {"set key_0000000000ab 0 0  32\r\n", false},
        {"set key_0000000000ab 0 0\r\n", false},
        {"set key_0000000000ab 9999999999 0 32\r\n", false},
        {"set key_0000000000ab 0 -1 32\r\n", false},
        {"set key_0000000000ab 0 0 32 noreply\r\n", false},
        {"set key_0000000000ab 0 0 32\n", false},
        {"set key_0000000000ab 0 0 \r\n", false},
        {"set key_0000000000ab 0  0 32\r\n", false},
        {"set  key 0 0 32\r\n", false},
        {"set key\t 0 0 32\r\n", false},
        {"add key_0000000000ab 0 0 32\r\n", false},
    };
    for (const auto& row : rows) {
      const std::string line = row.line;
      const std::string input = line + behind;
      CAPTURE(line);
      Request request;
#if defined(__SSE2__)
      CHECK(parse_plain_set(input, request) == (row.taken ? line.size() : 0));
#endif
      CHECK(agrees_with_general_way(input));
    }
  }

  TEST_CASE("the hot path agrees with the general one") {
    Random random(fresh_seed());
    static const std::vector<std::string> words = {"k",
                                                   "key",
                                                   "key_0000000000ab",
                                                   "0",
                                                   "1",
                                                   "12",
                                                   "999999999",
                                                   "1000000000",
                                                   "-1",
                                                   "+1",
                                                   "x",
                                                   "noreply",
                                                   "",
                                                   "\r",
                                                   "\t",
                                                   std::string(40, 'k'),
                                                   std::string(1, '\0'),
                                                   "1\r",
                                                   "\x80",
                                                   "v",
                                                   "t",
                                                   "k",
                                                   "q",
                                                   "c",
                                                   "f",
                                                   "s",
                                                   "vx",
                                                   "b",
                                                   "O",
                                                   "Oabc",
                                                   "T30",
                                                   "T",
                                                   "T-1",
                                                   "F5",
                                                   "F",
                                                   "N30",
                                                   "C7",
                                                   "MA"};
    std::size_t disagreements = 0;
    for (int i = 0; i < 200'000; ++i) {
      std::string line = pick(random, {"get", "set", "mg", "ms"});
      for (std::size_t count = random() % 7; count > 0; --count) line += " " + pick(random, words);
      line += pick(random, {"\r\n", "\n"});
      if (random() % 8 == 0) line[random() % line.size()] = static_cast<char>(random());
      if (random() % 2 == 0) line += "get next key\r\n";
      if (!agrees_with_general_way(line)) {
        ++disagreements;
        MESSAGE("disagrees: " << line);
      }
    }
    CHECK(disagreements == 0);
  }
}

}  // namespace ringcached::protocol
