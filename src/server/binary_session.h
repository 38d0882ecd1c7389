// A client that speaks the binary dialect (spec 8): bytes -> requests -> store -> answers. As text_session.h.
#pragma once

#include <memory>
#include <string_view>

#include "protocol/binary.h"
#include "ringcached/network.h"
#include "server/context.h"
#include "server/dialect_session.h"
#include "server/sasl.h"
#include "server/storage.h"

namespace ringcached::server {

class BinarySession final : public DialectSession {
 public:
  // `sasl`: how far the connection has come with authentication.
  explicit BinarySession(WorkerContext& worker, const SaslExchange& sasl = {});

  Consumed on_data(Connection& connection, std::span<const char> input) override;
  std::span<const MemoryPiece> direct_room() override { return value_->direct.of(value_->upload, {}); }
  void on_direct_bytes(std::size_t bytes) override { value_->upload.placed(bytes); }
  Next on_direct(Connection& connection) override;
  bool between_requests() const override { return swallow_bytes_ == 0 && value_ == nullptr; }
  std::unique_ptr<ConnectionHandler> successor() override { return std::move(worker_.successor); }

 private:
  // A storage command whose value is still arriving.
  struct PendingValue {
    PendingValue(WorkerContext& worker, const protocol::BinaryRequest& header_and_command,
                 const store::StoreRequest& request)
        : command(header_and_command), wanted(request), upload(worker, request, command.value_bytes) {
      command.key = {};
      wanted.key = upload.key();
    }
    protocol::BinaryRequest command;  // without its key
    store::StoreRequest wanted;
    ValueUpload upload;
    DirectRoom direct;
  };

  Step step(Connection& connection, Output& output, std::string_view input, unsigned share);
  Step on_batch(Output& output, std::string_view input, unsigned share);
  Step on_header(Connection& connection, Output& output, std::string_view input);
  Step on_request(Connection& connection, Output& output, const protocol::BinaryRequest& request,
                  std::size_t request_bytes, std::string_view rest);
  Step on_administration(Connection& connection, Output& output, const protocol::BinaryRequest& request,
                         std::size_t request_bytes, std::string_view rest);
  Step begin_value(Output& output, const protocol::BinaryRequest& request, std::string_view input);
  Step on_value(Output& output, std::string_view input);
  void commit_value(Output& output);
  Step on_swallow(std::string_view input);
  void end_value(std::uint32_t swallow);
  Step on_stat(Output& output, const protocol::BinaryRequest& request, std::size_t request_bytes);
  void flush(Output& output, const protocol::BinaryRequest& request);

  Step on_sasl(Connection& connection, Output& output, const protocol::BinaryRequest& request,
               std::size_t request_bytes, std::string_view rest);

  void answer_sasl(Output& output, const protocol::BinaryRequest& request, SaslOutcome outcome);

  // Asked before every request.
  protocol::BinaryAccess access() const {
    return sasl_required_ && !sasl_.authenticated() ? protocol::BinaryAccess::kUnauthenticated
                                                    : protocol::BinaryAccess::kAll;
  }

  WorkerContext& worker_;
  std::unique_ptr<PendingValue> value_;
  std::uint32_t swallow_bytes_ = 0;  // of a refused request's body, still to be dropped
  const bool sasl_required_;
  SaslExchange sasl_;
};

}  // namespace ringcached::server
