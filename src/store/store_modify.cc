// Commands that make a new value from the old one: append, prepend, incr, decr.
//
// Each tries to change the item where it lies. Where that does not go, it remembers which version of the item
// it saw, builds the successor without a lock, and links it only if the item is still that version; else it
// starts again.
#include <charconv>
#include <cstring>

#include "store/store_core.h"

namespace ringcached::store {

void HeldVersion::hold(const Existing& existing) {
  release();
  existing_ = existing;
  const std::size_t bytes = existing.header.value_bytes;
  if (pinned()) {
    core_.pool->pins(existing.address).fetch_add(1, std::memory_order_acq_rel);
  } else {
    copy_from_shared(value_, core_.item(existing.address) + existing.header.value_offset(), bytes);
  }
}

void HeldVersion::release() {
  if (existing_.address != kNoChunk && pinned()) core_.unpin(existing_.address);
  existing_ = {};
}

bool HeldVersion::is(const Existing& existing) const {
  const ItemHeader& now = existing.header;
  const ItemHeader& then = existing_.header;
  if (existing.address != existing_.address || now.cas != then.cas) return false;
  if (pinned()) return true;
  return now.value_bytes == then.value_bytes && now.client_flags == then.client_flags &&
         equal_to_shared(core_.item(existing.address) + now.value_offset(), value_, now.value_bytes);
}

bool HeldVersion::release_if(const Existing& existing) {
  const bool same = is(existing);
  release();
  return same;
}

// --- Append and prepend.

struct StoreCore::Joining {
  Joining(ThreadState& joining_thread, const StoreRequest& wanted, std::span<const std::string_view> pieces,
          CacheTime at)
      : thread(joining_thread), request(wanted), added(pieces), time(at), held(*joining_thread.core) {
    for (const std::string_view piece : pieces) added_bytes += piece.size();
  }

  ThreadState& thread;
  const StoreRequest& request;
  std::span<const std::string_view> added;
  CacheTime time;
  std::size_t added_bytes = 0;
  StoreResult result = StoreResult::kNotStored;
  Existing existing{};
  std::size_t total_bytes = 0;
  HeldVersion held;

  bool prepends() const { return request.mode == StoreMode::kPrepend; }
};

bool StoreCore::join_in_place(Joining& joining, LockedBucket& bucket) {
  const Existing& old = joining.existing;
  const ItemHeader& header = old.header;
  if (header.chained() || header.value_bytes >= kPinBytesMin) return false;
  const std::size_t bytes = unchained_bytes(header.key_bytes(), joining.total_bytes, header.client_flags);
  const unsigned slab_class = class_of(header);
  if (classes.class_for(bytes) != slab_class) return false;

  bucket.will_change();
  std::byte* value = item(old.address) + header.value_offset();
  std::size_t offset = joining.prepends() ? 0 : header.value_bytes;
  if (joining.prepends()) {
    joining.held.visit([&](std::span<const char> old_value) {
      copy_to_shared(value + joining.added_bytes, old_value.data(), old_value.size());
    });
  }
  for (const std::string_view piece : joining.added) {
    copy_to_shared(value + offset, piece.data(), piece.size());
    offset += piece.size();
  }
  const Draft draft{{old.address, chunk_generation(header.state)},
                    slab_class,
                    header.client_flags,
                    static_cast<std::uint32_t>(joining.total_bytes),
                    false};
  stamp_item(joining.thread, draft, header.key_bytes(),
             next_cas(joining.thread, header.cas, joining.request.cas_explicit),
             {header.expiry, header.state & kBinaryKey, 0}, old, joining.time);
  const std::uint64_t slot = old.slot->load(std::memory_order_relaxed) & ~kSlotFetched;
  old.slot->store(with_frequency(slot, slot_frequency(slot) + 1), std::memory_order_relaxed);
  account_resized(joining.thread.ledger, old, draft);
  joining.result = StoreResult::kStored;
  return true;
}

StoreCore::JoinStep StoreCore::join_locked(Joining& joining) {
  const StoreRequest& request = joining.request;
  LockedBucket bucket(*index, request.key.hash);
  joining.existing = examine(bucket, request.key.bytes, joining.time);
  note_seen(joining.thread, joining.existing);
  const ItemHeader& header = joining.existing.header;
  joining.result = StoreResult::kNotStored;
  if (!joining.existing.alive()) return request.create ? JoinStep::kCreate : JoinStep::kDone;
  joining.thread.last_class = class_of(header);
  if (request.cas_compare != 0 && (!options.cas || request.cas_compare != header.cas)) {
    joining.result = StoreResult::kExists;
    return JoinStep::kDone;
  }
  joining.total_bytes = header.value_bytes + joining.added_bytes;
  const std::size_t charged =
      item_bytes(header.key_bytes(), joining.total_bytes, header.client_flags, options.cas);
  if (charged > options.item_bytes_max) return JoinStep::kDone;
  joining.held.hold(joining.existing);
  return join_in_place(joining, bucket) ? JoinStep::kDone : JoinStep::kRebuild;
}

// True: joining.result is final.
bool StoreCore::join_rebuilt(Joining& joining) {
  const ItemHeader& header = joining.existing.header;
  StoreRequest request = joining.request;
  // A failure leaves the old item alone.
  request.mode = StoreMode::kAdd;
  request.remove_when_refused = false;
  request.client_flags = header.client_flags;
  PendingStore pending;
  bool written =
      begin(joining.thread, request, joining.total_bytes, joining.time, pending) == StoreResult::kStored;
  const auto write_added = [&] {
    for (const std::string_view piece : joining.added) written = written && pending.write(piece);
  };
  if (joining.prepends()) write_added();
  joining.held.visit([&](std::span<const char> piece) { written = written && pending.write(piece); });
  if (!joining.prepends()) write_added();
  if (!written) return true;  // no memory is "not stored" here (spec 5.2)
  pending.thread_ = nullptr;
  const bool linked =
      succeed(joining.thread, joining.request.key, draft_of(pending),
              {0, header.state & kBinaryKey, joining.request.cas_explicit}, Inherit::kExpiry, joining.time,
              [&](const Existing& now) { return joining.held.release_if(now); });
  if (linked) joining.result = StoreResult::kStored;
  return linked;
}

bool StoreCore::join_created(Joining& joining) {
  StoreRequest request = joining.request;
  request.mode = StoreMode::kAdd;
  PendingStore pending;
  const StoreResult begun = begin(joining.thread, request, joining.added_bytes, joining.time, pending);
  if (begun != StoreResult::kStored) return true;
  for (const std::string_view piece : joining.added) {
    if (!pending.write(piece)) return true;
  }
  joining.result = commit(joining.thread, request, pending, joining.time);
  return joining.result == StoreResult::kStored;  // else somebody else created it
}

[[gnu::noinline]] StoreResult StoreCore::join(ThreadState& thread, const StoreRequest& request,
                                              std::span<const std::string_view> added, CacheTime time) {
  Joining joining(thread, request, added, time);
  for (;;) {
    switch (join_locked(joining)) {
      case JoinStep::kDone:
        if (joining.existing.slot != nullptr && !joining.existing.alive()) {
          count_dead(thread, joining.existing);
          remove_dead(thread, request.key, time);
        }
        return joining.result;
      case JoinStep::kRebuild:
        if (join_rebuilt(joining)) return joining.result;
        break;
      case JoinStep::kCreate:
        if (join_created(joining)) return joining.result;
        break;
    }
  }
}

// --- Incr and decr.

namespace {

constexpr std::size_t kDigitsMax = 20;  // of a 64-bit number

// Blanks, digits, and whatever may follow after a space (spec 5.4).
bool parse_number(std::string_view text, std::uint64_t& number) {
  const std::size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos) return false;
  const char* first = text.data() + start;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(first, last, number);
  if (error != std::errc() || end - first > static_cast<std::ptrdiff_t>(kDigitsMax)) return false;
  return end == last || *end == ' ';
}

}  // namespace

struct StoreCore::Counting {
  ThreadState& thread;
  const Key& key;
  const Arithmetic& wanted;
  CacheTime time;
  ArithmeticResult result = ArithmeticResult::kDone;
  Existing existing{};
  std::uint64_t number = 0;
  char digits[kDigitsMax] = {};
  std::size_t digits_bytes = 0;

  HeldVersion held{*thread.core};

  CacheTime expiry() const { return wanted.touch ? wanted.expiry : existing.header.expiry; }
};

// The digits, padded to the old length; or, where they are longer and the chunk has room, exactly them.
bool StoreCore::count_in_place(Counting& counting, LockedBucket& bucket) {
  const ItemHeader& header = counting.existing.header;
  if (header.value_bytes >= kPinBytesMin) return false;
  const bool padded = counting.digits_bytes <= header.value_bytes;
  const std::size_t bytes = padded ? header.value_bytes : counting.digits_bytes;
  const unsigned slab_class = class_of(header);
  if (classes.class_for(unchained_bytes(header.key_bytes(), bytes, header.client_flags)) != slab_class)
    return false;

  char text[kPinBytesMin];
  std::memcpy(text, counting.digits, counting.digits_bytes);
  std::memset(text + counting.digits_bytes, ' ', bytes - counting.digits_bytes);
  bucket.will_change();
  const ChunkAddress address = counting.existing.address;
  copy_to_shared(item(address) + header.value_offset(), text, bytes);
  const Draft draft{{address, chunk_generation(header.state)},
                    slab_class,
                    header.client_flags,
                    static_cast<std::uint32_t>(bytes),
                    false};
  const std::uint32_t kept = kBinaryKey | (padded ? kStale | kTokenSent : 0);
  stamp_item(counting.thread, draft, header.key_bytes(),
             next_cas(counting.thread, header.cas, counting.wanted.cas_explicit),
             {counting.expiry(), header.state & kept, 0}, counting.existing, counting.time);
  std::atomic<std::uint64_t>& slot = *counting.existing.slot;
  const std::uint64_t seen = slot.load(std::memory_order_relaxed);
  slot.store(with_frequency(seen, slot_frequency(seen) + 1), std::memory_order_relaxed);
  if (!padded) account_resized(counting.thread.ledger, counting.existing, draft);
  return true;
}

// True: counting.result is final.
bool StoreCore::count_locked(Counting& counting) {
  LockedBucket bucket(*index, counting.key.hash);
  counting.existing = examine(bucket, counting.key.bytes, counting.time);
  note_seen(counting.thread, counting.existing);
  const ItemHeader& header = counting.existing.header;
  counting.result = ArithmeticResult::kNotFound;
  if (!counting.existing.alive()) return true;
  counting.thread.last_class = class_of(header);
  counting.result = ArithmeticResult::kExists;
  const std::uint64_t compare = counting.wanted.cas_compare;
  if (compare != 0 && (!options.cas || compare != header.cas)) return true;
  counting.result = ArithmeticResult::kNonNumeric;
  const auto* value = reinterpret_cast<const char*>(item(counting.existing.address) + header.value_offset());
  std::uint64_t number = 0;
  if (header.chained() || !parse_number({value, header.value_bytes}, number)) return true;
  const std::uint64_t delta = counting.wanted.delta;
  counting.number = counting.wanted.decrement ? (number > delta ? number - delta : 0) : number + delta;
  char* end = std::to_chars(counting.digits, counting.digits + kDigitsMax, counting.number).ptr;
  counting.digits_bytes = static_cast<std::size_t>(end - counting.digits);
  counting.result = ArithmeticResult::kDone;
  if (count_in_place(counting, bucket)) return true;
  counting.held.hold(counting.existing);
  return false;
}

bool StoreCore::count_rebuilt(Counting& counting) {
  const ItemHeader& header = counting.existing.header;
  Draft draft{{}, 0, header.client_flags, static_cast<std::uint32_t>(counting.digits_bytes), false};
  draft.slab_class =
      classes.class_for(unchained_bytes(header.key_bytes(), counting.digits_bytes, header.client_flags));
  draft.chunk = allocate(counting.thread, draft.slab_class);
  if (!draft.chunk) {
    counting.result = ArithmeticResult::kNoMemory;
    return true;
  }
  write_head(draft, counting.key.bytes);
  const std::size_t offset = key_offset(header.state & kHasFlags) + header.key_bytes();
  copy_to_shared(item(draft.chunk.address) + offset, counting.digits, counting.digits_bytes);
  return succeed(counting.thread, counting.key, draft,
                 {counting.wanted.expiry, header.state & kBinaryKey, counting.wanted.cas_explicit},
                 counting.wanted.touch ? Inherit::kNothing : Inherit::kExpiry, counting.time,
                 [&](const Existing& now) { return counting.held.release_if(now); });
}

ArithmeticResult StoreCore::arithmetic(ThreadState& thread, const Key& key, const Arithmetic& wanted,
                                       CacheTime time, std::uint64_t& value) {
  see_time(time);
  thread.last_class = 0;
  Counting counting{thread, key, wanted, time};
  while (!count_locked(counting) && !count_rebuilt(counting)) {
  }
  if (counting.result == ArithmeticResult::kNotFound && counting.existing.slot != nullptr) {
    count_dead(thread, counting.existing);
    remove_dead(thread, key, time);
  }
  if (counting.result != ArithmeticResult::kDone) return counting.result;
  if (wanted.touch) note_expiry(counting.existing.address, wanted.expiry);
  thread.last_write.expiry_before = counting.existing.header.expiry;
  value = counting.number;
  return counting.result;
}

ArithmeticResult Store::arithmetic(StoreThread& thread, const Key& key, const Arithmetic& arithmetic,
                                   CacheTime now, std::uint64_t& value) {
  return impl_->arithmetic(*thread.impl_, key, arithmetic, now, value);
}

}  // namespace ringcached::store
