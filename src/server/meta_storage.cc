#include "server/meta_storage.h"

#include "base/assert.h"
#include "protocol/meta_reply.h"
#include "protocol/parser.h"

namespace ringcached::server {
namespace {

using protocol::MetaRequest;
using protocol::MetaSetMode;
using store::StoreMode;
using store::StoreResult;

StoreMode store_mode(const MetaRequest& request) {
  switch (request.set_mode) {
    case MetaSetMode::kAdd:
      return StoreMode::kAdd;
    case MetaSetMode::kAppend:
      return StoreMode::kAppend;
    case MetaSetMode::kPrepend:
      return StoreMode::kPrepend;
    case MetaSetMode::kReplace:
      return request.has('C') ? StoreMode::kCas : StoreMode::kReplace;
    case MetaSetMode::kSet:
      return request.has('C') ? StoreMode::kCas : StoreMode::kSet;
  }
  return StoreMode::kSet;
}

std::string_view code_of(StoreResult result) {
  switch (result) {
    case StoreResult::kStored:
      return protocol::reply::kMetaHit;
    case StoreResult::kExists:
      return protocol::reply::kMetaExists;
    case StoreResult::kNotFound:
      return protocol::reply::kMetaNotFound;
    default:
      return protocol::reply::kMetaNotStored;
  }
}

}  // namespace

Storing storing_of(const WorkerContext& worker, const MetaRequest& request, const store::Key& key) {
  const StoreMode mode = store_mode(request);
  const bool joins = mode == StoreMode::kAppend || mode == StoreMode::kPrepend;
  return {{.mode = mode,
           .key = key,
           .client_flags = request.client_flags,
           // Joining keeps the expiry; only an item it creates gets one.
           .expiry = worker.expiry(joins ? request.vivify_ttl : request.ttl),
           .cas_compare = request.cas,
           .cas_explicit = request.new_cas,
           .invalidate = request.has('I'),
           .binary_key = request.is_binary_key(),
           .create = joins && request.has('N'),
           .remove_when_refused = true},
          request.value_bytes};
}

void append_meta_stored(WorkerContext& worker, const MetaRequest& request, const StorageOutcome& outcome,
                        Output& output) {
  RC_DCHECK(outcome.finished);
  if (!outcome.fault.empty()) return output.append(outcome.fault);
  const bool stored = outcome.result == StoreResult::kStored;
  if (stored && request.has('q')) return;
  protocol::MetaItem item{.value_bytes = request.value_bytes, .binary_key = request.is_binary_key()};
  if (stored) {
    const store::WriteInfo& written = worker.thread.last_write();
    item.cas = written.cas;
    item.value_bytes = written.value_bytes;
  }
  constexpr protocol::MetaLetters kReturned("ckOs");
  char* start = output.room(protocol::kMetaHeaderBytesMax);
  const char* end = protocol::write_meta_changed(start, code_of(outcome.result), request, item, kReturned);
  output.commit(static_cast<std::size_t>(end - start));
}

KeptMetaLine::KeptMetaLine(std::string_view line) : line_(line) {
  protocol::LineScan scan;
  protocol::Request classic;
  const protocol::ParseResult parsed = protocol::parse_text(line_, scan, classic, request_);
  RC_CHECK(parsed.kind == protocol::ParseKind::kMeta);
}

}  // namespace ringcached::server
