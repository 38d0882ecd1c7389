// A client that speaks text: bytes -> requests -> store -> replies. All progress that spans calls is here;
// parsing itself is stateless (protocol/parser.h). Small, because every idle connection has one.
#pragma once

#include <memory>
#include <string_view>

#include "protocol/parser.h"
#include "ringcached/network.h"
#include "server/context.h"
#include "server/dialect_session.h"
#include "server/lookahead.h"
#include "server/meta_storage.h"
#include "server/retrieval.h"
#include "server/storage.h"

namespace ringcached::server {

class TextSession final : public DialectSession {
 public:
  explicit TextSession(WorkerContext& worker) : worker_(worker) {}

  Consumed on_data(Connection& connection, std::span<const char> input) override;
  bool on_lookahead(std::span<const char> input) override;
  std::span<const MemoryPiece> direct_room() override { return upload_->upload.direct_room(); }
  void on_direct_bytes(std::size_t bytes) override { upload_->upload.on_direct_bytes(bytes); }
  Next on_direct(Connection& connection) override;
  bool between_requests() const override { return state_ == State::kLine; }
  std::unique_ptr<ConnectionHandler> successor() override { return std::move(worker_.successor); }

 private:
  enum class State : std::uint8_t {
    kLine,     // at the start of a request
    kKeys,     // inside a retrieval line whose keys are answered one by one
    kUpload,   // inside a data block
    kSwallow,  // dropping a data block
  };
  // A storage command and what its reply depends on.
  struct TextUpload {
    TextUpload(WorkerContext& worker, const Storing& storing, CommandKind command)
        : upload(worker, storing), kind(command) {}
    Upload upload;
    CommandKind kind;
    bool noreply = false;
    std::unique_ptr<KeptMetaLine> meta;  // of ms
  };

  // What is dropped of a refused data block, and the answer that follows.
  struct Swallowed {
    std::uint64_t bytes = 0;
    std::string_view reply;
  };

  Step step(Connection& connection, Output& output, std::string_view input, unsigned share);
  std::span<const Batch::Planned> plan(std::string_view input, unsigned share);
  Step on_batch(Output& output, std::string_view input, unsigned share);
  std::size_t execute(Output& output, const Batch::Planned& planned, std::string_view block);
  Step on_line(Connection& connection, Output& output, std::string_view input);
  Step on_request(Connection& connection, Output& output, const protocol::Request& request,
                  std::string_view input, std::size_t line_bytes);
  Step on_administration(Connection& connection, Output& output, const protocol::Request& request,
                         std::size_t line_bytes);
  Step administer(Connection& connection, Output& output, const protocol::Request& request,
                  std::size_t line_bytes);
  Step on_meta(Output& output, const protocol::MetaRequest& request, std::string_view input,
               std::size_t line_bytes);
  Step on_keys(Output& output, std::string_view input);
  Step on_upload(Output& output, std::string_view input);
  Step end_upload(Output& output, const StorageOutcome& outcome);
  Step on_swallow(Output& output, std::string_view input);
  Step begin_retrieval(Output& output, const protocol::Request& request, std::string_view input,
                       std::size_t line_bytes);
  Step begin_storage(Output& output, const protocol::Request& request, std::string_view input,
                     std::size_t line_bytes);
  Step begin_upload(Output& output, std::unique_ptr<TextUpload> upload, std::string_view block,
                    std::size_t line_bytes);
  std::size_t store_whole(Output& output, const protocol::MetaRequest& request, const store::Key& key,
                          std::string_view block);
  void swallow(std::uint64_t bytes, std::string_view reply);

  WorkerContext& worker_;
  protocol::LineScan scan_;
  std::unique_ptr<TextUpload> upload_;
  std::unique_ptr<Swallowed> swallowed_;
  Retrieval retrieval_;
  State state_ = State::kLine;
  Lookahead::Ticket planned_ahead_ = Lookahead::kNone;
};

}  // namespace ringcached::server
