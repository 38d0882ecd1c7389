// include/ringcached/store.h on top of the store: adds the clock, key checks and handles that come and go.
#include <mutex>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "ringcached/store.h"
#include "store/expiry.h"
#include "store/store.h"
#include "store/store_read.h"

namespace ringcached {
namespace {

// Every so many calls of a handle do a step of upkeep of so many items: more is looked at than one call can
// store.
constexpr unsigned kCallsPerUpkeep = 64;
constexpr std::size_t kUpkeepItems = 256;

StoreOutcome outcome_of(store::StoreResult result) {
  switch (result) {
    case store::StoreResult::kStored:
      return StoreOutcome::kStored;
    case store::StoreResult::kNotStored:
      return StoreOutcome::kNotStored;
    case store::StoreResult::kExists:
      return StoreOutcome::kExists;
    case store::StoreResult::kNotFound:
      return StoreOutcome::kNotFound;
    case store::StoreResult::kTooLarge:
      return StoreOutcome::kTooLarge;
    case store::StoreResult::kNoMemory:
      break;
  }
  return StoreOutcome::kNoMemory;
}

StoreNumber::Outcome outcome_of(store::ArithmeticResult result) {
  switch (result) {
    case store::ArithmeticResult::kDone:
      return StoreNumber::Outcome::kDone;
    case store::ArithmeticResult::kNotFound:
      return StoreNumber::Outcome::kNotFound;
    case store::ArithmeticResult::kNoMemory:
      return StoreNumber::Outcome::kNoMemory;
    default:
      return StoreNumber::Outcome::kNotANumber;
  }
}

bool valid_key(std::string_view key) {
  return !key.empty() && key.size() <= kStoreKeyBytesMax;
}

}  // namespace

struct Store::Impl {
  explicit Impl(std::unique_ptr<store::Store> opened) : items(std::move(opened)), clock(system_clock()) {}

  std::unique_ptr<store::Store> items;
  CacheClock clock;
  unsigned threads_max = 0;
  std::mutex lock;  // of the two below
  unsigned attached = 0;
  std::vector<store::StoreThread*> idle_threads;  // of handles that have ended
};

struct StoreHandle::Impl {
  Impl(Store::Impl& opened, store::StoreThread& own) : owner(opened), thread(own) {}
  ~Impl() {
    const std::lock_guard guard(owner.lock);
    owner.idle_threads.push_back(&thread);
  }

  // At the start of every call.
  CacheTime begin() {
    const CacheTime now = owner.clock.tick();
    if (++calls % kCallsPerUpkeep == 0) thread.maintain(now, kUpkeepItems);
    return now;
  }
  // Times to live are relative however long they are; those of more than a century are for ever.
  static CacheTime expiry_of(std::chrono::seconds time_to_live, CacheTime now) {
    constexpr std::int64_t kForEver = std::int64_t{100} * 365 * 24 * 60 * 60;
    const std::int64_t seconds = time_to_live.count();
    if (seconds == 0 || seconds > kForEver) return store::kNeverExpires;
    return seconds < 0 ? store::kAlreadyExpired : now + static_cast<CacheTime>(seconds);
  }
  StoreOutcome put(store::StoreMode mode, std::string_view key, std::string_view value,
                   const ItemOptions& options, std::uint64_t version = 0) {
    if (!valid_key(key)) return StoreOutcome::kBadKey;
    const CacheTime now = begin();
    store::StoreRequest request;
    request.mode = mode;
    request.key = owner.items->key(key);
    request.client_flags = options.flags;
    request.expiry = expiry_of(options.time_to_live, now);
    request.cas_compare = version;
    return outcome_of(owner.items->put(thread, request, value, now));
  }
  StoreNumber count(std::string_view key, bool decrement, std::uint64_t by) {
    if (!valid_key(key)) return {};
    const CacheTime now = begin();
    store::Arithmetic arithmetic;
    arithmetic.decrement = decrement;
    arithmetic.delta = by;
    StoreNumber number;
    number.outcome =
        outcome_of(owner.items->arithmetic(thread, owner.items->key(key), arithmetic, now, number.value));
    return number;
  }

  Store::Impl& owner;
  store::StoreThread& thread;
  unsigned calls = 0;
};

// --- StoreHandle.

StoreHandle::StoreHandle(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StoreHandle::StoreHandle(StoreHandle&& other) noexcept = default;
StoreHandle& StoreHandle::operator=(StoreHandle&& other) noexcept = default;
StoreHandle::~StoreHandle() = default;

bool StoreHandle::get(std::string_view key, std::string& value, ItemDetails* details) {
  if (!valid_key(key)) return false;
  const CacheTime now = impl_->begin();
  store::ItemInfo info;
  const auto place = [&](const store::ItemInfo& found) {
    info = found;
    value.resize(found.value_bytes);
    return store::ReadTarget{value.data(), false};
  };
  store::Store& items = *impl_->owner.items;
  if (items.read(impl_->thread, items.key(key), now, {}, place, nullptr) != store::Lookup::kHit) {
    value.clear();
    return false;
  }
  if (details != nullptr) {
    details->version = info.cas;
    details->flags = info.client_flags;
    details->time_left = std::chrono::seconds(info.expiry == store::kNeverExpires ? 0 : info.expiry - now);
    details->idle = std::chrono::seconds(now - info.last_access);
  }
  return true;
}

StoreOutcome StoreHandle::set(std::string_view key, std::string_view value, const ItemOptions& options) {
  return impl_->put(store::StoreMode::kSet, key, value, options);
}
StoreOutcome StoreHandle::add(std::string_view key, std::string_view value, const ItemOptions& options) {
  return impl_->put(store::StoreMode::kAdd, key, value, options);
}
StoreOutcome StoreHandle::replace(std::string_view key, std::string_view value, const ItemOptions& options) {
  return impl_->put(store::StoreMode::kReplace, key, value, options);
}
StoreOutcome StoreHandle::append(std::string_view key, std::string_view value) {
  return impl_->put(store::StoreMode::kAppend, key, value, {});
}
StoreOutcome StoreHandle::prepend(std::string_view key, std::string_view value) {
  return impl_->put(store::StoreMode::kPrepend, key, value, {});
}
StoreOutcome StoreHandle::compare_and_swap(std::string_view key, std::string_view value,
                                           std::uint64_t version, const ItemOptions& options) {
  return impl_->put(store::StoreMode::kCas, key, value, options, version);
}

bool StoreHandle::remove(std::string_view key) {
  if (!valid_key(key)) return false;
  const CacheTime now = impl_->begin();
  store::Store& items = *impl_->owner.items;
  return items.remove(impl_->thread, items.key(key), now) == store::DeleteResult::kDeleted;
}

bool StoreHandle::touch(std::string_view key, std::chrono::seconds time_to_live) {
  if (!valid_key(key)) return false;
  const CacheTime now = impl_->begin();
  store::Store& items = *impl_->owner.items;
  return items.touch(impl_->thread, items.key(key), Impl::expiry_of(time_to_live, now), now);
}

StoreNumber StoreHandle::increment(std::string_view key, std::uint64_t by) {
  return impl_->count(key, false, by);
}
StoreNumber StoreHandle::decrement(std::string_view key, std::uint64_t by) {
  return impl_->count(key, true, by);
}

void StoreHandle::flush() {
  impl_->owner.items->flush(impl_->thread);
}

bool StoreHandle::upkeep(std::size_t items_max) {
  return impl_->thread.maintain(impl_->owner.clock.tick(), items_max);
}

// --- Store.

Store::Store() = default;
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const StoreOptions& options) {
  store::Options wanted;
  wanted.memory_limit_bytes = options.memory_limit_bytes;
  wanted.item_bytes_max = options.item_bytes_max;
  wanted.threads = options.threads;
  wanted.evict = options.evict;
  if (options.large_pages) wanted.large_pages = store::LargePages::kTransparent;
  auto created = store::Store::create(wanted);
  if (!created) return created.status();
  std::unique_ptr<Store> opened(new Store);
  opened->impl_ = std::make_unique<Impl>(std::move(created.value()));
  opened->impl_->threads_max = options.threads;
  opened->impl_->idle_threads.reserve(options.threads);  // the end of a handle must not need memory
  return opened;
}

Result<StoreHandle> Store::attach() {
  const std::lock_guard guard(impl_->lock);
  std::vector<store::StoreThread*>& idle = impl_->idle_threads;
  if (idle.empty() && impl_->attached < impl_->threads_max) {
    idle.push_back(&impl_->items->attach());
    ++impl_->attached;
  }
  if (idle.empty()) {
    return Status(StatusCode::kUnavailable,
                  "all handles of the store are in use: raise StoreOptions::threads");
  }
  // It is idle until the handle is there.
  StoreHandle handle(std::make_unique<StoreHandle::Impl>(*impl_, *idle.back()));
  idle.pop_back();
  return handle;
}

bool Store::set_memory_limit(std::size_t bytes) {
  return impl_->items->set_memory_limit(bytes);
}

StoreStatistics Store::statistics() const {
  const store::StoreStats stats = impl_->items->stats();
  StoreStatistics result;
  result.items = stats.items;
  result.item_bytes = stats.bytes;
  result.stores = stats.total_items;
  result.evictions = stats.evictions;
  result.expired = stats.reaper_reclaimed;
  result.memory_limit_bytes = stats.limit_bytes;
  result.memory_used_bytes = stats.page_bytes_used;
  result.index_bytes = stats.index_bytes;
  return result;
}

}  // namespace ringcached
