#include "server/watch_session.h"

#include <algorithm>
#include <new>

#include "protocol/parser.h"
#include "protocol/reply.h"

namespace ringcached::server {
namespace {

namespace reply = protocol::reply;

// Lines handed to a connection and not yet sent. The rest waits, bounded, in its Watcher.
constexpr std::size_t kUnsentBytesMax = std::size_t{64} << 10;

// False: a word names no stream.
bool parse_streams(std::string_view words, StreamMask& streams) {
  std::string_view word = protocol::next_word(words);
  streams = word.empty() ? mask_of(EventStream::kFetchers) : 0;
  for (; !word.empty(); word = protocol::next_word(words)) {
    const NamedStream stream = stream_named(word);
    if (!stream.known) return false;
    streams |= stream.mask;
  }
  return true;
}

}  // namespace

WatchSession::~WatchSession() {
  std::erase(worker_.watch_sessions, this);
  worker_.server.events.leave(watcher_);
}

Next WatchSession::on_begin(Connection& connection) {
  connection_ = &connection;
  connection.become_watcher();
  connection.output().append(reply::kOk);
  worker_.watch_sessions.push_back(this);
  return Next::kReceive;
}

Consumed WatchSession::on_data(Connection& /*connection*/, std::span<const char> input) {
  return {input.size(), Next::kReceive};
}

void WatchSession::deliver() {
  if (!connection_->is_open()) return;
  Output& output = connection_->output();
  while (!connection_->output_blocked()) {
    const std::size_t unsent = output.pending();
    std::string_view lines = watcher_.waiting();
    if (lines.empty() || unsent >= kUnsentBytesMax) return;
    // No more than has room for certain: lines are sent as a whole part or, for want of memory, later.
    output.room(1);
    lines = lines.substr(0, std::min(kUnsentBytesMax - unsent, output.available()));
    output.append(lines);
    watcher_.sent(lines.size());
  }
}

bool begin_watch(WorkerContext& worker, Output& output, std::string_view streams) {
  const auto refuse = [&](std::string_view line) {
    output.append(line);
    return false;
  };
  if (!worker.server.config.commands.watch_enabled) return refuse(reply::kWatchNotAllowed);
  if (output.pending() > 0) return refuse(reply::kPipelinedWatch);
  StreamMask wanted = 0;
  if (!parse_streams(streams, wanted)) return refuse(reply::kError);
  Watcher* watcher = nullptr;
  switch (worker.server.events.join(wanted, watcher)) {
    case EventLog::JoinResult::kTooMany:
      return refuse(reply::kWatcherTooMany);
    case EventLog::JoinResult::kNoMemory:
      return refuse(reply::kWatcherFailed);
    case EventLog::JoinResult::kJoined:
      break;
  }
  worker.successor.reset(new (std::nothrow) WatchSession(worker, *watcher));
  if (worker.successor != nullptr) return true;
  worker.server.events.leave(*watcher);
  return refuse(reply::kWatcherFailed);
}

bool serve_watchers(WorkerContext& worker) {
  const bool more = worker.server.events.pump();
  try {
    for (WatchSession* session : worker.watch_sessions) session->deliver();
  } catch (const std::bad_alloc&) {
    // The lines stay where they wait for the next turn.
  }
  return more;
}

}  // namespace ringcached::server
