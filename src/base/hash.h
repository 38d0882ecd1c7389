// The key hash: XXH3 64 bit, seeded once per process so that a client cannot aim keys at one bucket.
#pragma once

#include <cstdint>
#include <string_view>

namespace ringcached {

// Pure; any thread. `seed` is Store-wide, drawn from the kernel at start (random_seed()).
std::uint64_t hash_key(std::string_view key, std::uint64_t seed);

// 64 random bits from getrandom(2); never fails after boot.
std::uint64_t random_seed();

}  // namespace ringcached
