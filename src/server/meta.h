// The meta commands but ms, whose value may arrive in pieces (meta_storage.h): one parsed line in, the reply
// appended.
#pragma once

#include "protocol/meta.h"
#include "protocol/meta_reply.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// `key` is that of the request; unused by mn. Not for ms.
void execute_meta(WorkerContext& worker, const protocol::MetaRequest& request, const store::Key& key,
                  Output& output);

// True if flag `first` stands left of flag `second`; both are there.
bool precedes(const protocol::MetaRequest& request, char first, char second);
// Seconds left as `t` and `exp` print them.
std::int64_t seconds_left(CacheTime expiry, CacheTime now);
// Of an item that a miss with N creates, empty or with a number.
store::StoreRequest creation(const WorkerContext& worker, const protocol::MetaRequest& request,
                             const store::Key& key);
// What the return flags tell of it, once it is stored.
protocol::MetaItem created_item(const WorkerContext& worker, const protocol::MetaRequest& request);
// `code` with the echoes the request asks for.
void append_meta_echo(Output& output, const protocol::MetaRequest& request, std::string_view code);

// The commands themselves, each in a file of its own.
void execute_meta_get(WorkerContext& worker, const protocol::MetaRequest& request, const store::Key& key,
                      Output& output);
void execute_meta_debug(WorkerContext& worker, const store::Key& key, Output& output);
void execute_meta_delete(WorkerContext& worker, const protocol::MetaRequest& request, const store::Key& key,
                         Output& output);
void execute_meta_arithmetic(WorkerContext& worker, const protocol::MetaRequest& request,
                             const store::Key& key, Output& output);

}  // namespace ringcached::server
