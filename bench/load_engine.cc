#include "bench/load_engine.h"

#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <utility>

#include "bench/classic_dialect.h"
#include "bench/process_usage.h"
#include "bench/server_connection.h"

namespace ringcached::bench {
namespace {

constexpr std::uint64_t kSecondNs = 1000000000;
// The engine looks at the clock at least this often, whatever the server does.
constexpr std::uint64_t kTimerNs = 20 * 1000 * 1000;
// A server that owes answers and gives none for this long has failed.
constexpr std::uint64_t kSilenceNs = 10 * kSecondNs;

std::uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * kSecondNs + static_cast<std::uint64_t>(now.tv_nsec);
}

Status errno_status(const std::string& what) {
  return {StatusCode::kUnavailable, what + ": " + std::strerror(errno)};
}

std::unique_ptr<Dialect> dialect_of(const LoadOptions& options) {
  if (options.keys_per_get == 1) return make_dialect(options.dialect);
  return std::make_unique<ClassicDialect>(options.keys_per_get, options.keys);
}

}  // namespace

LoadEngine::LoadEngine(const LoadOptions& options)
    : options_(options),
      items_(options.key_bytes, options.value_bytes_min, options.value_bytes_max, options.seed),
      dialect_(dialect_of(options)),
      gaps_(options.seed + 1) {}

Status LoadEngine::open() {
  Status status = ring_.open(BenchRingOptions{});
  if (!status) return status;
  status = connect_all(options_.idle_connections != 0 ? options_.idle_connections : options_.connections);
  ring_.timer(kTimerNs);
  return status;
}

Status LoadEngine::connect_all(unsigned count) {
  for (std::uint32_t id = 0; id < count; ++id) {
    const int socket = connect_to_server({options_.host, options_.port, options_.unix_path});
    if (socket < 0) {
      return errno_status("cannot open connection " + std::to_string(id + 1) + " of " +
                          std::to_string(count));
    }
    AnswerObserver& observer = *this;
    connections_.push_back(
        std::make_unique<ClientConnection>(id, socket, *dialect_, items_, options_.verify, observer));
    ring_.receive_multishot(socket, id);
  }
  return Status::ok();
}

Result<LoadStats> LoadEngine::run(const Workload& workload) {
  begin(workload);
  while (span_ != Span::kDrain || answered_ < issued_) {
    const Status status = turn();
    if (!status) return status;
  }
  return std::exchange(stats_, LoadStats{});
}

void LoadEngine::begin(const Workload& workload) {
  workload_ = workload;
  keys_ = std::make_unique<KeyDistribution>(workload.distribution, options_.keys, options_.zipf_theta,
                                            options_.seed);
  issued_ = answered_ = 0;
  now_ns_ = progress_ns_ = monotonic_ns();
  due_ns_ = static_cast<double>(now_ns_);
  span_ = Span::kWarmup;
  span_end_ns_ = now_ns_ + workload.warmup_ns;
  if (workload.operations != 0 || workload.warmup_ns == 0) begin_measuring();
  if (workload.rate == 0) {
    for (auto& connection : connections_) touch(*connection);
  }
  end_turn();
}

Status LoadEngine::turn() {
  wait();
  Status status;
  bool timer_over = false;
  ring_.reap([&](const io_uring_cqe& cqe) {
    now_ns_ = monotonic_ns();
    if (BenchRing::operation_of(cqe) == Operation::kTimer) {
      timer_over = true;
      return;
    }
    Status result = on_completion(cqe);
    if (!result) status = std::move(result);
  });
  if (timer_over) {
    ring_.timer(kTimerNs);
    if (status) status = check_progress();
  }
  if (!status) return status;
  now_ns_ = monotonic_ns();
  advance_span();
  if (workload_.rate != 0) issue_due();
  end_turn();
  return Status::ok();
}

void LoadEngine::wait() {
  if (options_.busy) return ring_.submit_and_wait(0);
  if (workload_.rate == 0 || span_ == Span::kDrain) return ring_.submit_and_wait(1);
  const double gap_ns = due_ns_ - static_cast<double>(monotonic_ns());
  if (gap_ns <= 0) return ring_.submit_and_wait(0);
  ring_.submit_and_wait(1, static_cast<std::int64_t>(gap_ns));
}

// What the answers of this turn made possible leaves in one batch per connection.
void LoadEngine::end_turn() {
  for (ClientConnection* connection : touched_) {
    connection->in_turn = false;
    if (workload_.rate == 0 && connection->outstanding() == 0) issue_batch(*connection);
    const std::string_view batch = connection->take_batch();
    if (!batch.empty()) ring_.send(connection->socket(), batch, connection->id());
  }
  touched_.clear();
}

void LoadEngine::touch(ClientConnection& connection) {
  if (connection.in_turn) return;
  connection.in_turn = true;
  touched_.push_back(&connection);
}

Status LoadEngine::on_completion(const io_uring_cqe& cqe) {
  return BenchRing::operation_of(cqe) == Operation::kReceive ? on_receive(cqe) : on_short_send(cqe);
}

Status LoadEngine::on_receive(const io_uring_cqe& cqe) {
  ClientConnection& connection = *connections_[BenchRing::id_of(cqe)];
  bool good = true;
  if (cqe.res > 0) {
    ring_.take_received(cqe, [&](std::string_view data) { good = connection.on_received(data); });
    touch(connection);
  }
  if (!good) return {StatusCode::kInternal, "the server sent bytes that answer nothing that was asked"};
  if ((cqe.flags & IORING_CQE_F_MORE) != 0) return Status::ok();
  if (cqe.res > 0 || cqe.res == -ENOBUFS) {
    ring_.receive_multishot(connection.socket(), connection.id());
    return Status::ok();
  }
  if (cqe.res == 0) return {StatusCode::kUnavailable, "the server closed a connection"};
  errno = -cqe.res;
  return errno_status("receive");
}

Status LoadEngine::on_short_send(const io_uring_cqe& cqe) {
  ClientConnection& connection = *connections_[BenchRing::id_of(cqe)];
  const std::string_view rest = connection.on_short_send(cqe.res);
  if (connection.failed()) {
    errno = -cqe.res;
    return errno_status("send");
  }
  if (!rest.empty()) {
    ring_.send_rest(connection.socket(), rest, connection.id());
  } else {
    touch(connection);
  }
  return Status::ok();
}

void LoadEngine::on_answer(ClientConnection& connection, const Request& request, Reply reply,
                           bool value_good) {
  ++answered_;
  progress_ns_ = now_ns_;
  if (span_ == Span::kMeasured) count(request, reply, value_good);
  if (reply == Reply::kMiss && workload_.fill_misses && span_ != Span::kDrain) {
    connection.issue({now_ns_, request.key, true});
    ++issued_;
    touch(connection);
  }
}

void LoadEngine::count(const Request& request, Reply reply, bool value_good) {
  const std::uint64_t latency_ns = now_ns_ - std::min(request.start_ns, now_ns_);
  (request.is_set ? stats_.set_latency_ns : stats_.get_latency_ns).record(latency_ns);
  if (!value_good) ++stats_.corrupt;
  switch (reply) {
    case Reply::kHit:
      ++stats_.hits;
      break;
    case Reply::kMiss:
      ++stats_.misses;
      break;
    case Reply::kStored:
      ++stats_.stored;
      break;
    case Reply::kNotStored:
      ++stats_.not_stored;
      break;
    case Reply::kError:
      ++stats_.errors;
      break;
  }
}

void LoadEngine::advance_span() {
  if (workload_.operations != 0) {
    if (span_ == Span::kMeasured && answered_ >= workload_.operations) end_measuring();
    return;
  }
  if (span_ == Span::kWarmup && now_ns_ >= span_end_ns_) begin_measuring();
  if (span_ == Span::kMeasured && now_ns_ >= span_end_ns_) end_measuring();
}

void LoadEngine::begin_measuring() {
  span_ = Span::kMeasured;
  stats_ = LoadStats{};
  if (options_.server_pid != 0) server_cpu_begin_ns_ = process_cpu_ns(options_.server_pid);
  client_cpu_begin_ns_ = process_cpu_ns(0);
  measured_begin_ns_ = monotonic_ns();
  span_end_ns_ = measured_begin_ns_ + workload_.measured_ns;
}

void LoadEngine::end_measuring() {
  span_ = Span::kDrain;
  stats_.seconds = static_cast<double>(monotonic_ns() - measured_begin_ns_) / static_cast<double>(kSecondNs);
  if (options_.server_pid != 0) {
    stats_.server_cpu_ns = process_cpu_ns(options_.server_pid) - server_cpu_begin_ns_;
  }
  stats_.client_cpu_ns = process_cpu_ns(0) - client_cpu_begin_ns_;
}

void LoadEngine::issue_batch(ClientConnection& connection) {
  for (unsigned i = 0; i < workload_.pipeline && span_ != Span::kDrain; ++i) {
    if (workload_.operations != 0 && issued_ >= workload_.operations) return;
    issue_next(connection, now_ns_);
  }
}

void LoadEngine::issue_next(ClientConnection& connection, std::uint64_t start_ns) {
  const bool is_set = issued_ % (workload_.sets + workload_.gets) < workload_.sets;
  connection.issue({start_ns, static_cast<std::uint32_t>(keys_->next()), is_set});
  ++issued_;
}

// Open loop: everything whose time has come, each with the time it should have left at.
void LoadEngine::issue_due() {
  const double gap_ns = static_cast<double>(kSecondNs) / workload_.rate;
  while (span_ != Span::kDrain && due_ns_ <= static_cast<double>(now_ns_)) {
    if (workload_.operations != 0 && issued_ >= workload_.operations) return;
    ClientConnection& connection = *connections_[due_connection_];
    due_connection_ = (due_connection_ + 1) % connections_.size();
    issue_next(connection, static_cast<std::uint64_t>(due_ns_));
    touch(connection);
    due_ns_ += options_.poisson ? -std::log(gaps_.unit()) * gap_ns : gap_ns;
  }
}

Status LoadEngine::check_progress() {
  if (answered_ == issued_ || now_ns_ - progress_ns_ < kSilenceNs) return Status::ok();
  return {StatusCode::kUnavailable,
          "no answer for 10 s, " + std::to_string(issued_ - answered_) + " requests outstanding"};
}

}  // namespace ringcached::bench
