// mg and me.
#include "server/meta.h"
#include "server/reporting.h"
#include "server/retrieval.h"
#include "server/value_reply.h"

namespace ringcached::server {
namespace {

using protocol::MetaItem;
using protocol::MetaRequest;

// The header of an mg hit; reads what the request asks for only.
struct MetaHeader {
  static constexpr std::size_t kBytesMax = protocol::kMetaHeaderBytesMax;
  static constexpr std::string_view kEnd = protocol::reply::kCrlf;

  const MetaRequest& request;
  CacheTime now;
  CacheTime touched_expiry;

  // With C the client has this version already.
  bool with_value(const store::ItemInfo& info) const {
    return request.has('v') && !(request.has('C') && request.cas == info.cas);
  }
  char* write(char* out, const store::ItemInfo& info) const {
    const MetaItem item{.cas = info.cas,
                        .client_flags = info.client_flags,
                        .value_bytes = info.value_bytes,
                        .idle_seconds = now - info.last_access,
                        .fetched = info.fetched,
                        .binary_key = info.binary_key,
                        .won = info.won,
                        .stale = info.stale,
                        .token_sent = info.token_sent,
                        .ttl = seconds_left(info.expiry, now),
                        .touched_ttl = seconds_left(touched_expiry, now)};
    return protocol::write_meta_hit(out, request, item, with_value(info));
  }
};

// What has no effect but that of getting, and is about the item only.
constexpr protocol::MetaLetters kPlainLetters("bcfhklqstvO");

// The same for a request of those: the token of a stale item goes to whoever gets it first, by read().
struct PlainMetaHeader : MetaHeader {
  bool declines(const store::ItemInfo& info) const { return info.stale; }
};

store::ReadOptions read_options(const WorkerContext& worker, const MetaRequest& request) {
  store::ReadOptions options;
  options.claim = true;
  options.quiet = request.has('u');
  if (request.has('T')) {
    options.touch = true;
    options.expiry = worker.expiry(request.ttl);
  }
  if (request.has('R')) {
    options.recache_before = worker.expiry(request.recache_ttl);
    options.recache_after_touch = precedes(request, 'T', 'R');
  }
  return options;
}

// The item of a miss with N: empty, and its token is ours. False when somebody else was faster.
bool vivify(WorkerContext& worker, const MetaRequest& request, const store::Key& key, Output& output) {
  store::StoreRequest wanted = creation(worker, request, key);
  wanted.token_sent = true;
  wanted.fetched = !request.has('u');
  const store::StoreResult result = worker.store.put(worker.thread, wanted, {}, worker.now());
  if (result == store::StoreResult::kNotStored) return false;
  if (result != store::StoreResult::kStored) {
    output.append(protocol::reply::kNoMemoryNewItem);
    return true;
  }
  const bool touch = request.has('T');
  count_hit(worker.counters, touch, worker.thread.last_class());
  worker.counters.add(touch ? Count::kCmdTouch : Count::kCmdGet);
  MetaItem item = created_item(worker, request);
  item.won = true;
  char* start = output.room(protocol::kMetaHeaderBytesMax);
  output.commit(
      static_cast<std::size_t>(protocol::write_meta_hit(start, request, item, request.has('v')) - start));
  if (request.has('v')) output.append(protocol::reply::kCrlf);
  return true;
}

// Whatever an mg may ask for.
[[gnu::noinline]] void get_any(WorkerContext& worker, const MetaRequest& request, const store::Key& key,
                               Output& output) {
  const store::ReadOptions options = read_options(worker, request);
  const MetaHeader header{request, worker.now(), options.expiry};
  ValueReply reply(output, header);
  for (;;) {
    store::Pin pin;
    const store::Lookup lookup = worker.store.read(worker.thread, key, worker.now(), options, reply, &pin);
    report_lookup(worker, key.bytes, lookup, reply.info());
    if (lookup == store::Lookup::kHit) {
      reply.finish(worker.store, std::move(pin));
      worker.counters.add(options.touch ? Count::kCmdTouch : Count::kCmdGet);
      count_hit(worker.counters, options.touch, reply.info().slab_class);
      return;
    }
    count_dead(worker.counters, lookup);
    if (!request.has('N')) break;
    if (vivify(worker, request, key, output)) return;
  }
  // A miss is one of getting, also with T: nothing was touched.
  worker.counters.add(Count::kCmdGet);
  worker.counters.add(Count::kGetMisses);
  if (!request.has('q')) append_meta_echo(output, request, protocol::reply::kMetaMiss);
}

}  // namespace

[[gnu::flatten]] void execute_meta_get(WorkerContext& worker, const MetaRequest& request,
                                       const store::Key& key, Output& output) {
  const PlainMetaHeader plain{{request, worker.now(), store::kNeverExpires}};
  if (request.has('v') && request.letters.within(kPlainLetters) && append_plain(worker, output, key, plain))
    return;
  get_any(worker, request, key, output);
}

void execute_meta_debug(WorkerContext& worker, const store::Key& key, Output& output) {
  const CacheTime now = worker.now();
  worker.counters.add(Count::kCmdMeta);
  store::ItemInfo info;
  const auto look = [&info](const store::ItemInfo& seen) {
    info = seen;
    return store::ReadTarget{};
  };
  const store::Lookup lookup = worker.store.read(worker.thread, key, now, {.quiet = true}, look, nullptr);
  report_lookup(worker, key.bytes, lookup, info);
  if (lookup != store::Lookup::kHit) {
    count_dead(worker.counters, lookup);
    output.append(protocol::reply::kMetaMiss);
    output.append(protocol::reply::kCrlf);
    return;
  }
  const std::size_t item_bytes = store::item_bytes(key.bytes.size(), info.value_bytes, info.client_flags,
                                                   worker.server.config.store.cas_enabled);
  char* start = output.room(protocol::kMetaDebugBytesMax);
  const char* end = protocol::write_meta_debug(start, key.bytes,
                                               {.ttl = seconds_left(info.expiry, now),
                                                .idle_seconds = now - info.last_access,
                                                .cas = info.cas,
                                                .fetched = info.fetched,
                                                .slab_class = info.slab_class,
                                                .item_bytes = item_bytes,
                                                .binary_key = info.binary_key});
  output.commit(static_cast<std::size_t>(end - start));
}

}  // namespace ringcached::server
