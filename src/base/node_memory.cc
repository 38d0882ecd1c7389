#include "base/node_memory.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>

namespace ringcached {
namespace {

// <linux/mempolicy.h>, whose values are ABI.
enum : int { kPolicyPreferred = 1, kPolicyBind = 2, kPolicyInterleave = 3 };
constexpr unsigned kNodesMax = 1024;  // the largest CONFIG_NODES_SHIFT in use is 10
constexpr unsigned kBitsPerWord = 8 * sizeof(unsigned long);
constexpr unsigned long kMaskBits = kNodesMax + 1UL;  // the kernel takes one bit less than it is told

using NodeMask = std::array<unsigned long, kNodesMax / kBitsPerWord>;

Status set_policy(void* start, std::size_t bytes, int policy, std::span<const unsigned> nodes) {
  NodeMask mask{};
  std::string names;
  for (const unsigned node : nodes) {
    if (node >= kNodesMax) return {StatusCode::kInvalidArgument, "NUMA node number out of range"};
    mask[node / kBitsPerWord] |= 1UL << (node % kBitsPerWord);
    names += ' ' + std::to_string(node);
  }
  if (syscall(SYS_mbind, start, bytes, policy, mask.data(), kMaskBits, 0UL) == 0) return Status::ok();
  return {StatusCode::kUnavailable, "mbind to NUMA node" + names + ": " + std::strerror(errno)};
}

}  // namespace

Status prefer_node(void* start, std::size_t bytes, unsigned node) {
  return set_policy(start, bytes, kPolicyPreferred, {&node, 1});
}

Status bind_to_node(void* start, std::size_t bytes, unsigned node) {
  return set_policy(start, bytes, kPolicyBind, {&node, 1});
}

Status interleave_over(void* start, std::size_t bytes, std::span<const unsigned> nodes) {
  return set_policy(start, bytes, kPolicyInterleave, nodes);
}

struct NodePreference::Saved {
  int policy = 0;
  NodeMask mask{};
};

NodePreference::NodePreference(unsigned node) {
  if (node >= kNodesMax) return;
  Saved saved;
  if (syscall(SYS_get_mempolicy, &saved.policy, saved.mask.data(), kMaskBits, nullptr, 0UL) != 0) return;
  NodeMask wanted{};
  wanted[node / kBitsPerWord] = 1UL << (node % kBitsPerWord);
  if (syscall(SYS_set_mempolicy, kPolicyPreferred, wanted.data(), kMaskBits) != 0) return;
  before_ = new Saved(saved);
}

NodePreference::~NodePreference() {
  if (before_ == nullptr) return;
  syscall(SYS_set_mempolicy, before_->policy, before_->mask.data(), kMaskBits);
  delete before_;
}

}  // namespace ringcached
