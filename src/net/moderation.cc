#include "net/moderation.h"

#include <algorithm>

namespace ringcached::net {

unsigned Moderation::next(std::uint64_t now_ns, std::uint32_t completions, std::uint32_t sources) {
  if (gathers_) {
    judge_gathering(now_ns, completions);
  } else {
    judge_rate(now_ns, completions);
  }
  last_ns_ = now_ns;
  return gathers_ ? std::clamp(sources, 1U, kEnough) : 1;
}

void Moderation::judge_rate(std::uint64_t now_ns, std::uint32_t completions) {
  completions_ += completions;
  if (++turns_ < kTurnsLookedAt) return;
  const bool busy = 2 * (now_ns - since_ns_) <= completions_ * min_wait_ns_;
  turns_ = completions_ = 0;
  since_ns_ = now_ns;
  if (!busy || now_ns < rest_until_ns_) return;
  gathers_ = true;
  successes_ = failures_ = 0;
}

void Moderation::judge_gathering(std::uint64_t now_ns, std::uint32_t completions) {
  if (completions > 1) {
    failures_ = 0;
    if (++successes_ == kSuccesses) rest_ = kRestMin;
    return;
  }
  if (now_ns - last_ns_ > 2 * min_wait_ns_) return stop_gathering(now_ns);
  if (++failures_ < 2) return;
  stop_gathering(now_ns);
  rest_until_ns_ = now_ns + rest_ * min_wait_ns_;
  rest_ = std::min(2 * rest_, kRestMax);
}

void Moderation::stop_gathering(std::uint64_t now_ns) {
  gathers_ = false;
  turns_ = completions_ = 0;
  since_ns_ = now_ns;
}

}  // namespace ringcached::net
