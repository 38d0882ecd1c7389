// Expiry times as clients send them, turned into cache time (spec section 4).
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace ringcached::store {

inline constexpr std::int64_t kRelativeSecondsMax = 60 * 60 * 24 * 30;
inline constexpr CacheTime kNeverExpires = 0;
inline constexpr CacheTime kAlreadyExpired = 1;

static_assert(kAlreadyExpired < kCacheTimeStart);

// 0: never. Negative: already expired. Up to 30 days: from `now`. Above: Unix time; in the past or before the
// start of the process: already expired. `wall_base` is CacheClock::wall_base().
inline CacheTime expiry_from_exptime(std::int64_t exptime, CacheTime now, std::int64_t wall_base) {
  if (exptime == 0) return kNeverExpires;
  if (exptime < 0) return kAlreadyExpired;
  if (exptime <= kRelativeSecondsMax) return now + static_cast<CacheTime>(exptime);
  const std::int64_t at = exptime - wall_base;
  return at <= kAlreadyExpired ? kAlreadyExpired : static_cast<CacheTime>(at);
}

inline bool is_expired(CacheTime expiry, CacheTime now) {
  return expiry != kNeverExpires && expiry <= now;
}

}  // namespace ringcached::store
