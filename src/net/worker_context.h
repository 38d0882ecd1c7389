// What a worker's connections share: its ring, buffers, lists and counters. One thread, the worker's.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/counter.h"
#include "base/intrusive_list.h"
#include "net/idle_wheel.h"
#include "net/output_blocks.h"
#include "net/recv_buffers.h"
#include "net/ring.h"
#include "ringcached/network.h"

namespace ringcached::net {

class ClientConnection;
struct ReadyTag;
struct StarvedTag;

// One writer, the worker; any thread reads.
struct WorkerCounters {
  Counter bytes_read, bytes_written;
  Counter yields, idle_kicks;
  Counter waits, waits_gathering, completions_gathered;  // with min_wait or spin only
  Counter waits_spinning, spins_successful;
  Counter receive_buffers_exhausted, receives_paused;
  Counter receives_renewed;  // of connections gone quiet for which something was there, see look_for_end()
  Counter sends_short, stale_completions;
  Counter connections_opened, connections_closed;
  Counter out_of_memory;  // connections ended because the heap had nothing for them
  Counter datagrams_received, datagrams_sent, datagrams_malformed;
  Counter datagram_replies_dropped, datagram_send_errors;
};

// Of a listener, what its connections say about it.
struct ListenerInfo {
  std::string name;  // "tcp:127.0.0.1:11211", "unix:/path"
  std::string path;  // of a UNIX socket
  bool is_unix = false;
  int descriptor = -1;
  unsigned tag = 0;  // ListenAddress::tag
};

struct WorkerContext {
  WorkerContext(Ring& ring_in, const NetworkOptions& options_in, const Clock& clock_in, unsigned index_in,
                std::span<const ListenerInfo> listeners_in)
      : ring(ring_in),
        clock(clock_in),
        options(options_in),
        index(index_in),
        listeners(listeners_in),
        buffers(ring_in, options_in.receive_buffers, options_in.receive_buffer_bytes) {}

  // Whole ticks that last at least `time`, or so many as the wheel can look ahead if that is longer: years.
  std::uint32_t ticks(std::chrono::milliseconds time) const {
    const std::int64_t count = (time + options.tick - std::chrono::milliseconds(1)) / options.tick;
    return static_cast<std::uint32_t>(std::min<std::int64_t>(count, IdleWheel::kTicksAheadMax));
  }

  // Others may wait in the ring, which nobody has looked at for a while. Asked once for a share of requests
  // at most; a turn begins to count when it is first asked.
  bool turn_is_long() {
    constexpr std::uint64_t kLongTurnNs = 1'000'000;
    const std::uint64_t now_ns = clock.monotonic_ns();
    if (timed_turn != turn) {
      timed_turn = turn;
      timed_since_ns = now_ns;
    }
    return now_ns - timed_since_ns >= kLongTurnNs;
  }

  Ring& ring;
  const Clock& clock;
  const NetworkOptions& options;
  const unsigned index;
  const std::span<const ListenerInfo> listeners;

  // Connections with input to show to their handler, in the order of their turn.
  IntrusiveList<ClientConnection, ReadyTag> ready;
  // Connections with nothing in flight any more, to be released at the end of the turn.
  IntrusiveList<ClientConnection, ReadyTag> ended;
  // Connections whose receive ended for want of buffers, or would begin while others wait; longest waiting
  // first.
  IntrusiveList<ClientConnection, StarvedTag> starved;
  RecvBuffers buffers;
  OutputPool output;
  IdleWheel wheel;
  // Connections with a silent send in flight; as many as there was room for at first.
  std::vector<ClientConnection*> silent_senders;
  std::uint32_t turn = 0;
  std::uint32_t timed_turn = 0;
  std::uint64_t timed_since_ns = 0;  // valid if timed_turn is this turn
  bool stopping = false;
  WorkerCounters counters;
};

}  // namespace ringcached::net
