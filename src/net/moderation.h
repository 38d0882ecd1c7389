// Interrupt moderation of a worker (NetworkOptions::min_wait): when is it worth while to sleep on although
// something has come?
//
// A worker gathers while that brings it several completions per turn. It begins when completions come at a
// rate of two or more per minimum wait. It ends at once when nothing came for twice the minimum wait: a quiet
// server answers at once. And it ends when it has failed: several times in a row a single completion came, or
// they come much more slowly than before. Then clients wait for each answer before they send more, and are
// served later for nothing; worse, a worker that found something whenever it looked now sleeps and is woken
// up. The next trial follows after a rest, the longer the more trials failed, so that they cost such clients
// little.
//
// One thread. All times are on one clock, in nanoseconds.
#pragma once

#include <chrono>
#include <cstdint>

namespace ringcached::net {

class Moderation {
 public:
  // So many completions in a turn bear its fixed costs: no reason to wait for more.
  static constexpr unsigned kEnough = 16;

  // 0: never gathers.
  explicit Moderation(std::chrono::nanoseconds min_wait)
      : min_wait_ns_(static_cast<std::uint64_t>(min_wait.count())) {}

  // Called before each sleep: the turn since the last call had `completions`, and further ones are to be
  // expected from `sources` connections. How many are to be gathered; 1: the first shall wake the worker.
  unsigned next(std::uint64_t now_ns, std::uint32_t completions, std::uint32_t sources);

 private:
  void judge_rate(std::uint64_t now_ns);
  void judge_gathering(std::uint64_t now_ns, std::uint32_t completions);
  void open_window(std::uint64_t now_ns);
  void fail(std::uint64_t now_ns);

  static constexpr std::uint32_t kWindow = 64;  // completions by which a rate is measured
  static constexpr unsigned kLoneTurns = 4;
  static constexpr std::uint64_t kRestMin = 16;  // in minimum waits
  static constexpr std::uint64_t kRestMax = 1024;

  const std::uint64_t min_wait_ns_;
  std::uint64_t last_ns_ = 0;  // of the last call
  bool gathers_ = false;
  unsigned lone_turns_ = 0;  // in a row, gathering
  // The window, and the last one before gathering began.
  std::uint64_t since_ns_ = 0, completions_ = 0;
  std::uint64_t plain_ns_ = 0, plain_completions_ = 0;
  std::uint64_t rest_until_ns_ = 0;
  std::uint64_t rest_ = kRestMin;  // after the next failure, in minimum waits
};

}  // namespace ringcached::net
