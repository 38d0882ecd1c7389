// One connection of the load generator: requests written as one batch per turn, replies matched with them in
// order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/dialect.h"

namespace ringcached::bench {

struct Request {
  std::uint64_t start_ns = 0;  // when it was sent, or, in an open loop, when it should have been
  std::uint32_t key = 0;
  bool is_set = false;
};

class ClientConnection;

// Who learns of each answer.
class AnswerObserver {
 public:
  virtual ~AnswerObserver() = default;
  // `value_good` is false when a value was checked and was not the right one.
  virtual void on_answer(ClientConnection& connection, const Request& request, Reply reply,
                         bool value_good) = 0;
};

class ClientConnection : public ReplySink {
 public:
  // Takes the connected `socket`. The references must outlive the connection. `id` is the engine's.
  ClientConnection(std::uint32_t id, int socket, const Dialect& dialect, const ItemPattern& items,
                   bool verify, AnswerObserver& observer);
  ~ClientConnection() override;
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;

  std::uint32_t id() const { return id_; }
  int socket() const { return socket_; }
  // Requests without an answer.
  std::size_t outstanding() const { return requests_.size() - first_; }

  // Queues a request for the next batch.
  void issue(const Request& request);

  // The queued requests as one batch to send, empty if there are none or the previous one is blocked. Valid
  // until the next call; a send that comes short is told by on_short_send().
  std::string_view take_batch();
  // `result`: bytes of the last batch sent, or a negated errno. Returns what is left to send, empty if the
  // connection has failed (failed() says so) or nothing is left.
  std::string_view on_short_send(int result);

  // False if the connection is useless: bytes that are no replies, or replies nobody asked for.
  bool on_received(std::string_view data) { return parser_->feed(data, *this) && !failed_; }
  bool failed() const { return failed_; }

  bool in_turn = false;  // the engine's mark: it will look at this connection when the turn ends

 private:
  void on_value(std::string_view value) override;
  void on_reply(Reply reply) override;

  const std::uint32_t id_;
  const int socket_;
  const Dialect& dialect_;
  const ItemPattern& items_;
  AnswerObserver& observer_;
  std::unique_ptr<ReplyParser> parser_;

  std::vector<Request> requests_;  // from first_ on: sent or queued, not answered, oldest first
  std::size_t first_ = 0;
  std::string queued_;
  std::string sending_;      // must stay while the kernel may read it
  std::string_view unsent_;  // of sending_
  bool blocked_ = false;
  bool failed_ = false;
  bool value_good_ = true;
};

}  // namespace ringcached::bench
