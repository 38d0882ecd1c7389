#include "server/meta.h"

#include "store/expiry.h"

namespace ringcached::server {

void execute_meta(WorkerContext& worker, const protocol::MetaRequest& request, const store::Key& key,
                  Output& output) {
  using protocol::MetaCommand;
  switch (request.command) {
    case MetaCommand::kGet:
      return execute_meta_get(worker, request, key, output);
    case MetaCommand::kDelete:
      return execute_meta_delete(worker, request, key, output);
    case MetaCommand::kArithmetic:
      return execute_meta_arithmetic(worker, request, key, output);
    case MetaCommand::kDebug:
      return execute_meta_debug(worker, key, output);
    case MetaCommand::kNoop:
    case MetaCommand::kSet:
      break;
  }
  // Whatever was answered before leaves with it: the output of a turn is sent when the input is used up.
  output.append(protocol::reply::kMetaNoop);
}

std::int64_t seconds_left(CacheTime expiry, CacheTime now) {
  if (expiry == store::kNeverExpires) return protocol::kMetaNoTtl;
  return expiry > now ? std::int64_t{expiry - now} : 0;
}

bool precedes(const protocol::MetaRequest& request, char first, char second) {
  return request.order().find(first) < request.order().find(second);
}

store::StoreRequest creation(const WorkerContext& worker, const protocol::MetaRequest& request,
                             const store::Key& key) {
  // Of N and T, the one further to the right has the last word.
  const bool touched_last = request.has('T') && precedes(request, 'N', 'T');
  return {.mode = store::StoreMode::kAdd,
          .key = key,
          .expiry = worker.expiry(touched_last ? request.ttl : request.vivify_ttl),
          .cas_explicit = request.new_cas,
          .binary_key = request.is_binary_key()};
}

protocol::MetaItem created_item(const WorkerContext& worker, const protocol::MetaRequest& request) {
  return {.cas = worker.thread.last_write().cas,
          .binary_key = request.is_binary_key(),
          .created = true,
          .touched_ttl = seconds_left(worker.expiry(request.ttl), worker.now()),
          .vivified_ttl = seconds_left(worker.expiry(request.vivify_ttl), worker.now())};
}

void append_meta_echo(Output& output, const protocol::MetaRequest& request, std::string_view code) {
  char* start = output.room(protocol::kMetaHeaderBytesMax);
  output.commit(static_cast<std::size_t>(protocol::write_meta_echo(start, code, request) - start));
}

}  // namespace ringcached::server
