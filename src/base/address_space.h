// The limit on the addresses that the process may map (ulimit -v), which shows as a lack of memory.
#pragma once

#include <cstddef>
#include <string>

namespace ringcached {

inline constexpr std::size_t kAddressSpaceUnlimited = ~std::size_t{0};
std::size_t address_space_limit();

// To be said behind such a failure: what the limit is and what can be done; empty if there is none.
std::string address_space_remedy();
// For who has caught std::bad_alloc: so much of both as there is memory to say.
std::string lack_of_memory() noexcept;

}  // namespace ringcached
