// Random commands against a reference: an ordered map with the rules of the specification. With memory to
// spare every answer must agree; where items are evicted a miss is allowed at any time, a wrong value never.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "support/environment.h"
#include "unit/store/store_fixture.h"

using namespace ringcached;
using namespace ringcached::store;
using ringcached::testing::number_from_environment;
using ringcached::testing::StoreFixture;

namespace {

struct Entry {
  std::string value;
  std::uint32_t flags = 0;
  CacheTime expiry = kNeverExpires;
  std::uint64_t cas = 0;
};

class Model {
 public:
  Model(const Options& options, bool ample, std::uint64_t seed)
      : options_(options), ample_(ample), store_(options), random_(seed) {}

  void run(unsigned commands) {
    for (unsigned i = 0; i < commands; ++i) {
      INFO("command number ", i);
      if (below(200) == 0) pass_time();
      if (below(500) == 0) flush();
      if (i % kPipeline == 0) begin_pipeline();
      step(pipeline_[i % kPipeline]);
    }
    store_.prefetch({});
    sweep();
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  // What the following commands are about, seen ahead: some of these keys twice, and in an index that grows.
  void begin_pipeline() {
    pipeline_.clear();
    while (pipeline_.size() < kPipeline) pipeline_.push_back(key());
    store_.prefetch(pipeline_);
  }
  std::string key() {
    const unsigned number = below(kKeys);
    return "key" + std::string(number % 5 * 20, '-') + std::to_string(number);
  }
  std::string value() {
    switch (below(12)) {
      case 0:
        return std::to_string(random_());
      case 1:
        return std::to_string(below(12));
      case 2:
        return StoreFixture::pattern(4000 + below(200), random_());
      case 3:
        return StoreFixture::pattern(below(100000), random_());
      default:
        return StoreFixture::pattern(below(200), random_());
    }
  }

  Entry* alive(const std::string& name) {
    const auto at = entries_.find(name);
    if (at == entries_.end()) return nullptr;
    if (!is_expired(at->second.expiry, store_.now)) return &at->second;
    entries_.erase(at);
    return nullptr;
  }
  // The store's view of the key must be the model's; eviction may have taken it, which the model then learns.
  void compare(const std::string& name) {
    const std::string got = store_.get(name, {.quiet = true});
    const Entry* entry = alive(name);
    const bool hit = store_.lookup == Lookup::kHit;
    if (!hit && entry != nullptr && !ample_) {
      entries_.erase(name);
      return;
    }
    CAPTURE(name);
    REQUIRE(hit == (entry != nullptr));
    if (!hit) return;
    REQUIRE(got == entry->value);
    if (std::string plain; below(2) == 0 && store_.get_plain(name, plain)) REQUIRE(plain == entry->value);
    REQUIRE(store_.info.client_flags == entry->flags);
    REQUIRE(store_.info.expiry == entry->expiry);
    if (!options_.cas) {
      REQUIRE(store_.info.cas == 0);
    } else if (entry->cas != 0) {
      REQUIRE(store_.info.cas == entry->cas);
    }
    entry_of(name).cas = store_.info.cas;
  }
  Entry& entry_of(const std::string& name) { return entries_[name]; }
  void learn(const std::string& name) {
    const std::string got = store_.get(name, {.quiet = true});
    if (store_.lookup != Lookup::kHit) return;
    entries_[name] = {got, store_.info.client_flags, store_.info.expiry, store_.info.cas};
  }

  void step(const std::string& name) {
    compare(name);
    switch (below(14)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return put(StoreMode::kSet, name);
      case 4:
        return put(StoreMode::kAdd, name);
      case 5:
        return put(StoreMode::kReplace, name);
      case 6:
        return put(StoreMode::kAppend, name);
      case 7:
        return put(StoreMode::kPrepend, name);
      case 8:
        return put(StoreMode::kCas, name);
      case 9:
        return remove(name);
      case 10:
      case 11:
        return count(name);
      case 12:
        return touch(name);
      default:
        store_.thread->maintain(store_.now, below(3000));
    }
  }

  // What the answer must be, and the entry there is after it.
  struct Expected {
    StoreResult result;
    std::optional<Entry> after;
  };
  Expected expect(StoreMode mode, const Entry* old, const Entry& wanted, std::size_t key_bytes,
                  std::uint64_t cas) const {
    const auto kept = old != nullptr ? std::optional<Entry>(*old) : std::nullopt;
    const bool joins = mode == StoreMode::kAppend || mode == StoreMode::kPrepend;
    const bool alone_too_large =
        item_bytes(key_bytes, wanted.value.size(), wanted.flags, options_.cas) > options_.item_bytes_max;
    if (joins) {
      if (alone_too_large) return {StoreResult::kTooLarge, kept};
      if (old == nullptr) return {StoreResult::kNotStored, kept};
      Entry joined = *old;
      joined.value = mode == StoreMode::kAppend ? old->value + wanted.value : wanted.value + old->value;
      joined.cas = 0;
      const std::size_t bytes = item_bytes(key_bytes, joined.value.size(), joined.flags, options_.cas);
      if (bytes > options_.item_bytes_max) return {StoreResult::kNotStored, kept};
      return {StoreResult::kStored, joined};
    }
    if (alone_too_large) {
      return {StoreResult::kTooLarge, mode == StoreMode::kSet ? std::nullopt : kept};
    }
    if (mode == StoreMode::kAdd && old != nullptr) return {StoreResult::kNotStored, kept};
    if (mode == StoreMode::kReplace && old == nullptr) return {StoreResult::kNotStored, kept};
    if (mode == StoreMode::kCas && old == nullptr) return {StoreResult::kNotFound, kept};
    if (mode == StoreMode::kCas && (!options_.cas || old->cas != cas)) return {StoreResult::kExists, kept};
    return {StoreResult::kStored, wanted};
  }

  void put(StoreMode mode, const std::string& name) {
    const Entry* old = alive(name);
    Entry wanted{value(), below(3) == 0 ? below(1000) : 0, kNeverExpires, 0};
    if (below(4) == 0) wanted.expiry = below(10) == 0 ? kAlreadyExpired : store_.now + 1 + below(100);
    StoreRequest request = store_.request(mode, name);
    request.client_flags = wanted.flags;
    request.expiry = wanted.expiry;
    if (mode == StoreMode::kCas) request.cas_compare = old != nullptr && below(3) != 0 ? old->cas : 12345;
    const Expected expected = expect(mode, old, wanted, name.size(), request.cas_compare);
    const StoreResult result = store(request, wanted.value);
    settle(name, mode, expected, result);
  }
  // At once or in pieces.
  StoreResult store(const StoreRequest& request, const std::string& bytes) {
    if (below(2) == 0) return store_.store->put(*store_.thread, request, bytes, store_.now);
    PendingStore pending;
    const StoreResult begun = store_.store->begin(*store_.thread, request, bytes.size(), store_.now, pending);
    if (begun != StoreResult::kStored) return begun;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t piece = std::min<std::size_t>(bytes.size() - at, 1 + below(20000));
      if (!pending.write({bytes.data() + at, piece}))
        return StoreResult::kNotStored;  // and the old item stays
      at += piece;
    }
    return store_.store->commit(*store_.thread, request, std::move(pending), store_.now);
  }
  void settle(const std::string& name, StoreMode mode, const Expected& expected, StoreResult result) {
    if (result == expected.result) {
      if (expected.after)
        entries_[name] = *expected.after;
      else
        entries_.erase(name);
    } else {
      CAPTURE(static_cast<int>(mode));
      CAPTURE(static_cast<int>(expected.result));
      CAPTURE(static_cast<int>(result));
      REQUIRE(!ample_);
      if (result == StoreResult::kStored) {
        REQUIRE(mode == StoreMode::kAdd);  // making room for the new item took the old one
        entries_.erase(name);
      } else {
        const bool no_room = result == StoreResult::kNoMemory || result == StoreResult::kNotStored;
        REQUIRE((no_room || result == StoreResult::kNotFound));
        if (mode == StoreMode::kSet && result == StoreResult::kNoMemory) entries_.erase(name);
      }
      if (result == StoreResult::kStored) return learn(name);
    }
    compare(name);
  }

  void remove(const std::string& name) {
    const bool there = alive(name) != nullptr;
    CHECK(store_.remove(name) == (there ? DeleteResult::kDeleted : DeleteResult::kNotFound));
    entries_.erase(name);
    compare(name);
  }
  void touch(const std::string& name) {
    Entry* entry = alive(name);
    const CacheTime expiry = store_.now + 1 + below(50);
    CHECK(store_.store->touch(*store_.thread, store_.store->key(name), expiry, store_.now) ==
          (entry != nullptr));
    if (entry != nullptr) entry->expiry = expiry;
    compare(name);
  }

  static std::optional<std::uint64_t> number_in(const std::string& text) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end == 0 || end > 20) return std::nullopt;
    std::uint64_t number = 0;
    for (std::size_t i = 0; i < end; ++i) {
      if (text[i] < '0' || text[i] > '9') return std::nullopt;
      const auto digit = static_cast<std::uint64_t>(text[i] - '0');
      if (number > (UINT64_MAX - digit) / 10) return std::nullopt;
      number = number * 10 + digit;
    }
    return number;
  }
  void count(const std::string& name) {
    Entry* entry = alive(name);
    if (entry != nullptr && entry->value.size() >= kPinBytesMin)
      return;  // exact length or padded, both are right
    const bool decrement = below(2) == 0;
    const std::uint64_t delta = below(3) == 0 ? random_() : below(20);
    const std::string answer = store_.count(name, decrement, delta);
    if (entry == nullptr) {
      CHECK(answer == "(miss)");
    } else if (const auto number = number_in(entry->value); !number) {
      CHECK(answer == "(text)");
    } else if (answer == "(memory)" || answer == "(miss)") {
      CHECK_FALSE(ample_);
    } else {
      const std::uint64_t next = decrement ? (*number > delta ? *number - delta : 0) : *number + delta;
      CHECK(answer == std::to_string(next));
      std::string text = answer;
      if (text.size() < entry->value.size()) text.resize(entry->value.size(), ' ');
      entry->value = text;
      entry->cas = 0;
    }
    compare(name);
  }

  void pass_time() { store_.now += below(30); }
  void flush() {
    store_.store->flush(*store_.thread);
    entries_.clear();
  }
  // At the end the store holds what the model holds, and nothing else.
  void sweep() {
    for (const auto& [name, entry] : std::map<std::string, Entry>(entries_)) compare(name);
    store_.maintain_all();
    std::erase_if(entries_, [&](const auto& each) { return is_expired(each.second.expiry, store_.now); });
    const StoreStats stats = store_.store->stats();
    std::uint64_t bytes = 0;
    for (const auto& [name, entry] : entries_) {
      bytes += item_bytes(name.size(), entry.value.size(), entry.flags, options_.cas);
    }
    if (ample_) CHECK(stats.items == entries_.size());
    if (ample_) CHECK(stats.bytes == bytes);
    for (const auto& [name, entry] : entries_) store_.remove(name);
    store_.store->flush(*store_.thread);
    store_.maintain_all();
    CHECK(store_.store->stats().items == 0);
    CHECK(store_.store->stats().bytes == 0);
    for (unsigned i = 1; i <= store_.store->class_count(); ++i) {
      const Store::ClassStats of_class = store_.store->class_stats(i);
      CHECK(of_class.items == 0);
      CHECK(of_class.bytes_requested == 0);
      CHECK(of_class.chunks_used == 0);
    }
  }

  static constexpr unsigned kKeys = 60;
  static constexpr unsigned kPipeline = 16;
  const Options options_;
  const bool ample_;
  StoreFixture store_;
  std::mt19937_64 random_;
  std::vector<std::string> pipeline_;
  std::map<std::string, Entry> entries_;
};

// What an operator can choose, and what the model must know of it.
struct OptionSet {
  const char* name;
  void (*choose)(Options& options);
  bool ample = true;  // nothing is evicted and nothing refused
};

Options base_options() {
  Options options = StoreFixture::default_options();
  options.item_bytes_max = 80000;
  options.index_power_initial = 4;
  return options;
}

void make_tiny(Options& options) {
  options.memory_limit_bytes = std::size_t{3} << 18;
}

constexpr OptionSet kOptionSets[] = {
    {"defaults", [](Options&) {}},
    {"fine size classes", [](Options& o) { o.memory_limit_bytes = std::size_t{1} << 30; }},
    {"without ids", [](Options& o) { o.cas = false; }},
    {"an index that does not grow", [](Options& o) { o.index_growth = false; }},
    {"a large index", [](Options& o) { o.index_power_initial = 20; }},
    {"small items only", [](Options& o) { o.item_bytes_max = 1024; }},
    {"no value in several chunks", [](Options& o) { o.item_bytes_max = 30000; }},
    {"values of megabytes", [](Options& o) { o.item_bytes_max = std::size_t{16} << 20; }},
    {"lru", [](Options& o) { o.lru = true; }},
    {"pages stay with their class", [](Options& o) { o.slab_reassign = false; }},
    {"pages move on request only", [](Options& o) { o.slab_automove = false; }},
    {"eight threads", [](Options& o) { o.threads = 8; }},
    {"eight threads, fine classes",
     [](Options& o) {
       o.threads = 8;
       o.memory_limit_bytes = std::size_t{8} << 30;
     }},
    {"two nodes",
     [](Options& o) {
       o.nodes = {1000, 1001};
     }},
    {"lru without ids",
     [](Options& o) {
       o.lru = true;
       o.cas = false;
     }},
    {"tiny", make_tiny, false},
    {"tiny, lru",
     [](Options& o) {
       make_tiny(o);
       o.lru = true;
     },
     false},
    {"tiny, without ids",
     [](Options& o) {
       make_tiny(o);
       o.cas = false;
     },
     false},
    {"tiny, pages stay",
     [](Options& o) {
       o.memory_limit_bytes = std::size_t{2} << 20;
       o.slab_reassign = false;
     },
     false},
    {"tiny, pages move on request",
     [](Options& o) {
       make_tiny(o);
       o.slab_automove = false;
     },
     false},
    {"tiny, lru, pages stay",
     [](Options& o) {
       o.memory_limit_bytes = std::size_t{2} << 20;
       o.lru = true;
       o.slab_reassign = false;
     },
     false},
    {"tiny, four threads",
     [](Options& o) {
       o.memory_limit_bytes = std::size_t{4} << 20;
       o.threads = 4;
     },
     false},
    {"tiny, not evicting",
     [](Options& o) {
       o.memory_limit_bytes = std::size_t{1} << 20;
       o.evict = false;
     },
     false},
    {"tiny, not evicting, lru, without ids",
     [](Options& o) {
       o.memory_limit_bytes = std::size_t{1} << 20;
       o.evict = false;
       o.lru = true;
       o.cas = false;
     },
     false},
};

// A failure names the option set, the seed and the number of the command: that seed with so many commands
// (RINGCACHED_MODEL_COMMANDS) is the shortest run that shows it.
void run_all(std::uint64_t first_seed, std::uint64_t rounds, unsigned commands) {
  for (std::uint64_t seed = first_seed; seed < first_seed + rounds; ++seed) {
    for (const OptionSet& set : kOptionSets) {
      INFO("option set \"", std::string(set.name), "\", RINGCACHED_MODEL_SEED=", seed);
      Options options = base_options();
      set.choose(options);
      Model(options, set.ample, seed).run(commands);
    }
  }
}

}  // namespace

// RINGCACHED_MODEL_SEED is the first seed, RINGCACHED_MODEL_ROUNDS how many are tried.
TEST_SUITE("store model") {
  TEST_CASE("random commands give the reference's answers, with every option set") {
    run_all(number_from_environment("RINGCACHED_MODEL_SEED", 1),
            number_from_environment("RINGCACHED_MODEL_ROUNDS", 1),
            static_cast<unsigned>(number_from_environment("RINGCACHED_MODEL_COMMANDS", 4000)));
  }
}
