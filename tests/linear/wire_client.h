// Clients of a server over a socket, in the classic and the meta commands by turns, or in the binary dialect.
// Requests of one call are pipelined.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <string_view>

#include "support/history_workload.h"

namespace ringcached::testing {

// Whole lines and counted bytes from a connected socket.
class WireReader {
 public:
  explicit WireReader(int descriptor) : descriptor_(descriptor) {}
  // Without its end; empty when the connection ended or was silent for too long.
  std::string line();
  // `count` bytes and the end of line behind them, which must be there.
  std::string block(std::size_t count);
  // `count` bytes; empty as line().
  std::string bytes(std::size_t count);
  bool failed() const { return failed_; }

 private:
  bool more();

  int descriptor_;
  bool failed_ = false;
  std::string bytes_;
};

// What a client knows of the server's clock, which it cannot see, in milliseconds of its own.
//
// The server reads its clock once in a turn, before it looks at requests, and what a turn answers leaves when
// it is over. So a request that was sent after the answer to an earlier one is served by a time that is not
// before the moment when the earlier one was sent. Its clock goes in steps of a second, whose beginnings
// nobody knows: what is to live for n seconds lives for more than n - 1 and for n at most.
class ServerTime {
 public:
  // Requests are about to be sent.
  void begin();
  void bound_before(HistoryOperation& operation) const;
  // The answer has come.
  void bound_after(HistoryOperation& operation) const;

 private:
  std::uint64_t sent_ = 0, sent_before_ = 0;
};

// A connection to 127.0.0.1.
class WireConnection {
 public:
  explicit WireConnection(std::uint16_t port);
  ~WireConnection();
  WireConnection(const WireConnection&) = delete;
  WireConnection& operator=(const WireConnection&) = delete;

  void send(std::string_view bytes);
  WireReader& reader() { return reader_; }
  bool failed() const { return reader_.failed(); }

 private:
  int descriptor_;
  WireReader reader_;
};

// What the clients of both dialects share: a connection, and the moments around what goes over it.
class PipelinedClient : public HistoryClient {
 public:
  PipelinedClient(std::uint16_t port, HistoryClock& clock, std::uint64_t seed)
      : connection_(port), clock_(clock), random_(seed) {}

 protected:
  // `bytes` are all of `requests`, which begin now.
  void send(std::span<Request> requests, std::string_view bytes);
  // The answer has come, or is known to.
  void conclude(HistoryOperation& operation);
  bool toss() { return random_() % 2 == 0; }

  WireConnection connection_;

 private:
  ServerTime time_;
  HistoryClock& clock_;
  std::mt19937_64 random_;
};

class WireHistoryClient final : public PipelinedClient {
 public:
  WireHistoryClient(std::uint16_t port, HistoryClock& clock, std::uint64_t seed)
      : PipelinedClient(port, clock, seed), reader_(connection_.reader()) {}

  // An operation whose answer did not come, or was none, is left without.
  void execute(std::span<Request> requests) override;
  // Any command of one line with an answer of one line.
  std::string ask(const std::string& command);
  // One figure of `stats`.
  std::uint64_t statistic(std::string_view name);
  bool failed() const { return connection_.failed(); }

 private:
  void read_classic(HistoryOperation& operation);
  void read_meta(HistoryOperation& operation);

  WireReader& reader_;
};

// The same in the binary dialect. Where several requests are pipelined, some are quiet; a no-op behind them
// tells that all were served.
class BinaryHistoryClient final : public PipelinedClient {
 public:
  using PipelinedClient::PipelinedClient;

  void execute(std::span<Request> requests) override;

 private:
  struct Answer {
    std::uint8_t opcode = 0;
    unsigned status = 0;
    std::uint32_t opaque = 0;
    std::uint64_t cas = 0;
    std::string key, value;
  };
  bool read(Answer& answer);
  static void take(HistoryOperation& operation, const Answer& answer);
};

}  // namespace ringcached::testing
