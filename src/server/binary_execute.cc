#include "server/binary_execute.h"

#include <charconv>

#include "base/assert.h"
#include "protocol/binary_reply.h"
#include "protocol/reply.h"
#include "server/mutation.h"
#include "server/reporting.h"
#include "server/storage.h"
#include "server/value_reply.h"

namespace ringcached::server {
namespace {

using protocol::BinaryCommand;
using protocol::BinaryRequest;
using protocol::BinaryStatus;
using store::StoreMode;
using store::StoreResult;

// Calls write(out), which returns the end of the answer it wrote.
template <typename Write>
void answer(Output& output, Write write) {
  char* start = output.room(protocol::kBinaryReplyBytesMax);
  output.commit(static_cast<std::size_t>(write(start) - start));
}

// --- Get, GetK, GAT, GATK, Touch.

struct BinaryValueHeader {
  static constexpr std::size_t kBytesMax = protocol::kBinaryValueHeaderBytesMax;
  static constexpr std::string_view kEnd = "";

  const protocol::BinaryHeader& header;
  std::string_view key;  // empty where the answer carries none

  bool with_value(const store::ItemInfo&) const { return true; }
  char* write(char* out, const store::ItemInfo& info) const {
    return protocol::write_binary_value_header(out, header, key, info.client_flags, info.value_bytes,
                                               info.cas);
  }
};

void execute_get(WorkerContext& worker, Output& output, const BinaryRequest& request, const store::Key& key) {
  const BinaryCommand command = request.command;
  const bool touch = command == BinaryCommand::kGetAndTouch || command == BinaryCommand::kGetKeyAndTouch;
  const bool with_key = command == BinaryCommand::kGetKey || command == BinaryCommand::kGetKeyAndTouch;
  Retrieval retrieval;
  if (touch) retrieval = {.touch = true, .expiry = worker.expiry(std::int64_t{request.exptime})};
  const BinaryValueHeader header{request.header, with_key ? key.bytes : std::string_view()};
  if (retrieve_behind(worker, output, key, retrieval, header) || request.quiet) return;
  answer(output, [&](char* out) {
    return with_key ? protocol::write_binary_key_miss(out, request.header, key.bytes)
                    : protocol::write_binary_error(out, request.header, BinaryStatus::kKeyNotFound);
  });
}

void execute_touch(WorkerContext& worker, Output& output, const BinaryRequest& request,
                   const store::Key& key) {
  const Retrieval retrieval{.touch = true, .expiry = worker.expiry(std::int64_t{request.exptime})};
  store::ItemInfo info;
  const auto look = [&info](const store::ItemInfo& found) {
    info = found;
    return store::ReadTarget{};
  };
  const store::Lookup lookup = worker.store.read(worker.thread, key, worker.now(),
                                                 {.touch = true, .expiry = retrieval.expiry}, look, nullptr);
  count_retrieval(worker.counters, retrieval, lookup, info.slab_class);
  report_lookup(worker, key.bytes, lookup, info);
  if (lookup != store::Lookup::kHit) {
    return answer_binary_error(output, request.header, BinaryStatus::kKeyNotFound);
  }
  answer(output, [&](char* out) {
    return protocol::write_binary_flags(out, request.header, info.client_flags, info.cas);
  });
}

// --- Set, Add, Replace, Append, Prepend.

StoreMode store_mode(const BinaryRequest& request) {
  switch (request.command) {
    case BinaryCommand::kAppend:
      return StoreMode::kAppend;
    case BinaryCommand::kPrepend:
      return StoreMode::kPrepend;
    default:
      break;
  }
  // An id makes a compare-and-swap of any of the three.
  if (request.header.cas != 0) return StoreMode::kCas;
  if (request.command == BinaryCommand::kAdd) return StoreMode::kAdd;
  return request.command == BinaryCommand::kReplace ? StoreMode::kReplace : StoreMode::kSet;
}

BinaryStatus status_of(StoreResult result, StoreMode mode) {
  switch (result) {
    case StoreResult::kStored:
      return BinaryStatus::kOk;
    case StoreResult::kExists:
      return BinaryStatus::kKeyExists;
    case StoreResult::kNotFound:
      return BinaryStatus::kKeyNotFound;
    case StoreResult::kTooLarge:
      return BinaryStatus::kTooLarge;
    case StoreResult::kNoMemory:
      return BinaryStatus::kOutOfMemory;
    case StoreResult::kNotStored:
      break;
  }
  if (mode == StoreMode::kAdd) return BinaryStatus::kKeyExists;
  return mode == StoreMode::kReplace ? BinaryStatus::kKeyNotFound : BinaryStatus::kNotStored;
}

// --- Delete, Increment, Decrement.

void execute_delete(WorkerContext& worker, Output& output, const BinaryRequest& request,
                    const store::Key& key) {
  const store::Removal removal{.cas_compare = request.header.cas};
  worker.count_prefix_delete(key.bytes);
  const store::DeleteResult result = worker.store.remove(worker.thread, key, removal, worker.now());
  report_removal(worker, key.bytes, result == store::DeleteResult::kDeleted, EventVerb::kDelete);
  switch (result) {
    case store::DeleteResult::kDeleted:
      worker.counters.add(Count::kDeleteHits);
      worker.counters.add(ClassCount::kDeleteHits, worker.thread.last_class());
      if (!request.quiet) answer_binary_success(output, request.header, 0);
      return;
    case store::DeleteResult::kNotFound:
      worker.counters.add(Count::kDeleteMisses);
      return answer_binary_error(output, request.header, BinaryStatus::kKeyNotFound);
    case store::DeleteResult::kExists:
      return answer_binary_error(output, request.header, BinaryStatus::kKeyExists);
  }
}

constexpr std::uint32_t kDoNotCreate = 0xffffffff;

void answer_number(const WorkerContext& worker, Output& output, const BinaryRequest& request,
                   std::uint64_t number) {
  if (request.quiet) return;
  const std::uint64_t cas = worker.thread.last_write().cas;
  answer(output, [&](char* out) { return protocol::write_binary_number(out, request.header, number, cas); });
}

// A missing counter comes to be with its initial value. kNotStored: somebody else was faster.
StoreResult create_counter(WorkerContext& worker, const BinaryRequest& request, const store::Key& key) {
  char digits[protocol::kU64DigitsMax];
  const char* end = std::to_chars(digits, digits + sizeof digits, request.initial).ptr;
  const store::StoreRequest wanted{
      .mode = StoreMode::kAdd, .key = key, .expiry = worker.expiry(std::int64_t{request.exptime})};
  const std::string_view value(digits, static_cast<std::size_t>(end - digits));
  const StoreResult result = worker.store.put(worker.thread, wanted, value, worker.now());
  report_store(worker, wanted, result, value.size());
  return result;
}

void execute_arithmetic(WorkerContext& worker, Output& output, const BinaryRequest& request,
                        const store::Key& key) {
  const bool decrement = request.command == BinaryCommand::kDecrement;
  const store::Arithmetic wanted{
      .decrement = decrement, .delta = request.delta, .cas_compare = request.header.cas};
  for (;;) {
    std::uint64_t number = 0;
    const store::ArithmeticResult result =
        worker.store.arithmetic(worker.thread, key, wanted, worker.now(), number);
    report_found(worker, key.bytes);
    switch (result) {
      case store::ArithmeticResult::kDone:
        count_arithmetic(worker, decrement);
        return answer_number(worker, output, request, number);
      case store::ArithmeticResult::kNonNumeric:
        return answer_binary_error(output, request.header, BinaryStatus::kNonNumeric);
      case store::ArithmeticResult::kNoMemory:
        return answer_binary_error(output, request.header, BinaryStatus::kOutOfMemory);
      case store::ArithmeticResult::kExists:
        return answer_binary_error(output, request.header, BinaryStatus::kKeyExists);
      case store::ArithmeticResult::kNotFound:
        break;
    }
    const StoreResult created =
        request.exptime == kDoNotCreate ? StoreResult::kNotFound : create_counter(worker, request, key);
    if (created == StoreResult::kNotStored) continue;
    if (created == StoreResult::kStored) return answer_number(worker, output, request, request.initial);
    worker.counters.add(decrement ? Count::kDecrMisses : Count::kIncrMisses);
    return created == StoreResult::kNoMemory
               ? answer_binary_text(output, request.header, BinaryStatus::kOutOfMemory,
                                    protocol::kBinaryNoMemoryStoring)
               : answer_binary_error(output, request.header, status_of(created, StoreMode::kAdd));
  }
}

}  // namespace

void answer_binary_error(Output& output, const protocol::BinaryHeader& request, BinaryStatus status) {
  answer(output, [&](char* out) { return protocol::write_binary_error(out, request, status); });
}

void answer_binary_text(Output& output, const protocol::BinaryHeader& request, BinaryStatus status,
                        std::string_view text) {
  RC_DCHECK(text.size() <= protocol::kBinaryTextBytesMax);
  answer(output, [&](char* out) { return protocol::write_binary_text(out, request, status, text); });
}

void answer_binary_success(Output& output, const protocol::BinaryHeader& request, std::uint64_t cas) {
  answer(output, [&](char* out) { return protocol::write_binary_success(out, request, cas); });
}

store::StoreRequest binary_store_request(const WorkerContext& worker, const BinaryRequest& request,
                                         const store::Key& key) {
  worker.count_prefix_set(key.bytes);
  return {.mode = store_mode(request),
          .key = key,
          .client_flags = request.client_flags,
          .expiry = worker.expiry(std::int64_t{request.exptime}),
          .cas_compare = request.header.cas};
}

void answer_binary_store(WorkerContext& worker, Output& output, const BinaryRequest& request,
                         const store::StoreRequest& wanted, StoreResult result) {
  if (result == StoreResult::kStored) {
    if (!request.quiet) answer_binary_success(output, request.header, worker.thread.last_write().cas);
    return;
  }
  // The store does this for its own set; one with an id is no set to it.
  const bool refused = result == StoreResult::kTooLarge || result == StoreResult::kNoMemory;
  if (refused && request.command == BinaryCommand::kSet && wanted.mode == StoreMode::kCas) {
    static_cast<void>(worker.store.remove(worker.thread, wanted.key, worker.now()));
    report_found(worker, wanted.key.bytes);
  }
  if (result == StoreResult::kNoMemory) {
    return answer_binary_text(output, request.header, BinaryStatus::kOutOfMemory,
                              protocol::kBinaryNoMemoryStoring);
  }
  answer_binary_error(output, request.header, status_of(result, wanted.mode));
}

void execute_binary(WorkerContext& worker, Output& output, const BinaryRequest& request,
                    const store::Key& key, std::string_view value) {
  switch (request.command) {
    case BinaryCommand::kGet:
    case BinaryCommand::kGetKey:
    case BinaryCommand::kGetAndTouch:
    case BinaryCommand::kGetKeyAndTouch:
      return execute_get(worker, output, request, key);
    case BinaryCommand::kTouch:
      return execute_touch(worker, output, request, key);
    case BinaryCommand::kDelete:
      return execute_delete(worker, output, request, key);
    case BinaryCommand::kIncrement:
    case BinaryCommand::kDecrement:
      return execute_arithmetic(worker, output, request, key);
    default:
      break;
  }
  RC_DCHECK(protocol::is_binary_storage(request.command));
  const store::StoreRequest wanted = binary_store_request(worker, request, key);
  answer_binary_store(worker, output, request, wanted, store_value(worker, wanted, value));
}

}  // namespace ringcached::server
