// Many clients at few keys, and what they are told: makes histories for the linearizability checker.
//
// Even keys are registers, odd ones counters. What is stored under a register is a record, or several after
// appending, that says whose it is, how long, and by a sum that it is whole; so every hit is verified by
// itself before the checker is asked how it fits to the others.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/history.h"

namespace ringcached::testing {

// A clock that all clients share. Who gets the larger number came later, by what happened and not only by
// the time of day: a number is drawn by a locked instruction, which lets no earlier store linger in its CPU.
class HistoryClock {
 public:
  std::uint64_t tick() { return next_.fetch_add(1, kOrder); }

 private:
#if defined(__SANITIZE_THREAD__)
  // The same instruction; but the sanitizer would take stronger order for synchronisation, and see no race
  // between operations that do not overlap.
  static constexpr std::memory_order kOrder = std::memory_order_relaxed;
#else
  static constexpr std::memory_order kOrder = std::memory_order_seq_cst;
#endif
  std::atomic<std::uint64_t> next_{1};
};

struct HistoryWorkload {
  unsigned keys = 6;
  unsigned first_key = 0;  // so that rounds use keys of their own
  std::size_t filling_max = 300;
  unsigned long_one_in = 40;  // of the records, that have up to `long_filling_max` bytes
  std::size_t long_filling_max = 40000;
  unsigned flush_one_in = 0;  // operations; 0: never
  bool cas = true;
  // Of what is stored and touched, so many live for at most this many seconds, some for none; 0: none.
  unsigned expiring_one_in = 0;
  unsigned exptime_max = 3;
};

bool is_counter(unsigned key);
std::string history_key_name(unsigned key);

// The bytes to send for an operation: a record with its operand, or a number.
std::string payload_of(const HistoryOperation& operation, std::size_t filling);
// What a hit shows: the operands of its records in their order, or the number; words that no history explains
// if a byte is wrong.
std::string operand_in(unsigned key, std::string_view bytes);

// One client's choice of what to do next.
class HistorySource {
 public:
  HistorySource(const HistoryWorkload& workload, unsigned client, std::uint64_t seed)
      : workload_(workload), client_(client), random_(seed * 1000 + client) {}

  HistoryOperation next();
  // How long the record of the operation is to be.
  std::size_t filling();
  // Learns the ids that compare-and-swap needs.
  void learn(const HistoryOperation& answered);
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

 private:
  HistoryVerb verb_for(unsigned key);
  std::int64_t exptime_for(HistoryVerb verb);

  const HistoryWorkload workload_;
  const unsigned client_;
  std::mt19937_64 random_;
  unsigned sequence_ = 0;
  std::map<unsigned, std::uint64_t> ids_;
};

// A client's connection to the cache under test. Executes operations in order and fills in their answers and
// moments; several at a time are pipelined, where there is such a thing.
class HistoryClient {
 public:
  virtual ~HistoryClient() = default;
  struct Request {
    HistoryOperation operation;
    std::string payload;
  };
  virtual void execute(std::span<Request> requests) = 0;
};

// `operations` of one client, `pipeline_max` at a time at most, with pauses of at most `pause_max`.
std::vector<HistoryOperation> run_client(HistoryClient& client, HistorySource& source, unsigned operations,
                                         unsigned pipeline_max, std::chrono::microseconds pause_max = {});

// Calls run_one(number of the client) for each on a thread of its own, and joins what they return.
std::vector<HistoryOperation> run_clients(
    unsigned clients, const std::function<std::vector<HistoryOperation>(unsigned)>& run_one);

}  // namespace ringcached::testing
