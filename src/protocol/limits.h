// Every bound of the protocol family in one place, with the relations that must hold between them.
// Sources: protocol specification sections 1.3, 2.1 to 2.4.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ringcached::protocol {

inline constexpr std::size_t kKeyBytesMax = 250;
// An unterminated line longer than this closes the connection, unless it is a get, gets, gat or gats.
inline constexpr std::size_t kLineBytesMax = 2048;
// A terminated line longer than this, with its terminator, closes it likewise, unless it is a get or gets. A
// gat or gats may grow to it unterminated, so that a long one does not depend on how it was fragmented.
inline constexpr std::size_t kCompleteLineBytesMax = 16384;
// get and gets have no limit in the protocol; this one bounds the memory a client can make us hold.
inline constexpr std::size_t kMultigetLineBytesMax = std::size_t{8} << 20;
inline constexpr std::size_t kMetaTokensMax = 20;
inline constexpr std::size_t kOpaqueBytesMax = 32;  // with the letter O
// Text login (section 12): a line that is shorter, its LF not counted, ends the connection; a longer token is
// refused.
inline constexpr std::size_t kLoginLineBytesMin = 6;
inline constexpr std::size_t kLoginTokenBytesMax = 16384;
// Largest announced value: 2^31 - 1 - 2.
inline constexpr std::int64_t kValueBytesMax = 2147483645;

static_assert(kKeyBytesMax < kLineBytesMax && kLineBytesMax < kCompleteLineBytesMax);
static_assert(kCompleteLineBytesMax < kMultigetLineBytesMax);

}  // namespace ringcached::protocol
