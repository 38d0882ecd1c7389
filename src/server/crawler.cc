#include "server/crawler.h"

namespace ringcached::server {

CrawlLease::~CrawlLease() {
  if (crawler_ != nullptr) crawler_->release();
}

bool Crawler::take() {
  if (busy_.exchange(true, std::memory_order_acquire)) return false;
  starts_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

CrawlLease Crawler::begin() {
  return take() ? CrawlLease(this) : CrawlLease();
}

bool Crawler::begin_pass(const store::SlabClassSet& classes, unsigned workers) {
  if (!take()) return false;
  classes_ = classes;
  parts_left_.store(workers, std::memory_order_relaxed);
  pass_.fetch_add(1, std::memory_order_release);
  return true;
}

void Crawler::finish_part() {
  if (parts_left_.fetch_sub(1, std::memory_order_acq_rel) == 1) release();
}

}  // namespace ringcached::server
