#include "base/address_space.h"

#include <sys/resource.h>

#include <new>

namespace ringcached {

std::size_t address_space_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kAddressSpaceUnlimited;
  return limit.rlim_cur;
}

std::string address_space_remedy() {
  const std::size_t limit = address_space_limit();
  if (limit == kAddressSpaceUnlimited) return {};
  return "; the address space is limited to " + std::to_string(limit >> 20) +
         " MiB: raise that (ulimit -v, LimitAS=), or lower -m, of which items and index reserve 1.7 times, "
         "or -t";
}

std::string lack_of_memory() noexcept {
  try {
    return "out of memory" + address_space_remedy();
  } catch (const std::bad_alloc&) {
    return "out of memory";  // short enough to need none
  }
}

}  // namespace ringcached
