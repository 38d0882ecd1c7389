#include "net/moderation.h"

#include <algorithm>

namespace ringcached::net {

unsigned Moderation::next(std::uint64_t now_ns, std::uint32_t completions, std::uint32_t sources) {
  completions_ += completions;
  if (gathers_) {
    judge_gathering(now_ns, completions);
  } else {
    judge_rate(now_ns);
  }
  last_ns_ = now_ns;
  return gathers_ ? std::clamp(sources, 1U, kEnough) : 1;
}

void Moderation::judge_rate(std::uint64_t now_ns) {
  if (completions_ < kWindow) return;
  plain_ns_ = now_ns - since_ns_;
  plain_completions_ = completions_;
  open_window(now_ns);
  gathers_ = 2 * plain_ns_ <= plain_completions_ * min_wait_ns_ && now_ns >= rest_until_ns_;
  lone_turns_ = 0;
}

void Moderation::judge_gathering(std::uint64_t now_ns, std::uint32_t completions) {
  if (completions > 1) {
    lone_turns_ = 0;
  } else if (now_ns - last_ns_ > 2 * min_wait_ns_) {
    gathers_ = false;
    return open_window(now_ns);
  } else if (++lone_turns_ == kLoneTurns) {
    return fail(now_ns);
  }
  if (completions_ < kWindow) return;
  // Five eighths: twice the spread of two windows of random arrivals below an equal rate.
  if (8 * completions_ * plain_ns_ < 5 * plain_completions_ * (now_ns - since_ns_)) return fail(now_ns);
  rest_ = kRestMin;
  open_window(now_ns);
}

void Moderation::open_window(std::uint64_t now_ns) {
  since_ns_ = now_ns;
  completions_ = 0;
}

void Moderation::fail(std::uint64_t now_ns) {
  gathers_ = false;
  rest_until_ns_ = now_ns + rest_ * min_wait_ns_;
  rest_ = std::min(2 * rest_, kRestMax);
  open_window(now_ns);
}

}  // namespace ringcached::net
