#include "server/dump_session.h"

#include "server/text_session.h"

namespace ringcached::server {

Next DumpSession::on_produce(Connection& connection) {
  return source_->produce(connection.output()) ? Next::kProduce : Next::kHandOver;
}

std::unique_ptr<ConnectionHandler> DumpSession::successor() {
  if (behind_ != nullptr) return std::move(behind_);
  return std::make_unique<TextSession>(worker_);
}

}  // namespace ringcached::server
