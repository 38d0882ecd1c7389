// Traces, exact policies with results computed by hand, and replaying against the store and a server.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "bench/exact_policies.h"
#include "bench/key_distribution.h"
#include "bench/key_trace.h"
#include "bench/trace_replay.h"

namespace ringcached::bench {
namespace {

struct TemporaryDirectory {
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ringcached-replay-XXXXXX").string();
    REQUIRE(mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    std::string at = path / name;
    std::ofstream(at) << text;
    chmod(at.c_str(), mode);
    return at;
  }
  std::filesystem::path path;
};

// PATH is this directory alone while it lives.
struct OnlyPath {
  explicit OnlyPath(const std::filesystem::path& directory) {
    if (const char* path = std::getenv("PATH")) before = path;
    setenv("PATH", directory.c_str(), 1);
  }
  ~OnlyPath() { setenv("PATH", before.c_str(), 1); }
  std::string before;
};

std::vector<std::uint32_t> range(std::uint32_t begin, std::uint32_t end) {
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t i = begin; i < end; ++i) numbers.push_back(i);
  return numbers;
}

std::vector<std::uint32_t> operator+(std::vector<std::uint32_t> left,
                                     const std::vector<std::uint32_t>& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

KeyTrace trace_of(std::vector<std::uint32_t> accesses, std::uint32_t keys) {
  KeyTrace trace;
  trace.accesses = std::move(accesses);
  for (std::uint32_t i = 0; i < keys; ++i) trace.keys.push_back("key" + std::to_string(i));
  return trace;
}

KeyTrace zipf_trace(std::uint32_t keys, std::size_t length) {
  std::vector<std::uint32_t> accesses;
  KeyDistribution distribution(Distribution::kZipf, keys, 1.0, 7);
  for (std::size_t i = 0; i < length; ++i)
    accesses.push_back(static_cast<std::uint32_t>(distribution.next()));
  return trace_of(std::move(accesses), keys);
}

// Answers one connection's gets and sets from a map that forgets nothing but, if so told, what was set before
// the last set.
class FakeServer {
 public:
  FakeServer(const std::string& path, bool remembers) : remembers_(remembers) {
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(listen(listener_, 1) == 0);
    thread_ = std::thread([this] { serve(); });
  }
  ~FakeServer() {
    thread_.join();
    close(listener_);
  }
  std::map<std::string, std::size_t> items;  // value bytes; look after the client has left

 private:
  void serve() {
    const int connection = accept(listener_, nullptr, nullptr);
    std::string text;
    std::array<char, 4096> bytes;
    for (;;) {
      const ssize_t count = recv(connection, bytes.data(), bytes.size(), 0);
      if (count <= 0) break;
      text.append(bytes.data(), static_cast<std::size_t>(count));
      std::string replies;
      while (answer(text, replies)) {
      }
      if (send(connection, replies.data(), replies.size(), MSG_NOSIGNAL) < 0) break;
    }
    close(connection);
  }
  bool answer(std::string& text, std::string& replies) {
    const std::size_t line_end = text.find("\r\n");
    if (line_end == std::string::npos) return false;
    const std::string line = text.substr(0, line_end);
    std::size_t used = line_end + 2;
    if (line == "stats") {
      replies += "STAT pid 1\r\nSTAT curr_items " + std::to_string(items.size()) + "\r\nEND\r\n";
    } else if (line.starts_with("get ")) {
      const auto found = items.find(line.substr(4));
      if (found != items.end()) {
        replies += "VALUE " + found->first + " 0 " + std::to_string(found->second) + "\r\n" +
                   std::string(found->second, 'v') + "\r\n";
      }
      replies += "END\r\n";
    } else {
      std::size_t value_bytes = 0;
      std::from_chars(line.data() + line.rfind(' ') + 1, line.data() + line.size(), value_bytes);
      used += value_bytes + 2;
      if (text.size() < used) return false;
      if (!remembers_) items.clear();
      items[line.substr(4, line.find(' ', 4) - 4)] = value_bytes;
      replies += "STORED\r\n";
    }
    text.erase(0, used);
    return true;
  }

  bool remembers_;
  int listener_ = -1;
  std::thread thread_;
};

TEST_SUITE("replay") {
  TEST_CASE("traces: lines to numbers, wherever the text is cut") {
    const std::string text = "a\nbb\r\na\n\nccc\nbb";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      CAPTURE(cut);
      KeyTraceParser parser;
      REQUIRE(parser.feed(text.substr(0, cut)));
      REQUIRE(parser.feed(text.substr(cut)));
      REQUIRE(parser.finish());
      CHECK(parser.trace().accesses == std::vector<std::uint32_t>{0, 1, 0, 2, 1});
      CHECK(parser.trace().keys == std::vector<std::string>{"a", "bb", "ccc"});
    }
  }

  TEST_CASE("traces: what is no key is refused with its line") {
    for (const std::string& bad : {std::string("with space"), std::string("tab\t"), std::string(251, 'k')}) {
      KeyTraceParser parser;
      CHECK_FALSE(parser.feed("good\n" + bad + "\n"));
      CHECK(parser.error().starts_with("line 2 is no key"));
    }
    KeyTraceParser endless;
    CHECK_FALSE(endless.feed(std::string(1000, 'k')));
    KeyTraceParser longest;
    CHECK(longest.feed(std::string(250, 'k') + "\r\n"));
  }

  TEST_CASE("traces: plain files, and compressed ones through a program found on the PATH") {
    const TemporaryDirectory directory;
    const std::string plain = directory.write("t.txt", "x\ny\nx\n");
    CHECK(read_key_trace(plain).value().accesses == std::vector<std::uint32_t>{0, 1, 0});
    CHECK(read_key_trace(directory.path / "none").status().message().find("No such file") !=
          std::string::npos);
    CHECK(read_key_trace(directory.write("empty", "\n")).status().message().ends_with("holds no key"));

    const std::string xz = directory.write("t.xz", "x\ny\nx\n"), zst = directory.write("t.zst", "z\n");
    const OnlyPath only(directory.path);
    CHECK(read_key_trace(xz).status().message() == xz + ": xz is needed to read it and is not on the PATH");
    CHECK(read_key_trace(zst).status().message() ==
          zst + ": zstd is needed to read it and is not on the PATH");
    CHECK(read_key_trace(directory.path / "no.xz").status().message().find("No such file") !=
          std::string::npos);
    // Stand-ins that show what they were called with.
    directory.write("xz", "#!/bin/sh\n[ \"$*\" = -dc ] && while read -r l; do echo \"$l\"; done\n", 0755);
    directory.write("zstd", "#!/bin/sh\necho half\nexit 3\n", 0755);
    CHECK(read_key_trace(xz).value().accesses == std::vector<std::uint32_t>{0, 1, 0});
    CHECK(read_key_trace(zst).status().message() == zst + ": zstd could not decompress it");
  }

  TEST_CASE("traces: copies have keys of their own and begin at different places") {
    KeyTrace trace;
    trace.accesses = {0, 1, 0, 2};
    trace.keys = {"A", "B", "C"};
    const KeyTrace two = multiply(trace, 2, 100);
    CHECK(two.accesses == std::vector<std::uint32_t>{0, 1, 2, 3, 0, 1, 4, 5});
    CHECK(two.keys == std::vector<std::string>{"0:A", "1:A", "0:B", "1:C", "0:C", "1:B"});
    const KeyTrace part = multiply(trace, 1, 3);
    CHECK(part.accesses == std::vector<std::uint32_t>{0, 1, 0});
    CHECK(part.keys == std::vector<std::string>{"A", "B"});
  }

  TEST_CASE("policies: a loop one larger than the cache") {
    const std::vector<std::uint32_t> loop = {0, 1, 2, 0, 1, 2, 0, 1, 2};
    CHECK(hits_of(Policy::kFifo, loop, 3, 2) == 0);
    CHECK(hits_of(Policy::kLru, loop, 3, 2) == 0);
    // 2 replaces 1, 0 hits, 1 replaces 0, 2 hits, 0 replaces 2, 1 hits, 2 misses.
    CHECK(hits_of(Policy::kBelady, loop, 3, 2) == 3);
    for (const Policy policy : kPolicies) CHECK(hits_of(policy, loop, 3, 3) == 6);
  }

  TEST_CASE("policies: what a use is worth to each") {
    const std::vector<std::uint32_t> uses = {0, 1, 0, 2, 0, 1};
    CHECK(hits_of(Policy::kFifo, uses, 3, 2) == 1);    // 2 replaces 0 although it was used
    CHECK(hits_of(Policy::kLru, uses, 3, 2) == 2);     // 2 replaces 1
    CHECK(hits_of(Policy::kBelady, uses, 3, 2) == 2);  // the same
    CHECK(hits_of(Policy::kLru, uses, 3, 1) == 0);
  }

  TEST_CASE("policies: S3-FIFO promotes after two uses as published, or after one") {
    // Ten fill the cache, 0 is used once, 10 needs room: 0 is the oldest in the small queue.
    const auto once = range(0, 10) + std::vector<std::uint32_t>{0, 10, 0};
    CHECK(hits_of(Policy::kS3Fifo, once, 11, 10) == 1);
    CHECK(hits_of(Policy::kS3FifoOnce, once, 11, 10) == 2);
    const auto twice = range(0, 10) + std::vector<std::uint32_t>{0, 0, 10, 0};
    CHECK(hits_of(Policy::kS3Fifo, twice, 11, 10) == 3);
  }

  TEST_CASE("policies: S3-FIFO's ghosts lead to the main queue, and are as many as its share") {
    for (const Policy policy : {Policy::kS3Fifo, Policy::kS3FifoOnce}) {
      // 10 evicts 0, which returns by its ghost to main and outlives ten keys used once.
      const auto returning =
          range(0, 11) + std::vector<std::uint32_t>{0} + range(11, 21) + std::vector<std::uint32_t>{0};
      CHECK(hits_of(policy, returning, 21, 10) == 1);
      // Nine evictions after its own eighth successor 0 is the oldest of nine ghosts; after one more it is
      // none.
      const auto late =
          range(0, 18) + std::vector<std::uint32_t>{0} + range(20, 30) + std::vector<std::uint32_t>{0};
      CHECK(hits_of(policy, late, 30, 10) == 1);
      const auto too_late =
          range(0, 19) + std::vector<std::uint32_t>{0} + range(20, 30) + std::vector<std::uint32_t>{0};
      CHECK(hits_of(policy, too_late, 30, 10) == 0);
    }
    CHECK(
        hits_of(Policy::kLru,
                range(0, 11) + std::vector<std::uint32_t>{0} + range(11, 21) + std::vector<std::uint32_t>{0},
                21, 10) == 0);
  }

  TEST_CASE("policies: none beats Belady, and an ample cache misses each key once") {
    const KeyTrace trace = zipf_trace(500, 20000);
    std::vector<bool> seen(500);
    std::uint64_t repeated = 0;
    for (const std::uint32_t key : trace.accesses) {
      repeated += seen[key] ? 1 : 0;
      seen[key] = true;
    }
    for (const Policy policy : kPolicies) {
      CHECK(hits_of(policy, trace.accesses, 500, 500) == repeated);
      CHECK(hits_of(policy, trace.accesses, 500, 40) <= hits_of(Policy::kBelady, trace.accesses, 500, 40));
    }
  }

  TEST_CASE("store: room for a number of items, exactly or nearly") {
    for (const std::size_t items : {7U, 10U, 13U, 15U}) CHECK(room_for(items, 8).items == items);
    for (const std::size_t items : {99U, 137U, 763U, 7634U, 100000U, 1000000U}) {
      CAPTURE(items);
      const ItemRoom room = room_for(items, 20);
      CHECK(std::abs(static_cast<double>(room.items) / static_cast<double>(items) - 1) <= 0.03);
      CHECK(room.chunk_bytes >= 41);
    }
    CHECK(room_for(std::size_t{1} << 40, 8).pages == 0);
  }

  TEST_CASE("store: holds as many items as it has room for, and finds what it holds") {
    const ReplayResult few = replay_in_store_of(trace_of(range(0, 5) + range(0, 5), 5), 10).value();
    CHECK(few.hits == 5);
    CHECK(few.items == 5);
    const ReplayResult many = replay_in_store_of(trace_of(range(0, 100), 100), 10).value();
    CHECK(many.hits == 0);
    CHECK(many.items == 10);
    CHECK(many.refused == 0);
    CHECK_FALSE(replay_in_store_of(trace_of({0}, 1), std::size_t{1} << 40).is_ok());
  }

  TEST_CASE("store: hits as often as exact S3-FIFO with as many items") {
    const KeyTrace trace = zipf_trace(5000, 200000);
    const ReplayResult result = replay_in_store_of(trace, 500).value();
    const auto exact = static_cast<double>(hits_of(Policy::kS3FifoOnce, trace.accesses, 5000, result.items));
    const double difference =
        (static_cast<double>(result.hits) - exact) / static_cast<double>(trace.accesses.size());
    CHECK(std::abs(difference) <= 0.005);
  }

  TEST_CASE("store: with a limit in bytes, values of different sizes") {
    const ReplayResult result =
        replay_in_store(zipf_trace(20000, 50000), std::size_t{8} << 20, {.min = 1000, .max = 4000}).value();
    CHECK(result.refused == 0);
    CHECK(result.items > 2000);
    CHECK(result.items < 3500);
    CHECK(result.hits > 25000);
  }

  TEST_CASE("values have a size of their own within the range") {
    const ValueSizes sizes{.min = 10, .max = 13};
    std::array<int, 4> counts{};
    for (std::uint32_t key = 0; key < 4000; ++key) {
      REQUIRE(sizes.of(key) >= 10);
      REQUIRE(sizes.of(key) <= 13);
      CHECK(sizes.of(key) == sizes.of(key));
      ++counts[sizes.of(key) - 10];
    }
    for (const int count : counts) CHECK(count > 800);
    CHECK(ValueSizes{.min = 7, .max = 7}.of(3) == 7);
  }

  TEST_CASE("server: what is missed is set before the key is read again, whatever the batch") {
    const auto accesses = std::vector<std::uint32_t>{0, 0, 1, 0, 2, 2, 1, 0, 3};
    for (const unsigned batch : {1U, 2U, 3U, 16U}) {
      CAPTURE(batch);
      const TemporaryDirectory directory;
      const std::string path = directory.path / "socket";
      FakeServer server(path, true);
      const ReplayResult result =
          replay_to_server(trace_of(accesses, 4), {.unix_path = path}, {.min = 5, .max = 9000}, batch)
              .value();
      CHECK(result.hits == 5);
      CHECK(result.items == 4);
      CHECK(result.refused == 0);
    }
  }

  TEST_CASE("server: one that holds one item hits where the key is the last one set") {
    const TemporaryDirectory directory;
    const std::string path = directory.path / "socket";
    FakeServer server(path, false);
    const ReplayResult result =
        replay_to_server(trace_of({0, 0, 1, 1, 0, 1}, 2), {.unix_path = path}, {.min = 1, .max = 1}, 16)
            .value();
    // Batches: 0 | 0 1 | 1 0 | 1. The last one finds its key replaced by the set of 0.
    CHECK(result.hits == 2);
    CHECK(result.items == 1);
  }

  TEST_CASE("server: that is not there, or leaves, is an error") {
    const TemporaryDirectory directory;
    const std::string path = directory.path / "none";
    const Result<ReplayResult> result = replay_to_server(trace_of({0}, 1), {.unix_path = path}, {}, 1);
    CHECK(result.status().message().starts_with("cannot connect"));
  }
}

}  // namespace
}  // namespace ringcached::bench
