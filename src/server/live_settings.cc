#include "server/live_settings.h"

namespace ringcached::server {

LiveSettings::LiveSettings(const config::Config& config)
    : crawler(config.store.lru_crawler),
      crawler_sleep_us(config.compat.lru_crawler_sleep_us),
      crawler_tocrawl(config.compat.lru_crawler_tocrawl),
      automove(config.store.slab_automove),
      automove_ratio(config.store.slab_automove_ratio),
      automove_window(config.store.slab_automove_window),
      hot_percent(config.compat.hot_lru_pct),
      warm_percent(config.compat.warm_lru_pct),
      hot_factor(config.compat.hot_max_factor),
      warm_factor(config.compat.warm_max_factor),
      segmented(config.compat.lru_segmented),
      temp_lru(config.compat.temp_lru),
      temporary_ttl(config.compat.temporary_ttl_s) {}

void LiveSettings::write_to(config::Config& config) const {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  config.store.lru_crawler = crawler.load(kRelaxed);
  config.compat.lru_crawler_sleep_us = crawler_sleep_us.load(kRelaxed);
  config.compat.lru_crawler_tocrawl = crawler_tocrawl.load(kRelaxed);
  config.store.slab_automove = automove.load(kRelaxed);
  config.store.slab_automove_ratio = automove_ratio.load(kRelaxed);
  config.store.slab_automove_window = automove_window.load(kRelaxed);
  config.compat.hot_lru_pct = hot_percent.load(kRelaxed);
  config.compat.warm_lru_pct = warm_percent.load(kRelaxed);
  config.compat.hot_max_factor = hot_factor.load(kRelaxed);
  config.compat.warm_max_factor = warm_factor.load(kRelaxed);
  config.compat.lru_segmented = segmented.load(kRelaxed);
  config.compat.temp_lru = temp_lru.load(kRelaxed);
  config.compat.temporary_ttl_s = temporary_ttl.load(kRelaxed);
}

}  // namespace ringcached::server
