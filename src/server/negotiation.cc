#include "server/negotiation.h"

#include "protocol/parser.h"
#include "server/binary_session.h"
#include "server/text_session.h"

namespace ringcached::server {
namespace {

// Hands over to the session of the dialect as soon as there is a byte to tell it by.
class Negotiation final : public ConnectionHandler {
 public:
  explicit Negotiation(WorkerContext& worker) : worker_(worker) {}

  Consumed on_data(Connection&, std::span<const char> input) override {
    dialect_ = protocol::choose_dialect(input.front());
    return {0, Next::kHandOver};
  }
  std::unique_ptr<ConnectionHandler> successor() override {
    if (dialect_ == protocol::Dialect::kBinary) return std::make_unique<BinarySession>(worker_);
    return std::make_unique<TextSession>(worker_);
  }

 private:
  WorkerContext& worker_;
  protocol::Dialect dialect_ = protocol::Dialect::kUndecided;
};

}  // namespace

std::unique_ptr<ConnectionHandler> make_first_handler(WorkerContext& worker,
                                                      const Connection& /*connection*/) {
  return std::make_unique<Negotiation>(worker);
}

}  // namespace ringcached::server
