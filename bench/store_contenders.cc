#include "bench/store_contenders.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <utility>

#include "base/assert.h"
#include "bench/cores.h"
#include "bench/store_targets.h"

namespace ringcached::bench {
namespace {

double thread_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

using WallClock = std::chrono::steady_clock;

// What one thread measured of itself.
struct Lap {
  Rate rate;
  WallClock::time_point begin, end;
};

// The share of the time since the first began in which all ran.
double together(const std::vector<Lap>& laps) {
  WallClock::time_point first_begin = laps[0].begin, last_begin = first_begin;
  WallClock::time_point first_end = laps[0].end, last_end = first_end;
  for (const Lap& lap : laps) {
    first_begin = std::min(first_begin, lap.begin);
    last_begin = std::max(last_begin, lap.begin);
    first_end = std::min(first_end, lap.end);
    last_end = std::max(last_end, lap.end);
  }
  const std::chrono::duration<double> all = first_end - last_begin, any = last_end - first_begin;
  return std::max(0.0, all.count() / any.count());
}

// Requests in batches, as a worker has them. Returns the failures.
template <typename Target, typename Lane>
std::uint64_t execute(Target& target, Lane& lane, const ItemShape& shape, const RequestStream& stream) {
  BatchKeys keys(shape.key_bytes);
  std::vector<char> replies(kBatch * shape.value_bytes);
  const std::string value(shape.value_bytes, 'v');
  std::uint64_t failures = 0;
  for (std::size_t at = 0; at < stream.size(); at += kBatch) {
    const std::size_t size = std::min(kBatch, stream.size() - at);
    for (std::size_t i = 0; i < size; ++i) {
      const Access access = (stream[at + i] & kSetBit) != 0 ? Access::kWrite : Access::kRead;
      target.prepare(lane, i, keys.write(i, stream[at + i] & ~kSetBit), access);
    }
    target.prepared(lane, size);
    char* reply = replies.data();
    for (std::size_t i = 0; i < size; ++i) {
      if ((stream[at + i] & kSetBit) != 0) {
        if (!target.set(lane, i, value)) ++failures;
        continue;
      }
      const std::size_t bytes = target.get(lane, i, reply);
      if (bytes == 0) ++failures;
      reply += bytes;
    }
  }
  return failures;
}

template <typename Target, typename Lane>
std::uint64_t wrong_values(Target& target, Lane& lane, const ItemShape& shape) {
  BatchKeys keys(shape.key_bytes);
  const std::string wanted(shape.value_bytes, 'v');
  std::string found(shape.value_bytes, '\0');
  std::uint64_t wrong = 0;
  for (std::uint32_t number = 0; number < shape.items; ++number) {
    std::fill(found.begin(), found.end(), '\0');
    target.prepare(lane, 0, keys.write(0, number), Access::kRead);
    target.prepared(lane, 1);
    const std::size_t bytes = target.get(lane, 0, found.data());
    if (bytes != wanted.size() || found != wanted) ++wrong;
  }
  return wrong;
}

RequestStream all_sets(std::uint32_t begin, std::uint32_t end) {
  RequestStream stream;
  stream.reserve(end - begin);
  for (std::uint32_t number = begin; number < end; ++number) stream.push_back(number | kSetBit);
  return stream;
}

// Threads with a target and a lane each; several may have the same target.
template <typename Target>
class ContenderOf : public Contender {
 public:
  // No two in one cache line, nor in two that are fetched together.
  struct alignas(128) Place {
    Target* target;
    typename Target::Lane lane;
  };
  ContenderOf(std::string_view name, const ItemShape& shape) : shape_(shape), name_(name) {}
  std::string_view name() const override { return name_; }

  std::uint64_t fill() override {
    std::uint64_t wrong = 0;
    for (auto place = places_.begin(); place != places_.end();) {
      const auto others = std::find_if(place, places_.end(),
                                       [&](const Place& other) { return other.target != place->target; });
      wrong += fill_together(place, others);
      place = others;
    }
    return wrong;
  }

  Rate run(const std::vector<RequestStream>& streams) override {
    RC_CHECK(streams.size() <= places_.size());
    std::vector<Lap> laps(streams.size());
    std::vector<std::thread> threads;
    std::atomic<std::size_t> ready{0};
    const Cores cores;
    for (std::size_t i = 0; i < streams.size(); ++i) {
      threads.emplace_back([&, i] {
        cores.pin_to(i);
        ++ready;
        while (ready.load() < streams.size()) std::this_thread::yield();
        laps[i] = timed(places_[i], streams[i]);
      });
    }
    for (std::thread& thread : threads) thread.join();
    Rate sum;
    for (const Lap& lap : laps) {
      sum.per_cpu_second += lap.rate.per_cpu_second;
      sum.failures += lap.rate.failures;
    }
    sum.together = together(laps);
    return sum;
  }

 protected:
  std::vector<Place> places_;
  const ItemShape shape_;

 private:
  using Iterator = typename std::vector<Place>::iterator;
  // The users of one target store a share each.
  std::uint64_t fill_together(Iterator begin, Iterator end) {
    const auto sharers = static_cast<std::uint32_t>(end - begin);
    std::uint64_t failures = 0;
    std::uint32_t from = 0;
    for (Iterator place = begin; place != end; ++place) {
      const auto number = static_cast<std::uint64_t>(place - begin) + 1;
      const auto to = static_cast<std::uint32_t>(shape_.items * number / sharers);
      failures += execute(*place->target, place->lane, shape_, all_sets(from, to));
      from = to;
    }
    return failures + wrong_values(*begin->target, begin->lane, shape_);
  }
  Lap timed(Place& place, const RequestStream& stream) {
    Lap lap;
    lap.begin = WallClock::now();
    const double cpu = thread_cpu_seconds();
    lap.rate.failures = execute(*place.target, place.lane, shape_, stream);
    lap.rate.per_cpu_second = static_cast<double>(stream.size()) / (thread_cpu_seconds() - cpu);
    lap.end = WallClock::now();
    return lap;
  }

  const std::string_view name_;
};

class StoreContender final : public ContenderOf<StoreTarget> {
 public:
  StoreContender(std::string_view name, const ItemShape& shape, const StoreSettings& settings, bool shared)
      : ContenderOf(name, shape) {
    const unsigned count = shared ? 1 : settings.threads;
    const unsigned sharers = shared ? settings.threads : 1;
    for (unsigned i = 0; i < count; ++i) open(settings, sharers);
  }

 private:
  void open(const StoreSettings& settings, unsigned sharers) {
    store::Options options;
    options.threads = sharers;
    options.large_pages = settings.large_pages ? store::LargePages::kTransparent : store::LargePages::kNone;
    // Twice what the items take, and a page per size class and thread.
    constexpr std::size_t kSlack = std::size_t{64} << 20;
    options.memory_limit_bytes =
        settings.memory_bytes != 0 ? settings.memory_bytes
                                   : 2 * shape_.items * (shape_.key_bytes + shape_.value_bytes + 32) + kSlack;
    stores_.push_back(std::move(store::Store::create(options).value()));
    targets_.push_back(std::make_unique<StoreTarget>(*stores_.back()));
    StoreTarget& target = *targets_.back();
    for (unsigned i = 0; i < sharers; ++i) {
      places_.push_back({&target, target.lane(stores_.back()->attach())});
    }
  }
  std::vector<std::unique_ptr<store::Store>> stores_;
  std::vector<std::unique_ptr<StoreTarget>> targets_;
};

template <bool kLocks>
class SharedArrayContender final : public ContenderOf<SharedArrayTarget<kLocks>> {
 public:
  SharedArrayContender(std::string_view name, const ItemShape& shape, unsigned threads)
      : ContenderOf<SharedArrayTarget<kLocks>>(name, shape), target_(shape) {
    for (unsigned i = 0; i < threads; ++i) this->places_.push_back({&target_, {}});
  }

 private:
  SharedArrayTarget<kLocks> target_;
};

#if RC_BENCH_ROBIN_MAP

template <typename Target>
class MapContender final : public ContenderOf<Target> {
 public:
  MapContender(std::string_view name, const ItemShape& shape, unsigned threads)
      : ContenderOf<Target>(name, shape), targets_(threads) {
    for (Target& target : targets_) this->places_.push_back({&target, {}});
  }

 private:
  std::vector<Target> targets_;
};

template <std::size_t kKeyBytes, std::size_t kValueBytes>
void add_inline_map(const ItemShape& shape, unsigned threads, std::vector<std::unique_ptr<Contender>>& maps) {
  if (shape.key_bytes != kKeyBytes || shape.value_bytes != kValueBytes) return;
  using Map = MapContender<InlineMapTarget<kKeyBytes, kValueBytes>>;
  maps.push_back(std::make_unique<Map>("items in the table", shape, threads));
}

#endif

}  // namespace

std::unique_ptr<Contender> make_store(const ItemShape& shape, const StoreSettings& settings) {
  return std::make_unique<StoreContender>("store", shape, settings, true);
}

std::unique_ptr<Contender> make_shared_array(const ItemShape& shape, unsigned threads, bool locks) {
  if (locks) return std::make_unique<SharedArrayContender<true>>("array with locks", shape, threads);
  return std::make_unique<SharedArrayContender<false>>("array", shape, threads);
}

std::unique_ptr<Contender> make_private_stores(const ItemShape& shape, const StoreSettings& settings) {
  return std::make_unique<StoreContender>("private stores", shape, settings, false);
}

std::vector<std::unique_ptr<Contender>> make_private_maps([[maybe_unused]] const ItemShape& shape,
                                                          [[maybe_unused]] unsigned threads) {
  std::vector<std::unique_ptr<Contender>> maps;
#if RC_BENCH_ROBIN_MAP
  maps.push_back(std::make_unique<MapContender<RecordMapTarget>>("items apart", shape, threads));
  add_inline_map<16, 32>(shape, threads, maps);
  add_inline_map<36, 224>(shape, threads, maps);
#endif
  return maps;
}

}  // namespace ringcached::bench
