#include "server/upkeep.h"

#include <algorithm>
#include <utility>

namespace ringcached::server {
namespace {

// Bounded per tick (a quarter of a second), too, so that giving a million expired items back takes seconds at
// a few percent of a core, and delays nobody.
constexpr std::size_t kChunksPerStep = 256;
constexpr std::size_t kChunksPerTick = 128 * 1024;

class Timing final : public store::MaintenanceObserver {
 public:
  explicit Timing(WorkerLatency& latency) : latency_(latency) {}
  void on_begin() override { latency_.begin_step(); }
  void on_end(store::Maintenance part) override {
    switch (part) {
      case store::Maintenance::kPages:
        return latency_.end_step(Span::kUpkeepPages);
      case store::Maintenance::kIndex:
        return latency_.end_step(Span::kUpkeepIndex);
      case store::Maintenance::kReaper:
        return latency_.end_step(Span::kUpkeepReaper);
    }
  }

 private:
  WorkerLatency& latency_;
};

}  // namespace

void Upkeep::on_tick() {
  credit_ = kChunksPerTick;
  waiting_ = true;
  ticked_ = true;
}

void Upkeep::join_crawl(WorkerContext& worker) {
  const Crawler& crawler = worker.server.crawler;
  const std::uint32_t pass = crawler.pass();
  if (pass == crawl_pass_) return;
  crawl_pass_ = pass;
  crawling_ = true;
  worker.thread.crawl(crawler.classes());
  waiting_ = credit_ > 0;
}

bool Upkeep::on_turn(WorkerContext& worker) {
  join_crawl(worker);
  Timing timing(worker.latency);
  // A page that is wanted does not wait for the next tick.
  if (!waiting_) return worker.thread.end_turn(&timing);
  if (std::exchange(ticked_, false)) report_own_page_moves(worker, page_moves_told_);
  const bool reap = crawling_ || worker.server.live.crawler.load(std::memory_order_relaxed);
  const BackgroundFigures before = background_figures(worker);
  if (before.examined == pass_began_.examined) pass_began_at_ = worker.now();
  waiting_ = worker.thread.maintain(worker.now(), kChunksPerStep, reap, &timing);
  report_pages_moved(worker, before);
  if (!waiting_) {
    report_pass(worker, pass_began_, worker.now() - pass_began_at_);
    pass_began_ = background_figures(worker);
  }
  if (crawling_ && !worker.thread.crawling()) {
    crawling_ = false;
    worker.server.crawler.finish_part();
  }
  credit_ -= std::min(credit_, kChunksPerStep);
  if (credit_ == 0) waiting_ = false;  // goes on with the next tick
  return waiting_;
}

}  // namespace ringcached::server
