#include "sim_engine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace ringcached::testing {
namespace {

class EchoHandler final : public ConnectionHandler {
 public:
  explicit EchoHandler(HandlerLog& log) : log_(log) {}
  Consumed on_data(Connection& connection, std::span<const char> input) override {
    // Half of the input per call at most times, so that leftovers with kYield are common.
    const std::size_t part = connection.others_waiting() ? (input.size() + 1) / 2 : input.size();
    std::string bytes(input.data(), part);
    for (char& byte : bytes) {
      if (log_.corrupt && ++log_.bytes_echoed % 100 == 0) byte = static_cast<char>(byte + 1);
    }
    connection.output().append(bytes);
    if (connection.output_blocked()) return {part, Next::kBlocked};
    return {part, part < input.size() ? Next::kYield : Next::kReceive};
  }
  void on_end_of_stream(Connection&) override { ++log_.ended; }
  void on_close(Connection&, CloseReason) override { ++log_.closed; }

 private:
  HandlerLog& log_;
};

// Makes its output unasked, in pieces, then gives the connection back.
class ProducingHandler final : public ConnectionHandler {
 public:
  explicit ProducingHandler(HandlerLog& log) : log_(log) {}
  Consumed on_data(Connection&, std::span<const char>) override {
    log_.opened += 1000;  // input is not to be shown to a producer
    return {0, Next::kClose};
  }
  Next on_begin(Connection&) override { return Next::kProduce; }
  Next on_produce(Connection& connection) override {
    connection.output().append(std::string(kProducedPiece, 'z'));
    return ++pieces_ < kProducedPieces ? Next::kProduce : Next::kHandOver;
  }
  std::unique_ptr<ConnectionHandler> successor() override;
  void on_close(Connection&, CloseReason) override { ++log_.closed; }

 private:
  HandlerLog& log_;
  unsigned pieces_ = 0;
};

class FrameHandler final : public ConnectionHandler {
 public:
  explicit FrameHandler(HandlerLog& log) : log_(log) {}

  bool on_lookahead(std::span<const char> input) override {
    ++log_.looked_ahead;
    announced_.assign(input.data(), input.size());
    return log_.looked_ahead % 5 != 0;
  }
  Consumed on_data(Connection& connection, std::span<const char> input) override {
    if (announced_ != std::string_view(input.data(), input.size())) ++log_.looked_wrong;
    announced_.clear();
    if (!part_.empty()) return append_to_part(connection, input);
    std::size_t used = 0;
    for (unsigned frames = 0;; ++frames) {
      const std::span<const char> rest = input.subspan(used);
      if (rest.size() < 2) return {used, Next::kReceive};
      const std::size_t length =
          static_cast<unsigned char>(rest[0]) * 256U + static_cast<unsigned char>(rest[1]);
      if (rest.size() < 2 + length) return log_.direct ? begin_part(input, used, length) : Consumed{used};
      if (connection.output_blocked()) return {used, Next::kBlocked};
      if (frames >= log_.frames_per_call && connection.others_waiting()) return {used, Next::kYield};
      const std::span<const char> whole = rest.first(2 + length);
      if (length == 1 && whole[2] == 'q') return {used + 3, Next::kClose};
      if (length == 1 && whole[2] == 'r') return {used + 3, Next::kHandOver};
      reply(connection.output(), whole);
      used += whole.size();
    }
  }
  std::span<const MemoryPiece> direct_room() override {
    // Sometimes there is none.
    if (++rooms_ % 7 == 0) return {};
    const std::size_t left = part_.size() - part_filled_;
    const std::size_t first = (left + 1) / 2;
    pieces_[0] = {part_.data() + part_filled_, first};
    pieces_[1] = {part_.data() + part_filled_ + first, left - first};
    return {pieces_.data(), left > 1 ? 2U : 1U};
  }
  void on_direct_bytes(std::size_t bytes) override {
    ++log_.received_direct;
    part_filled_ += bytes;
  }
  Next on_direct(Connection& connection) override { return go_on(connection); }
  std::unique_ptr<ConnectionHandler> successor() override {
    ++log_.handed_over;
    return std::make_unique<ProducingHandler>(log_);
  }
  void on_end_of_stream(Connection&) override { ++log_.ended; }
  void on_close(Connection&, CloseReason) override { ++log_.closed; }

 private:
  Consumed begin_part(std::span<const char> input, std::size_t used, std::size_t length) {
    part_.assign(2 + length, '?');
    part_filled_ = input.size() - used;
    std::memcpy(part_.data(), input.data() + used, part_filled_);
    return {input.size(), Next::kReceiveDirect};
  }
  Consumed append_to_part(Connection& connection, std::span<const char> input) {
    const std::size_t used = std::min(input.size(), part_.size() - part_filled_);
    std::memcpy(part_.data() + part_filled_, input.data(), used);
    part_filled_ += used;
    const Next next = go_on(connection);
    return {used, next == Next::kReceive && used < input.size() ? Next::kYield : next};
  }
  Next go_on(Connection& connection) {
    if (part_filled_ < part_.size()) return Next::kReceiveDirect;
    const std::string whole = std::exchange(part_, {});
    if (whole.size() == 3 && whole[2] == 'q') return Next::kClose;
    if (whole.size() == 3 && whole[2] == 'r') return Next::kHandOver;
    reply(connection.output(), whole);
    return connection.output_blocked() ? Next::kBlocked : Next::kReceive;
  }
  void reply(Output& output, std::span<const char> bytes) {
    if (bytes.size() < 64) {
      std::memcpy(output.room(bytes.size()), bytes.data(), bytes.size());
      output.commit(bytes.size());
    } else if (bytes.size() < 200) {
      output.append({bytes.data(), bytes.size()});
    } else {
      output.append({bytes.data(), 2});
      auto* item = new std::string(bytes.data() + 2, bytes.size() - 2);
      log_.pinned.insert(item);
      output.reference({item->data(), item->size()}, {release, &log_, item});
    }
  }
  static void release(void* owner, void* item) {
    auto& log = *static_cast<HandlerLog*>(owner);
    const bool known = log.pinned.count(item) == 1;
    if (!log.leak_pins) log.pinned.erase(item);
    if (known) delete static_cast<std::string*>(item);
    log.opened += known ? 0 : 1000;  // a pin released twice spoils the balance of opened and closed
  }

  HandlerLog& log_;
  std::string announced_;  // what on_lookahead() was shown
  std::string part_;       // a frame of which a part has come; empty when there is none
  std::size_t part_filled_ = 0;
  std::array<MemoryPiece, 2> pieces_;
  unsigned rooms_ = 0;
};

std::unique_ptr<ConnectionHandler> ProducingHandler::successor() {
  return std::make_unique<FrameHandler>(log_);
}

class SimWorkerHandler final : public WorkerHandler {
 public:
  SimWorkerHandler(HandlerLog& log, Protocol protocol) : log_(log), protocol_(protocol) {}
  std::unique_ptr<ConnectionHandler> on_open(Connection&) override {
    ++log_.opened;
    if (protocol_ == Protocol::kEcho) return std::make_unique<EchoHandler>(log_);
    return std::make_unique<FrameHandler>(log_);
  }

 private:
  HandlerLog& log_;
  const Protocol protocol_;
};

}  // namespace

std::string frame(const std::string& payload) {
  std::string bytes;
  bytes.push_back(static_cast<char>(payload.size() / 256));
  bytes.push_back(static_cast<char>(payload.size() % 256));
  return bytes + payload;
}

SimEngine::SimEngine(std::uint64_t seed, const SimFaults& faults, const NetworkOptions& network_options,
                     Protocol protocol, bool first_listener_fails)
    : SimNetwork(seed, faults, {.socket_buffer_bytes = 4096}, network_options) {
  begin([&](unsigned) { return std::make_unique<SimWorkerHandler>(log, protocol); }, first_listener_fails);
}

SimEngine::~SimEngine() {
  destroy_threads();
}

std::string SimEngine::verdict() {
  if (!stopped()) {
    request_stop();
    run_until([this] { return stopped(); });
  }
  if (log.opened != log.closed) {
    failures.push_back("handlers opened " + std::to_string(log.opened) + ", closed " +
                       std::to_string(log.closed));
  }
  if (log.looked_wrong != 0) failures.push_back("input was shown that had not been announced");
  if (!log.pinned.empty()) failures.push_back(std::to_string(log.pinned.size()) + " pins not released");
  return SimNetwork::verdict();
}

}  // namespace ringcached::testing
