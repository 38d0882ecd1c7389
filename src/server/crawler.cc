#include "server/crawler.h"

namespace ringcached::server {

CrawlLease::~CrawlLease() {
  if (crawler_ != nullptr) crawler_->release(ticket_);
}

bool CrawlLease::renew(CacheTime now) {
  return crawler_->renew(ticket_, now);
}

bool Crawler::is_late(Holder holder, CacheTime now) {
  const auto progress = static_cast<CacheTime>(holder);
  return progress != kNeverLate && now > progress && now - progress >= kCrawlPatienceSeconds;
}

std::uint32_t Crawler::take(CacheTime now, CacheTime progress) {
  Holder holder = holder_.load(std::memory_order_acquire);
  if (holder != kNobody && !is_late(holder, now)) return 0;
  std::uint32_t ticket = tickets_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (ticket == 0) ticket = tickets_.fetch_add(1, std::memory_order_relaxed) + 1;
  const Holder mine = make_holder(ticket, progress);
  if (!holder_.compare_exchange_strong(holder, mine, std::memory_order_acq_rel)) return 0;
  starts_.fetch_add(1, std::memory_order_relaxed);
  return ticket;
}

// Nobody but its holder changes a holder's word, except to take its place.
bool Crawler::renew(std::uint32_t ticket, CacheTime now) {
  Holder holder = holder_.load(std::memory_order_relaxed);
  return ticket_of(holder) == ticket &&
         holder_.compare_exchange_strong(holder, make_holder(ticket, now), std::memory_order_relaxed);
}

void Crawler::release(std::uint32_t ticket) {
  Holder holder = holder_.load(std::memory_order_relaxed);
  if (ticket_of(holder) == ticket) {
    holder_.compare_exchange_strong(holder, kNobody, std::memory_order_release);
  }
}

CrawlLease Crawler::begin(CacheTime now) {
  const std::uint32_t ticket = take(now, now);
  return ticket == 0 ? CrawlLease() : CrawlLease(this, ticket);
}

bool Crawler::begin_pass(const store::SlabClassSet& classes, unsigned workers, CacheTime now) {
  if (take(now, kNeverLate) == 0) return false;
  classes_ = classes;
  parts_left_.store(workers, std::memory_order_relaxed);
  pass_.fetch_add(1, std::memory_order_release);
  return true;
}

void Crawler::finish_part() {
  if (parts_left_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  holder_.store(kNobody, std::memory_order_release);
}

}  // namespace ringcached::server
