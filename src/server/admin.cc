#include "server/admin.h"

#include "protocol/admin.h"
#include "protocol/admin_lru.h"
#include "protocol/admin_slabs.h"
#include "protocol/reply.h"
#include "ringcached/version.h"
#include "server/lru_admin.h"
#include "server/stats_reply.h"
#include "store/expiry.h"

namespace ringcached::server {
namespace {

namespace reply = protocol::reply;

void flush_now(WorkerContext& worker) {
  worker.server.flushed_at.store(worker.now(), std::memory_order_relaxed);
  worker.store.flush(worker.thread);
}

std::string_view flush_all(WorkerContext& worker, std::string_view arguments) {
  if (!flush_allowed(worker)) return reply::kFlushNotAllowed;
  const auto delay = protocol::parse_flush_all(arguments);
  if (!delay.is_ok()) return delay.reply;
  flush_after(worker, delay.value);
  return reply::kOk;
}

std::string_view verbosity(WorkerContext& worker, std::string_view arguments) {
  const auto level = protocol::parse_verbosity(arguments);
  if (!level.is_ok()) return level.reply;
  worker.server.log.set_verbosity(static_cast<int>(level.value));
  return reply::kOk;
}

std::string_view cache_memlimit(WorkerContext& worker, std::string_view arguments) {
  const auto megabytes = protocol::parse_cache_memlimit(arguments);
  if (!megabytes.is_ok()) return megabytes.reply;
  const bool preallocated = worker.server.config.memory.large_pages;
  const std::size_t bytes = std::size_t{megabytes.value} << 20;
  if (preallocated || !worker.store.set_memory_limit(bytes)) return reply::kMemlimitFailed;
  return reply::kOk;
}

// Closes without an answer when it is allowed; the process then ends as on SIGINT.
AdminOutcome shutdown(WorkerContext& worker, std::string_view arguments, Output& output) {
  if (!worker.server.config.commands.shutdown_enabled) {
    output.append(reply::kShutdownNotEnabled);
    return AdminOutcome::kContinue;
  }
  const auto mode = protocol::parse_shutdown(arguments);
  if (!mode.is_ok()) {
    output.append(mode.reply);
    return AdminOutcome::kContinue;
  }
  worker.server.request_stop();
  return AdminOutcome::kClose;
}

bool asks_for_dump(std::string_view arguments) {
  const auto command = protocol::parse_lru_crawler(arguments);
  using Action = protocol::CrawlerCommand::Action;
  return command.is_ok() &&
         (command.value.action == Action::kMetadump || command.value.action == Action::kMgdump);
}

void version(Output& output) {
  output.append(reply::kVersionPrefix);
  output.append(kProtocolVersion);
  output.append(reply::kCrlf);
}

}  // namespace

bool flush_allowed(WorkerContext& worker) {
  worker.counters.add(Count::kCmdFlush);
  return worker.server.config.commands.flush_enabled;
}

// One pending time at most: every flush_all replaces or cancels the one before (spec 7.2).
void flush_after(WorkerContext& worker, std::int64_t delay) {
  if (delay <= 0) {
    worker.server.flush_due.store(0);
    return flush_now(worker);
  }
  const CacheTime due = store::expiry_from_exptime(delay, worker.now(), worker.server.clock.wall_base());
  // A time before the start of the server does nothing.
  if (due == store::kAlreadyExpired) return;
  worker.server.flush_due.store(due);
  flush_if_due(worker);
}

bool flush_prepared(WorkerContext& worker) {
  return worker.store.prepare_flush(worker.thread);
}

bool flush_if_due(WorkerContext& worker) {
  CacheTime due = worker.server.flush_due.load(std::memory_order_relaxed);
  if (due == 0 || worker.now() < due) return false;
  worker.latency.begin_step();
  const bool prepared = flush_prepared(worker);
  if (!prepared) worker.latency.end_step(Span::kUpkeepFlush);
  if (!prepared) return true;
  if (!worker.server.flush_due.compare_exchange_strong(due, 0)) return false;
  flush_now(worker);
  worker.latency.end_step(Span::kUpkeepFlush);
  return false;
}

AdminOutcome execute_admin(WorkerContext& worker, Connection& connection, const protocol::Request& request,
                           Output& output, std::unique_ptr<ConnectionHandler>& successor) {
  using protocol::Command;
  const auto answer = [&](std::string_view line) {
    if (!request.noreply) output.append(line);
    return AdminOutcome::kContinue;
  };
  switch (request.command) {
    case Command::kStats:
      answer_stats(worker, connection, request.arguments, output, successor);
      break;
    case Command::kFlushAll:
      if (!flush_prepared(worker)) return AdminOutcome::kLater;
      return answer(flush_all(worker, request.arguments));
    case Command::kVerbosity:
      return answer(verbosity(worker, request.arguments));
    case Command::kVersion:
      version(output);
      break;
    case Command::kCacheMemlimit:
      return answer(cache_memlimit(worker, request.arguments));
    case Command::kShutdown:
      return shutdown(worker, request.arguments, output);
    case Command::kSlabs:
      return answer(execute_slabs(worker, request.arguments));
    case Command::kLru:
      return answer(execute_lru(worker, request.arguments));
    case Command::kLruCrawler:
      // The word is no argument of any of them, but of a dump it leaves nothing to see.
      if (request.noreply && asks_for_dump(request.arguments)) break;
      answer(execute_lru_crawler(worker, request.arguments, output, successor));
      break;
    case Command::kExtstore:
      return answer(protocol::check_extstore(request.arguments));
    default:
      output.append(reply::kError);
      break;
  }
  return successor != nullptr ? AdminOutcome::kHandOver : AdminOutcome::kContinue;
}

}  // namespace ringcached::server
