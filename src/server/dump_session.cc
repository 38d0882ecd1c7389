#include "server/dump_session.h"

#include "server/text_session.h"

namespace ringcached::server {

Next DumpSession::on_produce(Connection& connection) {
  return source_->produce(connection.output()) ? Next::kProduce : Next::kHandOver;
}

std::unique_ptr<ConnectionHandler> DumpSession::successor() {
  return std::make_unique<TextSession>(worker_);
}

}  // namespace ringcached::server
