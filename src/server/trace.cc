#include "server/trace.h"

#include <string>

#include "base/log.h"
#include "protocol/binary.h"
#include "protocol/parser.h"

namespace ringcached::server {
namespace {

void write(const WorkerContext& worker, const Connection& connection, const std::string& text) {
  worker.server.log.write(LogLevel::kDebug, "<" + std::to_string(connection.descriptor()) + " " + text);
}

// Every 24 bytes that begin with the magic are read as a header here; whether it is a valid one is for the
// session to say.
std::string binary_text(std::string_view bytes) {
  protocol::BinaryRequest request;
  protocol::parse_binary(bytes, protocol::BinaryAccess::kAll, request);
  std::string text = "binary opcode " + std::to_string(request.header.opcode);
  if (!request.key.empty()) text += " key " + escaped(request.key);
  return text + ", body of " + std::to_string(request.header.body_bytes) + " bytes";
}

}  // namespace

void trace_open(const WorkerContext& worker, const Connection& connection) {
  if (traces(worker)) write(worker, connection, "new client connection from " + connection.peer_name());
}

void trace_close(const WorkerContext& worker, const Connection& connection) {
  if (traces(worker)) write(worker, connection, "connection closed.");
}

void trace_request(const WorkerContext& worker, const Connection& connection, std::string_view bytes) {
  if (protocol::choose_dialect(bytes.front()) == protocol::Dialect::kBinary) {
    return write(worker, connection, binary_text(bytes));
  }
  std::string_view line = bytes.substr(0, bytes.find('\n'));
  if (line.ends_with('\r')) line.remove_suffix(1);
  write(worker, connection, escaped(line));
}

}  // namespace ringcached::server
