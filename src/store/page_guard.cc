#include "store/page_guard.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/assert.h"
#include "base/spin_lock.h"

namespace ringcached::store {
namespace {

bool membarrier(int command) {
  return ::syscall(SYS_membarrier, command, 0, 0) == 0;
}

}  // namespace

PageGuard::PageGuard(unsigned threads, bool asymmetric)
    : threads_(threads),
      asymmetric_(asymmetric && membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)),
      places_(std::make_unique<Place[]>(threads)) {}

void PageGuard::await_none_in(ChunkAddress first, std::size_t bytes) const {
  if (asymmetric_) {
    // The kernel may want memory for it.
    for (Backoff backoff; !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED); backoff.pause())
      RC_CHECK(errno == ENOMEM);
  } else {
    full_fence();
  }
  const ChunkAddress end = first + bytes / kGranuleBytes;
  for (unsigned i = 0; i < threads_; ++i) {
    const std::atomic<ChunkAddress>& chunk = places_[i].chunk;
    const auto inside = [&] {
      const ChunkAddress at = chunk.load(std::memory_order_acquire);
      return at != kNoChunk && at >= first && at < end;
    };
    for (Backoff backoff; inside();) backoff.pause();
  }
}

}  // namespace ringcached::store
