#include "net/ring_uring.h"

#include <doctest/doctest.h>

#include "ring_support.h"

using namespace ringcached;
using namespace ringcached::net;
using namespace ringcached::net::testing;

TEST_SUITE("ring_uring") {
  TEST_CASE("without io_uring the reason is that of the probe") {
    Features none;
    none.reason = Status(StatusCode::kUnavailable, "said before");
    CHECK(create_uring({}, none).status().message() == "said before");
  }

  TEST_CASE("the lowest tier does the same work" * doctest::skip(no_uring())) {
    constexpr Token kReceive = 1;
    const RingOptions sizes{.receive_buffers = 2, .receive_buffer_bytes = 64};
    auto ring = create_uring(sizes, probe_features(IoLevel::k6_1));
    REQUIRE(ring.is_ok());
    REQUIRE(ring.value()->enable().is_ok());
    const Loopback loopback;
    const auto [client, server] = loopback.pair();
    ring.value()->receive_multishot(server.get(), kReceive);
    REQUIRE(::send(client.get(), "ping", 4, 0) == 4);
    const auto received = collect(*ring.value(), 1);
    REQUIRE(received.size() == 1);
    CHECK(received[0].result == 4);
    const auto bytes = ring.value()->buffer(received[0].buffer_id()).first(4);
    CHECK(std::string(bytes.data(), bytes.size()) == "ping");
  }
}
