// A client of a server over a socket, in the classic and the meta commands by turns. Requests of one call are
// pipelined.
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
  bool failed() const { return failed_; }

 private:
  bool more();

  int descriptor_;
  bool failed_ = false;
  std::string bytes_;
};

class WireHistoryClient final : public HistoryClient {
 public:
  // Connects to 127.0.0.1.
  WireHistoryClient(std::uint16_t port, HistoryClock& clock, std::uint64_t seed);
  ~WireHistoryClient() override;

  // An operation whose answer did not come, or was none, is left without.
  void execute(std::span<Request> requests) override;
  // Any command of one line with an answer of one line.
  std::string ask(const std::string& command);
  // One figure of `stats`.
  std::uint64_t statistic(std::string_view name);
  bool failed() const { return reader_.failed(); }

 private:
  void read_classic(HistoryOperation& operation);
  void read_meta(HistoryOperation& operation);
  void send(std::string_view bytes);

  int descriptor_;
  WireReader reader_;
  HistoryClock& clock_;
  std::mt19937_64 random_;
};

}  // namespace ringcached::testing
