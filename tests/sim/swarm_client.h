// A client of the real server in a swarm run: speaks one dialect (classic and meta mixed, or binary) and
// knows what it may be told. It writes in pieces, reads or does not, half-closes, closes or resets.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "cache_model.h"
#include "sim_network.h"
#include "swarm_plan.h"
#include "swarm_server.h"
#include "swarm_step.h"

namespace ringcached::testing {

// Everything ever sent for the keys that all clients share.
using SharedValues = std::map<std::string, std::vector<CacheState>>;

class SwarmClient {
 public:
  SwarmClient(SwarmServer& server, const SwarmPlan& plan, SharedValues& shared, Dice& dice);

  // One random act.
  void act(Dice& dice);
  // Reads, and checks what has come.
  void check();
  // --- The end of a run, when faults are over.
  // Writes what is left, reads again, asks for a last reply behind everything.
  void calm_down();
  // Reads all of its keys, those that had an expiry having been given the time.
  void audit();
  void half_close();
  // Everything asked for was answered, or no answer can come any more.
  bool settled() const { return gone_ || over() || (steps_.empty() && written_ == to_send_.size()); }
  // The server's side of the connection has ended.
  bool over() const;
  // After the end: it was a legal one. `cut_midway`: the server was stopped in the middle.
  void check_end(bool cut_midway);
  // Waits in vain, as far as it can tell, because others have all connections there may be.
  bool waiting_for_room() const { return !answered_; }
  bool gone() const { return gone_; }
  std::string describe() const;

 private:
  bool binary() const { return dialect_ == SwarmDialect::kBinary; }
  void ask(Dice& dice);
  void ask_for_one(Dice& dice);
  void ask_classic_get(Dice& dice, Verb verb, bool shared);
  void ask_for_shared(Dice& dice);
  void ask_something_else(Dice& dice);
  void ask_for_ending(Dice& dice);
  SwarmStep draw_step(Dice& dice);
  CacheRequest draw_request(Dice& dice, bool counter);
  void push(SwarmStep step);
  void literal(std::string sent, std::string reply);
  void noop();
  void write_some(std::size_t bytes);
  void misbehave(Dice& dice);
  bool take_step(bool ended);
  std::vector<CacheOutcome> outcomes_of(const SwarmStep& step) const;
  bool refused() const;
  bool legal_end() const;
  void fail(const std::string& what);

  SwarmServer& server_;
  const SwarmPlan& plan_;
  SharedValues& shared_;
  const bool tcp_;
  const ClientId id_;
  SwarmDialect dialect_;
  CacheRules rules_;
  CacheModel model_;
  unsigned requests_left_;
  std::uint32_t next_opaque_ = 1;
  std::string to_send_;
  std::size_t written_ = 0;
  std::deque<SwarmStep> steps_;
  std::string received_;  // not yet judged
  std::vector<std::string> recent_;
  bool answered_ = false;  // anything
  bool asked_to_end_ = false;
  bool stalled_ = false;  // has stopped reading at some time
  bool half_closed_ = false;
  bool gone_ = false;  // closed or reset by itself
  bool failed_ = false;
};

}  // namespace ringcached::testing
