// Drives all connections of a load from one thread and one ring.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench/bench_ring.h"
#include "bench/client_connection.h"
#include "bench/dialects.h"
#include "bench/item_pattern.h"
#include "bench/key_distribution.h"
#include "bench/load_options.h"
#include "bench/load_stats.h"
#include "ringcached/status.h"

namespace ringcached::bench {

// One phase of a run: what to send and for how long.
struct Workload {
  unsigned sets = 0;  // shares
  unsigned gets = 1;
  unsigned pipeline = 1;
  Distribution distribution = Distribution::kUniform;
  std::uint64_t operations = 0;  // if not 0, the end; else the two times below
  std::uint64_t warmup_ns = 0;
  std::uint64_t measured_ns = 0;
  double rate = 0;  // open loop if not 0
  bool fill_misses = false;
};

class LoadEngine : private AnswerObserver {
 public:
  explicit LoadEngine(const LoadOptions& options);

  // Connects options.connections (or options.idle_connections) times.
  Status open();
  // Runs one phase to its end, all requests answered. The stats are those of the measured span.
  Result<LoadStats> run(const Workload& workload);

 private:
  enum class Span { kWarmup, kMeasured, kDrain };

  Status connect_all(unsigned count);
  void begin(const Workload& workload);
  void end_turn();
  Status turn();
  Status on_completion(const io_uring_cqe& cqe);
  Status on_receive(const io_uring_cqe& cqe);
  Status on_short_send(const io_uring_cqe& cqe);
  void on_answer(ClientConnection& connection, const Request& request, Reply reply, bool value_good) override;
  void count(const Request& request, Reply reply, bool value_good);

  void advance_span();
  void begin_measuring();
  void end_measuring();
  void wait();
  void issue_next(ClientConnection& connection, std::uint64_t start_ns);
  void issue_batch(ClientConnection& connection);
  void issue_due();
  void touch(ClientConnection& connection);
  Status check_progress();

  const LoadOptions& options_;
  ItemPattern items_;
  std::unique_ptr<Dialect> dialect_;
  BenchRing ring_;
  std::vector<std::unique_ptr<ClientConnection>> connections_;

  Workload workload_;
  std::unique_ptr<KeyDistribution> keys_;
  Random gaps_;
  Span span_ = Span::kDrain;
  LoadStats stats_;
  std::uint64_t now_ns_ = 0;
  std::uint64_t span_end_ns_ = 0;
  std::uint64_t measured_begin_ns_ = 0;
  std::uint64_t server_cpu_begin_ns_ = 0;
  std::uint64_t client_cpu_begin_ns_ = 0;
  std::uint64_t issued_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t progress_ns_ = 0;           // time of the last answer
  double due_ns_ = 0;                       // open loop: when the next request is to be sent
  std::size_t due_connection_ = 0;          // and where
  std::vector<ClientConnection*> touched_;  // to be looked at when the turn ends
};

}  // namespace ringcached::bench
