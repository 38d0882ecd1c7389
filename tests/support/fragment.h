// The ways a stream of bytes can arrive: whole, byte by byte, cut once at every place, cut at random. A test
// that visits them all shows that a consumer does not depend on how its input was fragmented.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace ringcached::testing {

using Pieces = std::vector<std::string_view>;

// Longer inputs are not cut at every place, which costs quadratic time.
inline constexpr std::size_t kEverySplitBytesMax = 200;

inline Pieces cut_every(std::string_view input, std::size_t piece_bytes) {
  Pieces pieces;
  for (std::size_t at = 0; at < input.size(); at += piece_bytes)
    pieces.push_back(input.substr(at, piece_bytes));
  return pieces;
}

// Pieces of 1 to `piece_bytes_max` bytes.
inline Pieces cut_at_random(std::string_view input, std::size_t piece_bytes_max, std::mt19937_64& random) {
  Pieces pieces;
  std::uniform_int_distribution<std::size_t> length(1, piece_bytes_max);
  while (!input.empty()) {
    pieces.push_back(input.substr(0, length(random)));
    input.remove_prefix(pieces.back().size());
  }
  return pieces;
}

// Calls visit(name, pieces) for the whole input, for single bytes, and below kEverySplitBytesMax for each of
// the two-piece cuts.
template <typename Visit>
void for_each_fragmentation(std::string_view input, Visit visit) {
  visit(std::string("whole"), Pieces{input});
  visit(std::string("byte by byte"), cut_every(input, 1));
  if (input.size() >= kEverySplitBytesMax) return;
  for (std::size_t at = 1; at < input.size(); ++at) {
    visit("cut at " + std::to_string(at), Pieces{input.substr(0, at), input.substr(at)});
  }
}

// Bytes not yet consumed, as a session keeps them. Small contents are shown in a heap block of exactly their
// size, at a new address each time, so that the address sanitizer sees a read past the end and a view kept
// too long.
class PendingInput {
 public:
  void append(std::string_view piece) { bytes_.append(piece); }

  std::string_view view() {
    const std::string_view pending = std::string_view(bytes_).substr(consumed_);
    if (pending.size() > kExactBytesMax) return pending;
    block_ = std::make_unique<char[]>(pending.size());
    std::copy(pending.begin(), pending.end(), block_.get());
    return {block_.get(), pending.size()};
  }

  void consume(std::size_t bytes) {
    consumed_ += bytes;
    if (consumed_ < bytes_.size()) return;
    bytes_.clear();
    consumed_ = 0;
  }

  // Drops up to `bytes` of what has come and takes it off them. True when all are gone and something is left.
  bool drop(std::uint64_t& bytes) {
    const auto dropped = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, size()));
    consume(dropped);
    bytes -= dropped;
    return bytes == 0 && size() != 0;
  }

  std::size_t size() const { return bytes_.size() - consumed_; }

 private:
  static constexpr std::size_t kExactBytesMax = 4096;

  std::string bytes_;
  std::size_t consumed_ = 0;
  std::unique_ptr<char[]> block_;
};

}  // namespace ringcached::testing
