// What a session of a dialect (text, binary) is beyond a handler of a connection.
#pragma once

#include <span>
#include <string_view>

#include "ringcached/network.h"
#include "server/context.h"
#include "server/trace.h"

namespace ringcached::server {

class DialectSession : public ConnectionHandler {
 public:
  // No request is half done: what was put out so far is whole replies, and the session may be dropped without
  // anything being left undone.
  virtual bool between_requests() const = 0;

 protected:
  // What one step did: bytes used, and whether the loop goes on.
  struct Step {
    std::size_t used = 0;
    bool wait = false;    // more input is needed
    bool direct = false;  // with `wait`: into the session's own memory
    bool later = false;   // the same input again in the next turn
    bool close = false;
    bool reject = false;     // close, because of the client's fault
    bool hand_over = false;  // to worker.successor
    unsigned requests = 1;   // towards the connection's share of the turn
  };

  // Calls step(input, share) -> Step until the input is used up or a step says otherwise. `share`: requests
  // that may still be served before others must have their turn.
  template <typename TakeStep>
  Consumed converse(WorkerContext& worker, Connection& connection, std::span<const char> data,
                    TakeStep&& take_step) {
    worker.client = &connection;
    worker.latency.begin_input(connection.others_waiting());
    const Consumed consumed = take_steps(worker, connection, data, take_step);
    worker.latency.end_run();
    return consumed;
  }

  // The same for bytes that were received into the session's own memory: go_on() -> Step, with nothing used.
  template <typename GoOn>
  static Next converse_direct(WorkerContext& worker, Connection& connection, GoOn&& go_on) {
    worker.client = &connection;
    worker.latency.begin_input(connection.others_waiting());
    const Step done = go_on();
    worker.latency.end_run();
    if (done.direct) return Next::kReceiveDirect;
    return connection.output_blocked() ? Next::kBlocked : Next::kReceive;
  }

 private:
  template <typename TakeStep>
  Consumed take_steps(WorkerContext& worker, Connection& connection, std::span<const char> data,
                      TakeStep& take_step) {
    const bool traced = traces(worker);
    const std::string_view input(data.data(), data.size());
    std::size_t used = 0;
    unsigned requests = 0;
    while (used < input.size()) {
      // Traced requests are taken one at a time.
      const bool begins = traced && between_requests();
      const Step done = take_step(input.substr(used), traced ? 1 : worker.requests_per_turn - requests);
      if (begins && done.used > 0) [[unlikely]]
        trace_request(worker, connection, input.substr(used));
      used += done.used;
      if (done.close) return {used, Next::kClose};
      if (done.reject) return {used, Next::kReject};
      if (done.hand_over) return {used, Next::kHandOver};
      if (done.wait) return {used, done.direct ? Next::kReceiveDirect : Next::kReceive};
      if (done.later) return {used, Next::kYield};
      if (connection.output_blocked()) return {used, Next::kBlocked};
      requests += done.requests;
      if (requests >= worker.requests_per_turn) {
        if (connection.others_waiting()) return {used, Next::kYield};
        requests = 0;
      }
    }
    return {used, Next::kReceive};
  }
};

}  // namespace ringcached::server
