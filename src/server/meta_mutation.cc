// md and ma.
#include <array>

#include "server/meta.h"
#include "server/mutation.h"
#include "server/reporting.h"

namespace ringcached::server {
namespace {

using protocol::MetaRequest;

void count_delete(WorkerContext& worker, const MetaRequest& request, store::DeleteResult result) {
  if (result != store::DeleteResult::kDeleted) return worker.counters.add(Count::kDeleteMisses);
  // What only went stale is still there.
  if (request.has('I')) return;
  worker.counters.add(Count::kDeleteHits);
  worker.counters.add(ClassCount::kDeleteHits, worker.thread.last_class());
}

std::string_view write_digits(std::array<char, protocol::kU64DigitsMax>& digits, std::uint64_t number) {
  const char* const end = protocol::write_u64(digits.data(), number);
  return {digits.data(), static_cast<std::size_t>(end - digits.data())};
}

void append_number(const MetaRequest& request, std::uint64_t number, const protocol::MetaItem& item,
                   Output& output) {
  if (request.has('q')) return;
  std::array<char, protocol::kU64DigitsMax> digits;
  const std::string_view text = write_digits(digits, number);
  constexpr protocol::MetaLetters kReturned("tckO");
  char* const start = output.room(protocol::kMetaHeaderBytesMax + text.size() + 2);
  char* out = start;
  if (request.has('v')) {
    out = protocol::write_text(out, protocol::reply::kMetaValuePrefix);
    out = protocol::write_u32(out, static_cast<std::uint32_t>(text.size()));
    out = protocol::write_meta_changed(out, {}, request, item, kReturned);
    out = protocol::write_text(protocol::write_text(out, text), protocol::reply::kCrlf);
  } else {
    out = protocol::write_meta_changed(out, protocol::reply::kMetaHit, request, item, kReturned);
  }
  output.commit(static_cast<std::size_t>(out - start));
}

// What the return flags tell of a number that was there before.
protocol::MetaItem counted_item(const WorkerContext& worker, const MetaRequest& request) {
  const store::WriteInfo& written = worker.thread.last_write();
  return {.cas = written.cas,
          .binary_key = request.is_binary_key(),
          .ttl = seconds_left(written.expiry_before, worker.now()),
          .touched_ttl = seconds_left(written.expiry, worker.now())};
}

// False: another client created the item meanwhile, look again.
bool on_missing_number(WorkerContext& worker, const MetaRequest& request, const store::Key& key,
                       Output& output) {
  if (!request.has('N')) {
    const bool decrement = request.arithmetic_mode == protocol::MetaArithmeticMode::kDecrement;
    worker.counters.add(decrement ? Count::kDecrMisses : Count::kIncrMisses);
    append_meta_echo(output, request, protocol::reply::kMetaNotFound);
    return true;
  }
  std::array<char, protocol::kU64DigitsMax> digits;
  const store::StoreRequest wanted = creation(worker, request, key);
  const std::string_view value = write_digits(digits, request.initial);
  const store::StoreResult created = worker.store.put(worker.thread, wanted, value, worker.now());
  report_store(worker, wanted, created, value.size());
  if (created == store::StoreResult::kNotStored) return false;
  if (created == store::StoreResult::kStored) {
    append_number(request, request.initial, created_item(worker, request), output);
  } else {
    output.append(protocol::reply::kNoMemoryNewItem);
  }
  return true;
}

}  // namespace

void execute_meta_delete(WorkerContext& worker, const MetaRequest& request, const store::Key& key,
                         Output& output) {
  const store::Removal removal{.cas_compare = request.cas,
                               .compare = request.has('C'),
                               .cas_explicit = request.new_cas,
                               .invalidate = request.has('I'),
                               .clear = request.has('x'),
                               .set_expiry = request.has('T'),
                               .expiry = request.has('T') ? worker.expiry(request.ttl) : store::kNeverExpires,
                               .client_flags = request.client_flags};
  const store::DeleteResult result = worker.store.remove(worker.thread, key, removal, worker.now());
  count_delete(worker, request, result);
  const bool deleted = result == store::DeleteResult::kDeleted;
  if (deleted && removal.clear) {
    report_found(worker, key.bytes);
    report_cleared(worker, key.bytes, removal.expiry);
  }
  report_removal(worker, key.bytes, deleted && !removal.invalidate, EventVerb::kMetaDelete);
  switch (result) {
    case store::DeleteResult::kDeleted:
      if (!request.has('q')) append_meta_echo(output, request, protocol::reply::kMetaHit);
      return;
    case store::DeleteResult::kNotFound:
      return append_meta_echo(output, request, protocol::reply::kMetaNotFound);
    case store::DeleteResult::kExists:
      return append_meta_echo(output, request, protocol::reply::kMetaExists);
  }
}

void execute_meta_arithmetic(WorkerContext& worker, const MetaRequest& request, const store::Key& key,
                             Output& output) {
  const bool decrement = request.arithmetic_mode == protocol::MetaArithmeticMode::kDecrement;
  const store::Arithmetic wanted{.decrement = decrement,
                                 .delta = request.delta,
                                 .cas_compare = request.cas,
                                 .cas_explicit = request.new_cas,
                                 .touch = request.has('T'),
                                 .expiry = worker.expiry(request.ttl)};
  for (;;) {
    std::uint64_t number = 0;
    const store::ArithmeticResult result =
        worker.store.arithmetic(worker.thread, key, wanted, worker.now(), number);
    report_found(worker, key.bytes);
    switch (result) {
      case store::ArithmeticResult::kDone:
        count_arithmetic(worker, decrement);
        return append_number(request, number, counted_item(worker, request), output);
      case store::ArithmeticResult::kNotFound:
        if (on_missing_number(worker, request, key, output)) return;
        break;
      case store::ArithmeticResult::kExists:
        return append_meta_echo(output, request, protocol::reply::kMetaExists);
      case store::ArithmeticResult::kNonNumeric:
        return output.append(protocol::reply::kNonNumericValue);
      case store::ArithmeticResult::kNoMemory:
        return output.append(protocol::reply::kNoMemory);
    }
  }
}

}  // namespace ringcached::server
