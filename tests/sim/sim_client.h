// A client of a SimEngine with a will of its own: writes in pieces, reads or does not, half-closes, closes or
// resets, and knows which bytes it must get.
#pragma once

#include <string>

#include "sim_engine.h"

namespace ringcached::testing {

class SimClientActor {
 public:
  SimClientActor(SimEngine& engine, Dice& dice, Protocol protocol);

  // One random act.
  void act(Dice& dice);
  // Writes what is left, reads again, half-closes.
  void finish();
  // Reads, and checks that it is the beginning of what must come.
  void check();
  // After finish() and a calm end: everything owed has come. Nothing is owed on a connection that broke or
  // was refused.
  void check_complete();
  bool saw_end_or_reset() const {
    return engine_.world.client_saw_end(id_) || engine_.world.client_saw_reset(id_);
  }
  bool gone() const { return gone_; }

 private:
  void generate(Dice& dice, Protocol protocol);
  void write_some(std::size_t bytes);
  void fail(const std::string& what);

  SimEngine& engine_;
  ClientId id_;
  std::string to_send_;
  std::string expected_;
  std::string received_;
  std::size_t written_ = 0;
  bool half_closed_ = false;
  bool failed_ = false;
  bool gone_ = false;  // closed or reset by us
};

}  // namespace ringcached::testing
