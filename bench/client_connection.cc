#include "bench/client_connection.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ringcached::bench {

ClientConnection::ClientConnection(std::uint32_t id, int socket, const Dialect& dialect,
                                   const ItemPattern& items, bool verify, AnswerObserver& observer)
    : id_(id),
      socket_(socket),
      dialect_(dialect),
      items_(items),
      observer_(observer),
      parser_(dialect.new_parser(verify)) {}

ClientConnection::~ClientConnection() {
  close(socket_);
}

void ClientConnection::issue(const Request& request) {
  if (request.is_set) {
    dialect_.append_set(queued_, items_, request.key);
  } else {
    dialect_.append_get(queued_, items_, request.key);
  }
  requests_.push_back(request);
}

std::string_view ClientConnection::take_batch() {
  if (blocked_ || failed_ || queued_.empty()) return {};
  sending_.swap(queued_);
  queued_.clear();
  unsent_ = sending_;
  return unsent_;
}

std::string_view ClientConnection::on_short_send(int result) {
  if (result < 0 && result != -EAGAIN) {
    failed_ = true;
    return {};
  }
  unsent_.remove_prefix(static_cast<std::size_t>(std::max(result, 0)));
  blocked_ = !unsent_.empty();
  return unsent_;
}

void ClientConnection::on_value(std::string_view value) {
  value_good_ = outstanding() != 0 && items_.value_matches(value, requests_[first_].key);
}

void ClientConnection::on_reply(Reply reply) {
  if (outstanding() == 0) {
    failed_ = true;
    return;
  }
  const Request request = requests_[first_++];
  if (first_ == requests_.size()) {
    requests_.clear();
    first_ = 0;
  } else if (first_ >= 4096 && first_ * 2 > requests_.size()) {  // a backlog of an open loop: moved rarely
    requests_.erase(requests_.begin(), requests_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
  }
  const bool value_good = value_good_;
  value_good_ = true;
  observer_.on_answer(*this, request, reply, value_good);
}

}  // namespace ringcached::bench
