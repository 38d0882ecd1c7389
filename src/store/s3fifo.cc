#include "store/s3fifo.h"

namespace ringcached::store {

S3Fifo::Insertion S3Fifo::insert(std::uint32_t entry, std::uint32_t fingerprint) {
  Insertion result;
  result.ghost_hit = !options_.lru && ghost_.take(fingerprint);
  FifoQueue& to = options_.lru || result.ghost_hit ? main_ : small_;
  result.queued = to.push(entry);
  return result;
}

}  // namespace ringcached::store
