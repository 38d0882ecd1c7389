#include "store_client.h"

#include <algorithm>
#include <charconv>

#include "store/expiry.h"

namespace ringcached::testing {
namespace {

using Outcome = HistoryOutcome;

store::StoreMode mode_of(HistoryVerb verb) {
  switch (verb) {
    case HistoryVerb::kAdd:
      return store::StoreMode::kAdd;
    case HistoryVerb::kReplace:
      return store::StoreMode::kReplace;
    case HistoryVerb::kAppend:
      return store::StoreMode::kAppend;
    case HistoryVerb::kPrepend:
      return store::StoreMode::kPrepend;
    case HistoryVerb::kCas:
      return store::StoreMode::kCas;
    default:
      return store::StoreMode::kSet;
  }
}

Outcome outcome_of(store::StoreResult result) {
  switch (result) {
    case store::StoreResult::kStored:
      return Outcome::kDone;
    case store::StoreResult::kNotStored:
      return Outcome::kNotStored;
    case store::StoreResult::kExists:
      return Outcome::kExists;
    case store::StoreResult::kNotFound:
      return Outcome::kNotFound;
    default:
      return Outcome::kRefused;
  }
}

}  // namespace

// What is seen here may be anything by the time it is used.
void StoreHistoryClient::look_ahead(std::span<const Request> requests) {
  names_.clear();
  for (const Request& request : requests) names_.push_back(history_key_name(request.operation.key));
  keys_.assign(names_.size(), {});
  for (std::size_t i = 0; i < keys_.size(); ++i) store_.prefetch(names_[i], keys_[i]);
  store_.prefetch_items(keys_.size(), [&](std::size_t i) -> store::Key& { return keys_[i]; });
}

void StoreHistoryClient::execute(std::span<Request> requests) {
  look_ahead(requests);
  for (Request& request : requests) {
    // Background work between operations, as a worker does it between turns.
    if (random_() % 16 == 0) maintain();
    request.operation.invoked = clock_.tick();
    now_ = time_.now();
    perform(request, keys_[static_cast<std::size_t>(&request - requests.data())]);
    request.operation.clock = {now_, time_.now()};
    request.operation.returned = clock_.tick();
    if (request.operation.outcome == Outcome::kDone && reads(request.operation.verb)) {
      request.operation.value = operand_in(request.operation.key, request.payload);
    }
  }
}

// Exact, and told to the history.
CacheTime StoreHistoryClient::expiry_of(HistoryOperation& operation) const {
  const CacheTime expiry = store::expiry_from_exptime(operation.exptime, now_, 0);
  if (expiry != store::kNeverExpires) operation.expires = {expiry, expiry};
  return expiry;
}

void StoreHistoryClient::perform(Request& request, const store::Key& key) {
  HistoryOperation& operation = request.operation;
  switch (operation.verb) {
    case HistoryVerb::kGet:
    case HistoryVerb::kGetTouch:
      return get(request, key);
    case HistoryVerb::kDelete:
      operation.outcome = store_.remove(thread_, key, now_) == store::DeleteResult::kDeleted
                              ? Outcome::kDone
                              : Outcome::kNotFound;
      return;
    case HistoryVerb::kTouch:
      operation.outcome =
          store_.touch(thread_, key, expiry_of(operation), now_) ? Outcome::kDone : Outcome::kNotFound;
      return;
    case HistoryVerb::kFlush:
      store_.flush(thread_);
      operation.outcome = Outcome::kDone;
      return;
    case HistoryVerb::kIncrement:
    case HistoryVerb::kDecrement:
      return count(operation, key);
    default:
      return put(operation, request.payload, key);
  }
}

// As the server does it, the plain way first; large values half of the time by a pin, read after the call.
void StoreHistoryClient::get(Request& request, const store::Key& key) {
  HistoryOperation& operation = request.operation;
  const bool by_pin = random_() % 2 == 0;
  const auto place = [&](const store::ItemInfo& info) {
    operation.cas = info.cas;
    const bool pinned = by_pin && info.value_bytes >= store::kPinBytesMin;
    request.payload.assign(pinned ? 0 : info.value_bytes, '?');
    return store::ReadTarget{pinned ? nullptr : request.payload.data(), pinned};
  };
  const auto place_plainly = [&](const store::ItemInfo& info) {
    operation.cas = info.cas;
    request.payload.assign(info.value_bytes, '?');
    return request.payload.data();
  };
  store::ReadOptions options;
  options.touch = operation.verb == HistoryVerb::kGetTouch;
  if (options.touch) options.expiry = expiry_of(operation);
  if (!options.touch && store_.read_plain(thread_, key, now_, place_plainly)) {
    operation.outcome = Outcome::kDone;
    return;
  }
  store::Pin pin;
  const store::Lookup lookup = store_.read(thread_, key, now_, options, place, &pin);
  operation.outcome = lookup == store::Lookup::kHit ? Outcome::kDone : Outcome::kNotFound;
  if (operation.outcome != Outcome::kDone) operation.cas = 0;
  if (!pin) return;
  store_.for_each_piece(
      pin, [&](std::span<const char> piece) { request.payload.append(piece.data(), piece.size()); });
}

void StoreHistoryClient::put(HistoryOperation& operation, std::string_view payload, const store::Key& key) {
  store::StoreRequest request;
  request.mode = mode_of(operation.verb);
  request.key = key;
  request.cas_compare = operation.compare;
  request.expiry = expiry_of(operation);
  const store::StoreResult result =
      random_() % 2 == 0 ? store_.put(thread_, request, payload, now_) : put_in_pieces(request, payload);
  operation.outcome = outcome_of(result);
  if (operation.outcome == Outcome::kDone) operation.cas = thread_.last_write().cas;
}

store::StoreResult StoreHistoryClient::put_in_pieces(const store::StoreRequest& request,
                                                     std::string_view payload) {
  store::PendingStore pending;
  const store::StoreResult begun = store_.begin(thread_, request, payload.size(), now_, pending);
  if (begun != store::StoreResult::kStored) return begun;
  while (!payload.empty()) {
    const std::size_t piece = std::min<std::size_t>(payload.size(), 1 + random_() % 20000);
    if (!pending.write({payload.data(), piece})) return store::StoreResult::kNoMemory;
    payload.remove_prefix(piece);
  }
  return store_.commit(thread_, request, std::move(pending), now_);
}

void StoreHistoryClient::count(HistoryOperation& operation, const store::Key& key) {
  store::Arithmetic wanted;
  wanted.decrement = operation.verb == HistoryVerb::kDecrement;
  std::from_chars(operation.operand.data(), operation.operand.data() + operation.operand.size(),
                  wanted.delta);
  std::uint64_t number = 0;
  switch (store_.arithmetic(thread_, key, wanted, now_, number)) {
    case store::ArithmeticResult::kDone:
      operation.outcome = Outcome::kDone;
      operation.value = std::to_string(number);
      operation.cas = thread_.last_write().cas;
      return;
    case store::ArithmeticResult::kNotFound:
      operation.outcome = Outcome::kNotFound;
      return;
    case store::ArithmeticResult::kNoMemory:
      operation.outcome = Outcome::kRefused;
      return;
    default:
      // No history explains it: what is counted are numbers.
      operation.outcome = Outcome::kExists;
  }
}

}  // namespace ringcached::testing
