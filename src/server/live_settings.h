// The settings that administration commands change while the server runs; everything else stays as
// configured. What is only kept and shown, because nothing here works by it, says so in admin_lru.cc and
// docs/administration.md.
#pragma once

#include <atomic>
#include <cstdint>

#include "config/config.h"

namespace ringcached::server {

// Any thread reads and writes; the values are independent of one another.
struct LiveSettings {
  explicit LiveSettings(const config::Config& config);

  // The same settings in `config`, for `stats settings`.
  void write_to(config::Config& config) const;

  std::atomic<bool> crawler;  // expired items are reaped in the background
  std::atomic<std::uint32_t> crawler_sleep_us, crawler_tocrawl;
  std::atomic<unsigned> automove;
  std::atomic<double> automove_ratio;
  std::atomic<unsigned> automove_window;
  std::atomic<unsigned> hot_percent, warm_percent;
  std::atomic<double> hot_factor, warm_factor;
  std::atomic<bool> segmented, temp_lru;
  std::atomic<std::uint32_t> temporary_ttl;
};

}  // namespace ringcached::server
