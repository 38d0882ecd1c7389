#include "server/dump_session.h"

#include "server/text_session.h"

namespace ringcached::server {

Next DumpSession::on_produce(Connection& connection) {
  worker_.latency.begin_input(connection.others_waiting());
  const bool more = source_->produce(connection.output());
  worker_.latency.end_run();
  return more ? Next::kProduce : Next::kHandOver;
}

std::unique_ptr<ConnectionHandler> DumpSession::successor() {
  if (behind_ != nullptr) return std::move(behind_);
  return std::make_unique<TextSession>(worker_);
}

}  // namespace ringcached::server
