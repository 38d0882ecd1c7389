// Output on its way out and input on its way in, checked against plain strings.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "net/input_queue.h"
#include "net/send_queue.h"
#include "support/sim_ring.h"

using namespace ringcached;
using namespace ringcached::net;
using ringcached::testing::SimWorld;

namespace {

std::string bytes_of(const SendQueue::Batch& batch) {
  if (batch.message == nullptr) return {batch.plain.data(), batch.plain.size()};
  std::string bytes;
  for (std::size_t i = 0; i < batch.message->msg_iovlen; ++i) {
    const iovec& piece = batch.message->msg_iov[i];
    bytes.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return bytes;
}

struct Pins {
  unsigned released = 0;
  static void release(void* owner, void*) { ++static_cast<Pins*>(owner)->released; }
  OutputPin pin() { return {release, this, nullptr}; }
};

std::string pattern(std::size_t bytes, unsigned seed = 1) {
  std::string text(bytes, ' ');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>('a' + (i * 7 + seed) % 26);
  return text;
}

// Sends everything in pieces of at most `piece` bytes.
std::string send_all(SendQueue& queue, std::size_t piece) {
  std::string sent;
  while (queue.unsent() > 0) {
    const std::string batch = bytes_of(queue.begin());
    const std::size_t taken = std::min(piece, batch.size());
    sent.append(batch, 0, taken);
    queue.complete(taken);
  }
  return sent;
}

}  // namespace

TEST_SUITE("send_queue") {
  TEST_CASE("a small reply is one plain send, and an empty queue holds no block") {
    OutputPool pool;
    SendQueue queue;
    queue.bind(pool);
    CHECK(queue.pending() == 0);
    std::memcpy(queue.room(5), "VALUE", 5);
    queue.commit(5);
    queue.append(" k");
    CHECK(queue.pending() == 7);
    CHECK(!pool.dirty.empty());
    CHECK(&pool.dirty.pop_front() == &queue);
    const auto batch = queue.begin();
    CHECK(batch.message == nullptr);
    CHECK(bytes_of(batch) == "VALUE k");
    CHECK(queue.pending() == 7);
    queue.complete(7);
    CHECK(queue.pending() == 0);
    CHECK(pool.blocks.blocks() == pool.blocks.blocks_free());
    CHECK(queue.available() == 0);
  }

  TEST_CASE("bytes written while a send is in flight go behind it") {
    OutputPool pool;
    SendQueue queue;
    queue.bind(pool);
    queue.append("first");
    const auto batch = queue.begin();
    queue.append("second");
    CHECK(bytes_of(batch) == "first");
    CHECK(queue.pending() == 11);
    queue.complete(2);
    CHECK(queue.pending() == 9);
    CHECK(bytes_of(queue.begin()) == "rstsecond");
    queue.complete(9);
    CHECK(queue.pending() == 0);
  }

  TEST_CASE("references are sent in place and released once, when they have been sent whole") {
    OutputPool pool;
    Pins pins;
    SendQueue queue;
    queue.bind(pool);
    const std::string value = pattern(5000);
    queue.append("head ");
    queue.reference(value, pins.pin());
    queue.append(" tail");
    CHECK(queue.pending() == 5010);
    auto batch = queue.begin();
    REQUIRE(batch.message != nullptr);
    CHECK(batch.message->msg_iovlen == 3);
    CHECK(batch.message->msg_iov[1].iov_base == value.data());
    CHECK(bytes_of(batch) == "head " + value + " tail");
    queue.complete(5004);
    CHECK(pins.released == 0);
    CHECK(bytes_of(queue.begin()) == value.substr(4999) + " tail");
    queue.complete(1);
    CHECK(pins.released == 1);
    CHECK(bytes_of(queue.begin()) == " tail");
    queue.complete(5);
    CHECK(pins.released == 1);
  }

  TEST_CASE("an empty reference is released at once, and a failed send keeps everything") {
    OutputPool pool;
    Pins pins;
    SendQueue queue;
    queue.bind(pool);
    queue.reference({}, pins.pin());
    CHECK(pins.released == 1);
    CHECK(queue.pending() == 0);
    const std::string value = "value";
    queue.reference(value, pins.pin());
    CHECK(bytes_of(queue.begin()) == "value");
    queue.complete(0);
    CHECK(queue.pending() == 5);
    CHECK(pins.released == 1);
    queue.clear();
    CHECK(pins.released == 2);
    CHECK(queue.pending() == 0);
    queue.clear();
  }

  TEST_CASE("room is contiguous up to its maximum, whatever was written before") {
    OutputPool pool;
    SendQueue queue;
    queue.bind(pool);
    std::string expected;
    for (unsigned i = 0; i < 40; ++i) {
      const std::string part = pattern(1 + i * 103 % Output::kRoomBytesMax, i);
      std::memcpy(queue.room(Output::kRoomBytesMax), part.data(), part.size());
      queue.commit(part.size());
      expected += part;
    }
    CHECK(queue.pending() == expected.size());
    CHECK(send_all(queue, 1'000'000) == expected);
  }

  TEST_CASE("more pieces than one send may have go in several") {
    OutputPool pool;
    Pins pins;
    SendQueue queue;
    queue.bind(pool);
    const std::string value = pattern(10);
    std::string expected;
    for (unsigned i = 0; i < 3000; ++i) {
      queue.append("x");
      queue.reference(value, pins.pin());
      expected += "x" + value;
    }
    const auto batch = queue.begin();
    REQUIRE(batch.message != nullptr);
    CHECK(batch.message->msg_iovlen <= 1024);
    CHECK(batch.message->msg_iovlen > 900);
    CHECK(expected.starts_with(bytes_of(batch)));
    queue.complete(0);
    CHECK(send_all(queue, 1'000'000) == expected);
    CHECK(pins.released == 3000);
    CHECK(pool.blocks.blocks() == pool.blocks.blocks_free());
  }

  TEST_CASE("anything written in any pieces comes out the same, however short the sends") {
    for (unsigned seed = 1; seed <= 60; ++seed) {
      std::mt19937 random(seed);
      OutputPool pool;
      Pins pins;
      SendQueue queue;
      queue.bind(pool);
      std::string expected, sent;
      std::vector<std::unique_ptr<std::string>> values;
      unsigned references = 0;
      for (unsigned step = 0; step < 300; ++step) {
        const std::string part = pattern(random() % (random() % 8 == 0 ? 20'000 : 60), step);
        switch (random() % 4) {
          case 0:
            queue.append(part);
            expected += part;
            break;
          case 1:
            values.push_back(std::make_unique<std::string>(part));
            queue.reference(*values.back(), pins.pin());
            ++references;
            expected += part;
            break;
          case 2: {
            const std::string small = part.substr(0, 50);
            std::memcpy(queue.room(small.size()), small.data(), small.size());
            queue.commit(small.size());
            expected += small;
            break;
          }
          default:
            if (queue.unsent() == 0) break;
            const std::string batch = bytes_of(queue.begin());
            const std::size_t taken = random() % (batch.size() + 1);
            sent.append(batch, 0, taken);
            queue.complete(taken);
        }
        CHECK(queue.pending() == expected.size() - sent.size());
      }
      sent += send_all(queue, 1 + random() % 5000);
      CHECK(sent == expected);
      CHECK(pins.released == references);
    }
  }

  TEST_CASE("blocks that nobody needs are given back to the heap, half of them at a time") {
    OutputPool pool;
    {
      SendQueue queue;
      queue.bind(pool);
      queue.append(pattern(100 * OutputBlockPool::kAllocationBytes));
      CHECK(pool.blocks.blocks() >= 100);
      queue.clear();
    }
    const std::uint64_t most = pool.blocks.blocks();
    pool.blocks.trim();  // they were needed since the last call
    CHECK(pool.blocks.blocks() == most);
    pool.blocks.trim();
    CHECK(pool.blocks.blocks() <= most / 2);
    for (int i = 0; i < 10; ++i) pool.blocks.trim();
    CHECK(pool.blocks.blocks() == 0);
  }

  TEST_CASE("of very many blocks no more are given back at a time than a turn has time for") {
    OutputBlockPool pool;
    std::vector<OutputBlock*> taken;
    for (std::uint64_t i = 0; i < 3 * OutputBlockPool::kTrimmedMax; ++i) taken.push_back(pool.take());
    for (OutputBlock* block : taken) pool.give(block);
    pool.trim();
    for (int calls = 0; calls < 30 && pool.blocks() != 0; ++calls) {
      const std::uint64_t before = pool.blocks();
      pool.trim();
      CHECK(before - pool.blocks() <= OutputBlockPool::kTrimmedMax);
    }
    CHECK(pool.blocks() == 0);
  }
}

namespace {

// Lends buffers with given contents, by way of a simulated connection.
class BufferSource {
 public:
  BufferSource() : world_(1), ring_(world_.create_ring({8, 64, 16, 256})), buffers(*ring_, 16, 256) {
    listener_ = world_.listen();
    REQUIRE(ring_->enable().is_ok());
    client_ = world_.connect(listener_);
    ring_->accept_multishot(listener_, 1);
    descriptor_ = next().result;
    ring_->receive_multishot(descriptor_, 2);
  }
  ~BufferSource() {
    world_.client_half_close(client_);
    while (next().more()) {
    }
    ring_->close_socket(descriptor_);
    ring_->cancel(1, 3);
    next();
    next();
    ring_->close_socket(listener_);
  }
  // At most 256 bytes.
  void lend_to(InputQueue& queue, const std::string& bytes) {
    world_.client_write(client_, bytes);
    const Completion completion = next();
    REQUIRE(completion.result == static_cast<int>(bytes.size()));
    buffers.lend(completion.buffer_id(), static_cast<std::uint32_t>(completion.result));
    queue.push(buffers, completion.buffer_id());
  }

 private:
  Completion next() {
    Completion completion;
    for (int i = 0; i < 100; ++i) {
      ring_->submit_and_wait(1, kWaitForever);
      if (ring_->reap({&completion, 1}) == 1) return completion;
    }
    FAIL("no completion");
    return completion;
  }

  SimWorld world_;
  std::unique_ptr<Ring> ring_;
  int listener_ = -1, descriptor_ = -1;
  ringcached::testing::ClientId client_ = 0;

 public:
  RecvBuffers buffers;
};

std::string front_of(const InputQueue& queue, const RecvBuffers& buffers) {
  const auto span = queue.front(buffers);
  return {span.data(), span.size()};
}

}  // namespace

TEST_SUITE("input_queue") {
  TEST_CASE("consumed input is shown where it lies, and its buffer goes back") {
    BufferSource source;
    InputQueue queue;
    CHECK(queue.empty());
    source.lend_to(queue, "get a\r\n");
    source.lend_to(queue, "get b\r\n");
    CHECK(source.buffers.with_kernel() == 14);
    CHECK(front_of(queue, source.buffers) == "get a\r\n");
    queue.consume(source.buffers, 7);
    CHECK(queue.tail_bytes() == 0);
    // Nothing was left over: the second buffer is new to the handler.
    CHECK(queue.extend(source.buffers, 0));
    CHECK(queue.tail_bytes() == 0);
    CHECK(front_of(queue, source.buffers) == "get b\r\n");
    queue.consume(source.buffers, 7);
    CHECK(queue.empty());
    CHECK(!queue.extend(source.buffers, 0));
    source.buffers.flush();
    CHECK(source.buffers.with_kernel() == 16);
  }

  TEST_CASE("a request cut by a buffer's end is joined, and the rest is shown in place again") {
    BufferSource source;
    InputQueue queue;
    source.lend_to(queue, "get a\r\nget ");
    queue.consume(source.buffers, 7);
    CHECK(!queue.extend(source.buffers, 4));
    CHECK(!queue.holds_buffers());
    CHECK(queue.tail_bytes() == 4);
    source.lend_to(queue, "b\r\nget c\r\n");
    CHECK(queue.extend(source.buffers, 4));
    CHECK(front_of(queue, source.buffers) == "get b\r\nget c\r\n");
    queue.consume(source.buffers, 7);
    CHECK(front_of(queue, source.buffers) == "get c\r\n");
    queue.consume(source.buffers, 7);
    CHECK(queue.empty());
    source.buffers.flush();
  }

  TEST_CASE("only a piece of a long buffer is joined; what lies behind it is shown without a copy") {
    BufferSource source;
    InputQueue queue;
    const std::string first = "0123456789";
    source.lend_to(queue, first);
    CHECK(!queue.extend(source.buffers, 10));
    std::string stream = first;
    for (unsigned i = 0; i < 5; ++i) {
      source.lend_to(queue, pattern(256, i));
      stream += pattern(256, i);
    }
    CHECK(queue.extend(source.buffers, 10));
    const std::size_t shown = queue.front(source.buffers).size();
    CHECK(shown == 10 + 512);
    CHECK(front_of(queue, source.buffers) == stream.substr(0, shown));
    // The handler needed only a little more than the old tail.
    queue.consume(source.buffers, 20);
    std::string rest = front_of(queue, source.buffers);
    CHECK(stream.substr(20).starts_with(rest));
    queue.consume(source.buffers, rest.size());
    queue.clear(source.buffers);
    CHECK(queue.empty());
    source.buffers.flush();
    CHECK(source.buffers.with_kernel() == 16);
  }

  TEST_CASE("spilled input holds no buffer and loses nothing") {
    BufferSource source;
    InputQueue queue;
    source.lend_to(queue, "tail");
    CHECK(!queue.extend(source.buffers, 4));
    source.lend_to(queue, pattern(200, 1));
    source.lend_to(queue, pattern(200, 2));
    CHECK(queue.extend(source.buffers, 4));
    queue.consume(source.buffers, 2);
    queue.spill(source.buffers);
    CHECK(!queue.holds_buffers());
    CHECK(front_of(queue, source.buffers) == "il" + pattern(200, 1) + pattern(200, 2));
    queue.spill(source.buffers);
    queue.clear(source.buffers);
    source.buffers.flush();
  }

  TEST_CASE("whatever is consumed, and whenever, the stream is shown whole and in order") {
    for (unsigned seed = 1; seed <= 40; ++seed) {
      std::mt19937 random(seed);
      BufferSource source;
      InputQueue queue;
      std::string stream, seen;
      for (unsigned step = 0; step < 200; ++step) {
        if (source.buffers.with_kernel() > 1 && random() % 2 == 0) {
          const std::string part = pattern(1 + random() % 256, step);
          source.lend_to(queue, part);
          stream += part;
        }
        if (queue.empty()) continue;
        const std::string shown = front_of(queue, source.buffers);
        CHECK(stream.substr(seen.size()).starts_with(shown));
        const std::size_t bytes = random() % 3 == 0 ? shown.size() : random() % (shown.size() + 1);
        seen += shown.substr(0, bytes);
        queue.consume(source.buffers, bytes);
        if (random() % 2 == 0) {
          const bool more = queue.extend(source.buffers, shown.size() - bytes);
          CHECK(more == (!queue.empty() && queue.front(source.buffers).size() > shown.size() - bytes));
          CHECK((more || !queue.holds_buffers()));
        }
        if (random() % 16 == 0) queue.spill(source.buffers);
        source.buffers.flush();
      }
      while (!queue.empty()) {
        const std::string shown = front_of(queue, source.buffers);
        seen += shown;
        queue.consume(source.buffers, shown.size());
      }
      CHECK(seen == stream);
      source.buffers.flush();
      CHECK(source.buffers.with_kernel() == 16);
    }
  }

  TEST_CASE("a long line that comes in many buffers is copied a bounded number of times") {
    BufferSource source;
    InputQueue queue;
    std::string stream;
    std::size_t calls = 0;
    for (unsigned i = 0; i < 4096; ++i) {
      const std::string part = pattern(256, i);
      const std::size_t seen = stream.size();
      source.lend_to(queue, part);
      stream += part;
      CHECK(queue.extend(source.buffers, seen));
      ++calls;
      source.buffers.flush();
    }
    CHECK(front_of(queue, source.buffers) == stream);
    CHECK(calls == 4096);
    queue.clear(source.buffers);
  }
}
