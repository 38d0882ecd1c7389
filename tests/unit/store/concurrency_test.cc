// Threads that meet in the store. Every value tells what it must be, so that a mixture of two is noticed.
#include <doctest/doctest.h>

#include <atomic>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "store/expiry.h"
#include "store/store_read.h"

using namespace ringcached;
using namespace ringcached::store;

namespace {

constexpr CacheTime kNow = 1000;

// "number:version:length:" and a filling that depends on the version. doctest's macros are not for many
// threads: threads return what went wrong.
std::string describing_value(unsigned number, std::uint64_t version, std::size_t filling) {
  std::string value =
      std::to_string(number) + ":" + std::to_string(version) + ":" + std::to_string(filling) + ":";
  for (std::size_t i = 0; i < filling; ++i)
    value += static_cast<char>('a' + (version * 7 + i * (number + 3)) % 26);
  return value;
}

bool is_consistent(unsigned number, const std::string& value) {
  const std::size_t first = value.find(':');
  const std::size_t second = value.find(':', first + 1);
  const std::size_t third = value.find(':', second + 1);
  if (third == std::string::npos) return false;
  const std::uint64_t version = std::stoull(value.substr(first + 1, second - first - 1));
  const std::size_t filling = std::stoull(value.substr(second + 1, third - second - 1));
  return value == describing_value(number, version, filling);
}

std::string key_of(unsigned number) {
  return "key-" + std::to_string(number);
}

// One thread's calls.
class Client {
 public:
  explicit Client(Store& store) : store_(store), thread_(store.attach()) {}

  StoreResult put(StoreMode mode, const std::string& key, std::string_view value, std::uint64_t cas = 0,
                  CacheTime expiry = kNeverExpires) {
    StoreRequest request;
    request.mode = mode;
    request.key = seen_ahead(key, Access::kWrite);
    request.cas_compare = cas;
    request.expiry = expiry;
    return store_.put(thread_, request, value, now);
  }
  // As the server does it: the plain way first.
  bool get(const std::string& key, std::string& value) {
    const auto place_plainly = [&](const ItemInfo& seen) {
      info = seen;
      value.resize(seen.value_bytes);
      return value.data();
    };
    if (store_.read_plain(thread_, seen_ahead(key, Access::kRead), now, place_plainly)) return true;
    const auto place = [&](const ItemInfo& seen) {
      info = seen;
      value.resize(seen.value_bytes);
      return ReadTarget{value.data(), false};
    };
    return store_.read(thread_, store_.key(key), now, {}, place, nullptr) == Lookup::kHit;
  }
  Pin pin(const std::string& key) {
    Pin pin;
    store_.read(
        thread_, store_.key(key), now, {},
        [](const ItemInfo&) {
          return ReadTarget{nullptr, true};
        },
        &pin);
    return pin;
  }
  std::string pieces(const Pin& pin) const {
    std::string value;
    store_.for_each_piece(pin,
                          [&](std::span<const char> piece) { value.append(piece.data(), piece.size()); });
    return value;
  }
  void remove(const std::string& key) { store_.remove(thread_, store_.key(key), now); }
  // With an id of the client's choice.
  StoreResult set_with_id(const std::string& key, std::string_view value, std::uint64_t id) {
    StoreRequest request;
    request.key = store_.key(key);
    request.cas_explicit = id;
    return store_.put(thread_, request, value, now);
  }
  bool touch_until(const std::string& key, CacheTime expiry) {
    return store_.touch(thread_, store_.key(key), expiry, now);
  }
  bool increment(const std::string& key, std::uint64_t& value) {
    return store_.arithmetic(thread_, store_.key(key), {}, now, value) == ArithmeticResult::kDone;
  }
  void touch(const std::string& key) { store_.touch(thread_, store_.key(key), now + 1000, now); }
  void maintain() { thread_.maintain(now, 500); }
  void flush() { store_.flush(thread_); }

  CacheTime now = kNow;
  ItemInfo info;

 private:
  // As in a pipeline: from here until the key is used the other threads do what they like.
  Key seen_ahead(const std::string& key, Access access) {
    Key seen;
    store_.prefetch(key, seen, access);
    store_.prefetch_items(1, [&](std::size_t) -> Key& { return seen; });
    return seen;
  }

  Store& store_;
  StoreThread& thread_;
};

struct Run {
  explicit Run(const Options& options) : store(std::move(Store::create(options).value())) {}

  // Each function on a thread of its own, with a client of its own. Returns how many complaints there were.
  unsigned all(const std::vector<std::function<unsigned(Client&)>>& functions) {
    std::vector<std::unique_ptr<Client>> clients;
    for (std::size_t i = 0; i < functions.size(); ++i) clients.push_back(std::make_unique<Client>(*store));
    std::atomic<unsigned> complaints{0};
    std::vector<std::thread> threads;
    for (std::size_t i = 0; i < functions.size(); ++i) {
      threads.emplace_back([&, i] { complaints += functions[i](*clients[i]); });
    }
    for (std::thread& thread : threads) thread.join();
    return complaints;
  }
  std::uint64_t chunks_used() const {
    std::uint64_t sum = 0;
    for (unsigned i = 1; i <= store->class_count(); ++i) sum += store->class_stats(i).chunks_used;
    return sum;
  }
  // Removes everything and checks that all memory has come back.
  void check_empties() {
    Client client(*store);
    client.flush();
    for (int i = 0; i < 100000 && store->stats().items > 0; ++i) maintain_every_arena(client);
    CHECK(store->stats().items == 0);
    CHECK(store->stats().bytes == 0);
  }

  std::unique_ptr<Store> store;

 private:
  // A flush with 64 epochs behind it looks at all arenas, whosever they are.
  static void maintain_every_arena(Client& client) {
    for (unsigned i = 0; i < 70; ++i) {
      client.put(StoreMode::kSet, "sweeper", "x");
      client.flush();
    }
    client.remove("sweeper");
    client.maintain();
  }
};

// Besides those that meet, a few that prepare and look at the result.
Options options_for(unsigned threads) {
  Options options;
  options.threads = threads + 3;
  options.index_power_initial = 4;
  return options;
}

unsigned mixed_commands(Client& client, unsigned seed, unsigned keys, std::size_t filling_max,
                        unsigned rounds) {
  std::mt19937 random(seed);
  unsigned wrong = 0;
  std::string value;
  for (unsigned i = 0; i < rounds; ++i) {
    const unsigned number = static_cast<unsigned>(random()) % keys;
    const std::string key = key_of(number);
    const std::size_t filling = random() % filling_max;
    switch (random() % 10) {
      case 0:
        client.remove(key);
        break;
      case 1:
        client.put(StoreMode::kAdd, key, describing_value(number, i, filling));
        break;
      case 2:
        client.put(StoreMode::kReplace, key, describing_value(number, i, filling));
        break;
      case 3:
        client.touch(key);
        break;
      case 4:
      case 5:
        client.put(StoreMode::kSet, key, describing_value(number, i, filling));
        break;
      case 6:
        if (const Pin pin = client.pin(key)) wrong += is_consistent(number, client.pieces(pin)) ? 0 : 1;
        break;
      default:
        if (client.get(key, value)) wrong += is_consistent(number, value) ? 0 : 1;
    }
    if (i % 64 == 0) client.maintain();
  }
  return wrong;
}

}  // namespace

TEST_SUITE("store threads") {
  TEST_CASE("few keys, all commands, small and chained values") {
    Run run(options_for(4));
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned i = 0; i < 4; ++i) {
      threads.push_back([i](Client& client) {
        return mixed_commands(client, i, 3, 60, 4000) + mixed_commands(client, i, 4, 9000, 600) +
               mixed_commands(client, i, 2, 80000, 60);
      });
    }
    CHECK(run.all(threads) == 0);
    run.check_empties();
  }

  TEST_CASE("in-place overwrites are never seen half done") {
    Run run(options_for(4));
    const auto write = [](Client& client) -> unsigned {
      for (unsigned i = 0; i < 8000; ++i)
        client.put(StoreMode::kSet, key_of(1), describing_value(1, i % 10, 200));
      return 0;
    };
    const auto read = [](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::string value;
      for (unsigned i = 0; i < 8000; ++i) {
        if (client.get(key_of(1), value)) wrong += is_consistent(1, value) ? 0 : 1;
      }
      return wrong;
    };
    CHECK(run.all({write, write, read, read}) == 0);
    CHECK(run.store->stats().in_place_overwrites > 15000);
    CHECK(run.store->stats().items == 1);
  }

  TEST_CASE("many keys under eviction") {
    Options options = options_for(4);
    options.memory_limit_bytes = std::size_t{4} << 20;
    Run run(options);
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned i = 0; i < 4; ++i) {
      threads.push_back([i](Client& client) {
        return mixed_commands(client, i, 20000, 400, 8000) + mixed_commands(client, i, 500, 40000, 300);
      });
    }
    CHECK(run.all(threads) == 0);
    CHECK(run.store->stats().evictions > 0);
    run.check_empties();
  }

  TEST_CASE("increments are exact, while the number grows out of its chunk") {
    constexpr unsigned kThreads = 4, kIncrements = 5000;
    Run run(options_for(kThreads));
    run.all({[](Client& client) -> unsigned {
      client.put(StoreMode::kSet, "counter", "0");
      return 0;
    }});
    const auto count = [](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::uint64_t value = 0, before = 0;
      for (unsigned i = 0; i < kIncrements; ++i) {
        if (!client.increment("counter", value) || value <= before) ++wrong;
        before = value;
      }
      return wrong;
    };
    CHECK(run.all(std::vector<std::function<unsigned(Client&)>>(kThreads, count)) == 0);
    Client reader(*run.store);
    std::string value;
    CHECK(reader.get("counter", value));
    CHECK(value == std::to_string(kThreads * kIncrements));
  }

  TEST_CASE("of compare-and-swaps on one version exactly one succeeds") {
    constexpr unsigned kThreads = 4, kSwaps = 1500;
    Run run(options_for(kThreads));
    run.all({[](Client& client) -> unsigned {
      client.put(StoreMode::kSet, "register", "0");
      return 0;
    }});
    const auto swap = [](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::string value;
      std::uint64_t last_cas = 0;
      for (unsigned done = 0; done < kSwaps;) {
        if (!client.get("register", value)) return 1000;
        if (client.info.cas < last_cas) ++wrong;  // ids of a key only grow
        last_cas = client.info.cas;
        const std::string next = std::to_string(std::stoull(value) + 1);
        const StoreResult result = client.put(StoreMode::kCas, "register", next, last_cas);
        if (result == StoreResult::kStored)
          ++done;
        else if (result != StoreResult::kExists)
          ++wrong;
      }
      return wrong;
    };
    CHECK(run.all(std::vector<std::function<unsigned(Client&)>>(kThreads, swap)) == 0);
    Client reader(*run.store);
    std::string value;
    CHECK(reader.get("register", value));
    CHECK(value == std::to_string(kThreads * kSwaps));
  }

  TEST_CASE("appends of many threads all arrive, in pieces that stay whole") {
    constexpr unsigned kThreads = 3, kAppends = 520;
    Run run(options_for(kThreads));
    run.all({[](Client& client) -> unsigned {
      client.put(StoreMode::kSet, "log", "");
      return 0;
    }});
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned thread = 0; thread < kThreads; ++thread) {
      threads.push_back([thread](Client& client) -> unsigned {
        unsigned wrong = 0;
        const std::string piece = "<" + std::string(20, static_cast<char>('a' + thread)) + ">";
        for (unsigned i = 0; i < kAppends; ++i) {
          const StoreMode mode = i % 2 == 0 ? StoreMode::kAppend : StoreMode::kPrepend;
          if (client.put(mode, "log", piece) != StoreResult::kStored) ++wrong;
        }
        return wrong;
      });
    }
    CHECK(run.all(threads) == 0);
    Client reader(*run.store);
    std::string value;
    REQUIRE(reader.get("log", value));
    REQUIRE(value.size() == kThreads * kAppends * 22);
    std::vector<unsigned> seen(kThreads);
    for (std::size_t at = 0; at < value.size(); at += 22) {
      const char letter = value[at + 1];
      REQUIRE(value.substr(at, 22) == "<" + std::string(20, letter) + ">");
      ++seen[static_cast<unsigned>(letter - 'a')];
    }
    for (const unsigned each : seen) CHECK(each == kAppends);
    run.check_empties();
  }

  TEST_CASE("a touch is not lost to an append that was building the next value meanwhile") {
    constexpr unsigned kAppends = 3000;
    Run run(options_for(2));
    run.all({[](Client& client) -> unsigned {
      client.put(StoreMode::kSet, "log", std::string(2 * kPinBytesMin, 'x'));
      return 0;
    }});
    std::atomic<bool> enough{false};
    const auto append = [&](Client& client) -> unsigned {
      for (unsigned i = 0; i < kAppends; ++i) client.put(StoreMode::kAppend, "log", "y");
      enough = true;
      return 0;
    };
    const auto touch = [&](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::string value;
      for (CacheTime expiry = kNow + 10; !enough; ++expiry) {
        if (!client.touch_until("log", expiry) || !client.get("log", value)) return 1000;
        if (client.info.expiry != expiry) ++wrong;
      }
      return wrong;
    };
    CHECK(run.all({append, touch}) == 0);
  }

  TEST_CASE("a set is not lost to an append that began before it, though both versions have one id") {
    constexpr unsigned kAppends = 30000;
    constexpr std::uint64_t kId = 77;
    // One more byte needs the next class, so that every append builds the value anew.
    const std::string piece(400, '+');
    Run run(options_for(2));
    std::atomic<bool> enough{false};
    const auto append = [&](Client& client) -> unsigned {
      for (unsigned i = 0; i < kAppends; ++i) client.put(StoreMode::kAppend, "register", piece);
      enough = true;
      return 0;
    };
    const auto set = [&](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::string value;
      for (unsigned i = 0; !enough; ++i) {
        const std::string mine = std::to_string(1000000 + i % 1000000);
        client.set_with_id("register", mine, kId);
        if (!client.get("register", value) || !value.starts_with(mine)) ++wrong;
      }
      return wrong;
    };
    CHECK(run.all({append, set}) == 0);
  }

  TEST_CASE("nothing is missed while the index grows") {
    constexpr unsigned kItems = 12000, kWriters = 2;
    Run run(options_for(4));
    std::vector<std::atomic<unsigned>> written(kWriters);
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned writer = 0; writer < kWriters; ++writer) {
      threads.push_back([&written, writer](Client& client) -> unsigned {
        for (unsigned i = 0; i < kItems; ++i) {
          const unsigned number = i * kWriters + writer;
          if (client.put(StoreMode::kSet, key_of(number), describing_value(number, i, 10)) !=
              StoreResult::kStored) {
            return 1;
          }
          written[writer].store(i + 1, std::memory_order_release);
        }
        return 0;
      });
      threads.push_back([&written, writer](Client& client) -> unsigned {
        unsigned wrong = 0;
        std::string value;
        std::mt19937 random(writer);
        for (unsigned known = 0; known < kItems;) {
          known = written[writer].load(std::memory_order_acquire);
          if (known == 0) continue;
          const unsigned number = static_cast<unsigned>(random()) % known * kWriters + writer;
          if (!client.get(key_of(number), value) || !is_consistent(number, value)) ++wrong;
        }
        return wrong;
      });
    }
    CHECK(run.all(threads) == 0);
    CHECK(run.store->stats().items == kItems * kWriters);
    CHECK(run.store->stats().index_power >= 14);
  }

  TEST_CASE("what was stored before a flush is gone when it returns") {
    Run run(options_for(4));
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.push_back([i](Client& client) -> unsigned {
        unsigned wrong = 0;
        std::string value;
        for (unsigned round = 0; round < 400; ++round) {
          const std::string own_key = "own-" + std::to_string(i);
          client.put(StoreMode::kSet, own_key, describing_value(i, round, 10));
          client.flush();
          if (client.get(own_key, value)) ++wrong;
          if (round % 16 == 0) client.maintain();
        }
        return wrong;
      });
    }
    threads.push_back([](Client& client) { return mixed_commands(client, 9, 50, 300, 4000); });
    CHECK(run.all(threads) == 0);
    run.check_empties();
  }

  TEST_CASE("what was flushed does not live on in a number that was being counted up") {
    constexpr unsigned kRounds = 20000;
    Run run(options_for(2));
    std::atomic<bool> enough{false};
    const auto count = [&](Client& client) -> unsigned {
      std::uint64_t value = 0;
      while (!enough) client.increment("counter", value);
      return 0;
    };
    // Each flush is followed by a look, without a set in between: whatever is there was kept from before.
    const auto flush = [&](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::string value;
      for (unsigned i = 0; i < kRounds; ++i) {
        client.put(StoreMode::kSet, "counter", "1");
        client.flush();
        if (client.get("counter", value)) ++wrong;
      }
      enough = true;
      return wrong;
    };
    CHECK(run.all({count, flush}) == 0);
  }

  TEST_CASE("pinned values stay as they were, and their memory comes back") {
    Options options = options_for(4);
    options.memory_limit_bytes = std::size_t{8} << 20;
    Run run(options);
    constexpr unsigned kKeys = 4;
    const auto write = [](Client& client) -> unsigned {
      for (unsigned i = 0; i < 400; ++i) {
        const unsigned number = i % kKeys;
        if (i % 7 == 0) client.remove(key_of(number));
        client.put(StoreMode::kSet, key_of(number),
                   describing_value(number, i, i % 3 == 0 ? 90000 : 5000 + i));
      }
      return 0;
    };
    const auto read = [](Client& client) -> unsigned {
      unsigned wrong = 0;
      std::vector<std::pair<Pin, std::string>> held;
      for (unsigned i = 0; i < 500; ++i) {
        const unsigned number = i % kKeys;
        if (Pin pin = client.pin(key_of(number))) {
          std::string now = client.pieces(pin);
          if (!is_consistent(number, now)) ++wrong;
          held.emplace_back(std::move(pin), std::move(now));
        }
        if (held.size() < 12) continue;
        for (const auto& [pin, before] : held) wrong += client.pieces(pin) == before ? 0 : 1;
        held.erase(held.begin(), held.begin() + 6);
      }
      return wrong;
    };
    CHECK(run.all({write, write, read, read}) == 0);
    run.check_empties();
  }

  TEST_CASE("without eviction stores fail when memory is used up, and go on when there is room again") {
    Options options = options_for(3);
    options.memory_limit_bytes = std::size_t{2} << 20;
    options.evict = false;
    Run run(options);
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.push_back([i](Client& client) -> unsigned {
        unsigned wrong = 0, refused = 0;
        std::string value;
        for (unsigned round = 0; round < 6000; ++round) {
          const unsigned number = round * 3 + i;
          const StoreResult result =
              client.put(StoreMode::kSet, key_of(number), describing_value(number, round, 300));
          if (result == StoreResult::kNoMemory)
            ++refused;
          else if (result != StoreResult::kStored || !client.get(key_of(number), value))
            ++wrong;
          if (round % 2 == 1 && refused > 0) client.remove(key_of((round - refused) * 3 + i));
        }
        return wrong + (refused == 0 ? 1 : 0);
      });
    }
    CHECK(run.all(threads) == 0);
    CHECK(run.store->stats().evictions == 0);
    CHECK(run.store->stats().out_of_memory > 0);
  }

  TEST_CASE("items expire under all threads at once") {
    Run run(options_for(4));
    std::vector<std::function<unsigned(Client&)>> threads;
    for (unsigned i = 0; i < 4; ++i) {
      threads.push_back([i](Client& client) -> unsigned {
        unsigned wrong = 0;
        std::string value;
        for (unsigned round = 0; round < 6000; ++round) {
          client.now = kNow + round / 100;
          const unsigned number = round % 400;
          client.put(StoreMode::kSet, key_of(number), describing_value(number, round + i, 30), 0,
                     client.now + 2);
          if (client.get(key_of((number + 7) % 400), value) && !is_consistent((number + 7) % 400, value))
            ++wrong;
          if (round % 50 == 0) client.maintain();
        }
        client.now += 10;
        for (unsigned step = 0; step < 50; ++step) client.maintain();
        return wrong;
      });
    }
    CHECK(run.all(threads) == 0);
    CHECK(run.store->stats().items == 0);
  }
}
