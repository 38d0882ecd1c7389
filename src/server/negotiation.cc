#include "server/negotiation.h"

#include "protocol/parser.h"
#include "server/authentication.h"
#include "server/binary_session.h"
#include "server/login.h"
#include "server/text_session.h"

namespace ringcached::server {
namespace {

using protocol::Dialect;

std::unique_ptr<ConnectionHandler> make_session(WorkerContext& worker, Dialect dialect) {
  if (dialect == Dialect::kBinary) return std::make_unique<BinarySession>(worker);
  return std::make_unique<TextSession>(worker);
}

// Hands over to the session of the dialect as soon as there is a byte to tell it by.
class Negotiation final : public ConnectionHandler {
 public:
  explicit Negotiation(WorkerContext& worker) : worker_(worker) {}

  Consumed on_data(Connection&, std::span<const char> input) override {
    dialect_ = protocol::choose_dialect(input.front());
    return {0, Next::kHandOver};
  }
  std::unique_ptr<ConnectionHandler> successor() override { return make_session(worker_, dialect_); }

 private:
  WorkerContext& worker_;
  Dialect dialect_ = Dialect::kUndecided;
};

}  // namespace

std::unique_ptr<ConnectionHandler> make_first_handler(WorkerContext& worker, const Connection& connection) {
  const Authentication* const authentication = worker.server.authentication;
  if (authentication != nullptr && authentication->required_by_text()) return std::make_unique<Login>(worker);
  switch (static_cast<config::Protocol>(connection.listener_tag())) {
    case config::Protocol::kAscii:
      return make_session(worker, Dialect::kText);
    case config::Protocol::kBinary:
      return make_session(worker, Dialect::kBinary);
    case config::Protocol::kAuto:
      break;
  }
  return std::make_unique<Negotiation>(worker);
}

}  // namespace ringcached::server
