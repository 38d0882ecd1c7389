// A connection whose answer is long: it is made in bounded pieces in the worker's rounds, under the output's
// high-water mark, and the conversation goes on behind it.
#pragma once

#include <memory>

#include "ringcached/network.h"
#include "server/context.h"

namespace ringcached::server {

// What is to be written. Destroyed when through, or when the connection is gone.
class DumpSource {
 public:
  virtual ~DumpSource() = default;
  // Appends a piece and returns, within a fraction of a millisecond; false after the last one.
  virtual bool produce(Output& output) = 0;
};

class DumpSession final : public ConnectionHandler {
 public:
  // `behind`: who goes on afterwards; null: a text session.
  DumpSession(WorkerContext& worker, std::unique_ptr<DumpSource> source,
              std::unique_ptr<ConnectionHandler> behind = nullptr)
      : worker_(worker), source_(std::move(source)), behind_(std::move(behind)) {}

  Next on_begin(Connection& connection) override { return on_produce(connection); }
  Next on_produce(Connection& connection) override;
  Consumed on_data(Connection& /*connection*/, std::span<const char> /*input*/) override {
    return {0, Next::kProduce};
  }
  std::unique_ptr<ConnectionHandler> successor() override;

 private:
  WorkerContext& worker_;
  std::unique_ptr<DumpSource> source_;
  std::unique_ptr<ConnectionHandler> behind_;
};

}  // namespace ringcached::server
