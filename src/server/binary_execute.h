// The binary commands about one item: a request in, at most one answer out (spec 8.4).
#pragma once

#include <string_view>

#include "protocol/binary.h"
#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// `request` is an item command (protocol::is_item_command), `key` that of it. `value` is the value of a
// storage command, whole.
void execute_binary(WorkerContext& worker, Output& output, const protocol::BinaryRequest& request,
                    const store::Key& key, std::string_view value);

// What a storage command asks of the store.
store::StoreRequest binary_store_request(const WorkerContext& worker, const protocol::BinaryRequest& request,
                                         const store::Key& key);
// Answers a storage command. Of `request` it uses header, command and quiet.
void answer_binary_store(WorkerContext& worker, Output& output, const protocol::BinaryRequest& request,
                         const store::StoreRequest& wanted, store::StoreResult result);

void answer_binary_error(Output& output, const protocol::BinaryHeader& request,
                         protocol::BinaryStatus status);
void answer_binary_text(Output& output, const protocol::BinaryHeader& request, protocol::BinaryStatus status,
                        std::string_view text);
void answer_binary_success(Output& output, const protocol::BinaryHeader& request, std::uint64_t cas);

}  // namespace ringcached::server
