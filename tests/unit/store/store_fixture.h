// A store with one thread and short calls, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "store/expiry.h"
#include "store/store_read.h"

namespace ringcached::testing {

struct StoreFixture {
  static constexpr std::uint64_t kSeed = 0x5eed;

  static store::Options default_options() {
    store::Options options;
    options.hash_seed = kSeed;
    return options;
  }

  explicit StoreFixture(const store::Options& options = default_options())
      : store(std::move(store::Store::create(options).value())), thread(&store->attach()) {}

  // As a session does it with a pipeline: asks for the items of these keys ahead. The calls for them start
  // from what was seen then, until the next call of this.
  void prefetch(std::vector<std::string> names) {
    ahead_names = std::move(names);
    ahead.assign(ahead_names.size(), {});
    for (std::size_t i = 0; i < ahead.size(); ++i) store->prefetch(ahead_names[i], ahead[i]);
    store->prefetch_items(ahead.size(), [&](std::size_t i) -> store::Key& { return ahead[i]; });
  }
  store::Key key(std::string_view name) const {
    for (const store::Key& seen : ahead) {
      if (seen.bytes == name) return seen;
    }
    return store->key(name);
  }
  store::StoreRequest request(store::StoreMode mode, std::string_view key_name) const {
    store::StoreRequest wanted;
    wanted.mode = mode;
    wanted.key = key(key_name);
    return wanted;
  }
  store::StoreResult set(std::string_view key, std::string_view value, std::uint32_t flags = 0,
                         CacheTime expiry = store::kNeverExpires) {
    store::StoreRequest wanted = request(store::StoreMode::kSet, key);
    wanted.client_flags = flags;
    wanted.expiry = expiry;
    return store->put(*thread, wanted, value, now);
  }
  store::StoreResult put(store::StoreMode mode, std::string_view key, std::string_view value,
                         std::uint64_t cas = 0) {
    store::StoreRequest wanted = request(mode, key);
    wanted.cas_compare = cas;
    return store->put(*thread, wanted, value, now);
  }
  // By Store::read_plain().
  bool get_plain(std::string_view name, std::string& value) {
    return store->read_plain(*thread, key(name), now, [&](const store::ItemInfo& seen) {
      info = seen;
      value.resize(seen.value_bytes);
      return value.data();
    });
  }
  // The value copied, or a word for why there is none. `info` tells about the hit.
  std::string get(std::string_view name, const store::ReadOptions& options = {}) {
    std::string value;
    const auto place = [&](const store::ItemInfo& seen) {
      info = seen;
      value.resize(seen.value_bytes);
      return store::ReadTarget{value.data(), false};
    };
    lookup = store->read(*thread, key(name), now, options, place, nullptr);
    if (lookup == store::Lookup::kHit) return value;
    return lookup == store::Lookup::kMiss      ? "(miss)"
           : lookup == store::Lookup::kExpired ? "(expired)"
                                               : "(flushed)";
  }
  store::Pin pin(std::string_view name) {
    store::Pin held;
    const auto place = [&](const store::ItemInfo& seen) {
      info = seen;
      return store::ReadTarget{nullptr, true};
    };
    lookup = store->read(*thread, key(name), now, {}, place, &held);
    return held;
  }
  std::string pieces(const store::Pin& held) const {
    std::string value;
    store->for_each_piece(held,
                          [&](std::span<const char> piece) { value.append(piece.data(), piece.size()); });
    return value;
  }
  // By a pin, where the value is large enough for one.
  std::string get_pinned(std::string_view key) {
    const store::Pin held = pin(key);
    return held ? pieces(held) : get(key);
  }
  store::DeleteResult remove(std::string_view name) { return store->remove(*thread, key(name), now); }
  std::string count(std::string_view name, bool decrement, std::uint64_t delta) {
    store::Arithmetic wanted;
    wanted.decrement = decrement;
    wanted.delta = delta;
    std::uint64_t value = 0;
    switch (store->arithmetic(*thread, key(name), wanted, now, value)) {
      case store::ArithmeticResult::kDone:
        return std::to_string(value);
      case store::ArithmeticResult::kNotFound:
        return "(miss)";
      case store::ArithmeticResult::kNonNumeric:
        return "(text)";
      case store::ArithmeticResult::kNoMemory:
        return "(memory)";
      case store::ArithmeticResult::kExists:
        return "(exists)";
    }
    return "";
  }
  // Upkeep until nothing is left to do.
  void maintain_all() {
    for (int i = 0; i < 100000 && thread->maintain(now, 10000); ++i) {
    }
  }

  // Bytes that differ from place to place and from seed to seed.
  static std::string pattern(std::size_t bytes, std::uint64_t seed) {
    std::string text(bytes, '\0');
    std::uint64_t x = seed * 0x9E3779B97F4A7C15 + 1;
    for (char& c : text) {
      x = x * 6364136223846793005 + 1442695040888963407;
      c = static_cast<char>('!' + (x >> 40) % 90);
    }
    return text;
  }

  std::unique_ptr<store::Store> store;
  store::StoreThread* thread;
  std::vector<std::string> ahead_names;
  std::vector<store::Key> ahead;
  CacheTime now = 1000;
  store::ItemInfo info;
  store::Lookup lookup = store::Lookup::kMiss;
};

}  // namespace ringcached::testing
