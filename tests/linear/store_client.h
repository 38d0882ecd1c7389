// A client of a store in the same process: an operation is a call.
#pragma once

#include <atomic>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "store/store_read.h"
#include "support/history_workload.h"

namespace ringcached::testing {

// The time that clients give to the store. Each takes what it is when an operation begins, and may be late
// with it: others may have been served by a later one meanwhile.
class StoreTime {
 public:
  static constexpr CacheTime kStart = 1000;

  CacheTime now() const { return now_.load(std::memory_order_seq_cst); }
  void advance() { now_.fetch_add(1, std::memory_order_seq_cst); }

 private:
  std::atomic<CacheTime> now_{kStart};
};

class StoreHistoryClient final : public HistoryClient {
 public:
  StoreHistoryClient(store::Store& store, HistoryClock& clock, const StoreTime& time, std::uint64_t seed)
      : store_(store), thread_(store.attach()), clock_(clock), time_(time), random_(seed) {}

  void execute(std::span<Request> requests) override;
  void maintain() { thread_.maintain(time_.now(), 300); }

 private:
  void look_ahead(std::span<const Request> requests);
  void get(Request& request, const store::Key& key);
  void put(HistoryOperation& operation, std::string_view payload, const store::Key& key);
  store::StoreResult put_in_pieces(const store::StoreRequest& request, std::string_view payload);
  void count(HistoryOperation& operation, const store::Key& key);
  void perform(Request& request, const store::Key& key);
  CacheTime expiry_of(HistoryOperation& operation) const;

  store::Store& store_;
  store::StoreThread& thread_;
  HistoryClock& clock_;
  const StoreTime& time_;
  CacheTime now_ = 0;  // of the operation at work
  std::mt19937_64 random_;
  std::vector<std::string> names_;  // of the pipeline at work,
  std::vector<store::Key> keys_;    // and where their items were seen
};

}  // namespace ringcached::testing
