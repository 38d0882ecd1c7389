// A client of a store in the same process: an operation is a call.
#pragma once

#include <random>
#include <span>
#include <string>
#include <vector>

#include "store/store_read.h"
#include "support/history_workload.h"

namespace ringcached::testing {

class StoreHistoryClient final : public HistoryClient {
 public:
  static constexpr CacheTime kNow = 1000;

  StoreHistoryClient(store::Store& store, HistoryClock& clock, std::uint64_t seed)
      : store_(store), thread_(store.attach()), clock_(clock), random_(seed) {}

  void execute(std::span<Request> requests) override;
  void maintain() { thread_.maintain(kNow, 300); }

 private:
  void look_ahead(std::span<const Request> requests);
  void get(Request& request, const store::Key& key);
  void put(HistoryOperation& operation, std::string_view payload, const store::Key& key);
  store::StoreResult put_in_pieces(const store::StoreRequest& request, std::string_view payload);
  void count(HistoryOperation& operation, const store::Key& key);
  void perform(Request& request, const store::Key& key);

  store::Store& store_;
  store::StoreThread& thread_;
  HistoryClock& clock_;
  std::mt19937_64 random_;
  std::vector<std::string> names_;  // of the pipeline at work,
  std::vector<store::Key> keys_;    // and where their items were seen
};

}  // namespace ringcached::testing
