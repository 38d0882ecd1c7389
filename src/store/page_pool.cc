#include "store/page_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "store/mapping.h"
#include "store/node_memory.h"
#include "store/poison.h"

namespace ringcached::store {
namespace {

constexpr std::size_t kAlignBytes = std::size_t{2} << 20;  // a huge page, so that large_pages can work
constexpr std::size_t kRangeBytesMax = kGranuleBytes << kAddressBits;
constexpr std::size_t kReserveFactor = 4;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// Free pages of one node: three sorts, in the order in which they are handed out.
struct NodePages {
  PageId warm = kNoPage;  // released and still resident (list through State::links)
  PageId cold = kNoPage;  // released and given back to the kernel (list)
  PageId fresh = 0;       // never used: fresh .. end
  PageId end = 0;
};

}  // namespace

struct PagePool::State {
  Mapping items, infos, pins, links_mapping;
  PageId* links = nullptr;  // next page of a list, per page
  Status binding;
  PageId pages_per_node = 0;

  mutable SpinLock lock;  // guards what follows; the atomics are written under it and read by anybody
  std::vector<NodePages> nodes;
  std::size_t warm_count = 0;
  std::atomic<std::size_t> used{0};
  std::atomic<std::size_t> limit{0};

  static void push(PageId& list, PageId page, PageId* links) { links[page] = std::exchange(list, page); }
  static PageId pop(PageId& list, const PageId* links) { return std::exchange(list, links[list]); }

  PageId take(NodePages& node);
  PageId take_surplus();
  void trim(const PagePool& pool);
};

PageId PagePool::State::take(NodePages& node) {
  if (node.warm != kNoPage) {
    --warm_count;
    return pop(node.warm, links);
  }
  if (node.cold != kNoPage) return pop(node.cold, links);
  return node.fresh < node.end ? node.fresh++ : kNoPage;
}

// A resident free page that the limit has no room for; kNoPage when all is well.
PageId PagePool::State::take_surplus() {
  const std::lock_guard guard(lock);
  if (warm_count == 0 ||
      used.load(std::memory_order_relaxed) + warm_count <= limit.load(std::memory_order_relaxed)) {
    return kNoPage;
  }
  auto node = nodes.begin();
  while (node->warm == kNoPage) ++node;
  --warm_count;
  return pop(node->warm, links);
}

void PagePool::State::trim(const PagePool& pool) {
  for (PageId page = take_surplus(); page != kNoPage; page = take_surplus()) {
    madvise(pool.page_address(page), kPageBytes, MADV_DONTNEED);
    const std::lock_guard guard(lock);
    push(nodes[pool.node_of(page)].cold, page, links);
  }
}

Result<std::unique_ptr<PagePool>> PagePool::create(const PagePoolOptions& options) {
  if (options.nodes == 0) return Status(StatusCode::kInvalidArgument, "number of memory nodes is 0");
  const std::size_t limit = std::max(options.limit_bytes / kPageBytes, std::size_t{1}) * kPageBytes;
  const std::size_t unit = kAlignBytes * options.nodes;
  if (limit > kRangeBytesMax - unit || options.reserve_bytes > kRangeBytesMax - unit) {
    return Status(StatusCode::kInvalidArgument, "item memory is limited to 8 TiB");
  }
  const bool reserve_given = options.reserve_bytes != 0;
  const std::size_t wanted =
      reserve_given ? std::max(options.reserve_bytes, limit)
                    : (limit > (kRangeBytesMax - unit) / kReserveFactor ? limit : limit * kReserveFactor);
  std::size_t bytes = round_up(wanted, unit);

  std::unique_ptr<PagePool> pool(new PagePool);
  pool->state_ = std::make_unique<State>();
  State& state = *pool->state_;
  bool mapped = state.items.map(bytes, kAlignBytes);
  if (!mapped) {  // address space may be limited (ulimit -v, strict overcommit): then without room to grow
    bytes = round_up(limit, unit);
    mapped = state.items.map(bytes, kAlignBytes);
  }
  const std::size_t pages = bytes / kPageBytes;
  mapped = mapped && state.infos.map(pages * sizeof(PageInfo)) &&
           state.pins.map(bytes / kPinGrainBytes * sizeof(std::atomic<std::uint32_t>)) &&
           state.links_mapping.map(pages * sizeof(PageId));
  if (!mapped) {
    return Status(StatusCode::kOutOfMemory, "cannot reserve " + std::to_string(bytes >> 20) +
                                                " MiB of address space for items: " + std::strerror(errno));
  }
  pool->base_ = state.items.start();
  pool->infos_ = reinterpret_cast<PageInfo*>(state.infos.start());
  pool->pins_ = reinterpret_cast<std::atomic<std::uint32_t>*>(state.pins.start());
  pool->page_count_ = static_cast<PageId>(pages);
  state.links = reinterpret_cast<PageId*>(state.links_mapping.start());
  state.limit.store(limit / kPageBytes, std::memory_order_relaxed);
  if (options.large_pages) madvise(pool->base_, bytes, MADV_HUGEPAGE);

  state.pages_per_node = static_cast<PageId>(pages / options.nodes);
  for (unsigned node = 0; node < options.nodes; ++node) {
    const PageId first = node * state.pages_per_node;
    state.nodes.push_back({.fresh = first, .end = first + state.pages_per_node});
    if (options.nodes == 1) break;
    const Status bound =
        prefer_node(pool->page_address(first), std::size_t{state.pages_per_node} * kPageBytes, node);
    if (!bound && state.binding) state.binding = bound;
  }
  return pool;
}

PagePool::~PagePool() {
  if (state_ == nullptr) return;
  // The addresses may be mapped again for something else.
  for (unsigned node = 0; node < state_->nodes.size(); ++node) {
    const PageId first = node * state_->pages_per_node;
    unpoison(page_address(first), std::size_t{state_->nodes[node].fresh - first} * kPageBytes);
  }
}

const Status& PagePool::node_binding() const {
  return state_->binding;
}

unsigned PagePool::node_of(PageId page) const {
  return page / state_->pages_per_node;
}

PageId PagePool::acquire(unsigned node) {
  State& state = *state_;
  // The usual case once memory is used up: no lock for it.
  if (pages_free() == 0) return kNoPage;
  PageId page = kNoPage;
  {
    const std::lock_guard guard(state.lock);
    const std::size_t used = state.used.load(std::memory_order_relaxed);
    if (used >= state.limit.load(std::memory_order_relaxed)) return kNoPage;
    const std::size_t count = state.nodes.size();
    for (std::size_t i = 0; i < count && page == kNoPage; ++i)
      page = state.take(state.nodes[(node + i) % count]);
    if (page == kNoPage) return kNoPage;
    state.used.store(used + 1, std::memory_order_relaxed);
  }
  // A fresh page of this node while released ones of others are resident must not lead above the limit.
  if (state.nodes.size() > 1) state.trim(*this);
  infos_[page].earliest_expiry.store(~std::uint32_t{0}, std::memory_order_relaxed);
  return page;
}

void PagePool::release(PageId page) {
  RC_CHECK(page < page_count_);
  infos_[page].slab_class.store(PageInfo::kNoClass, std::memory_order_relaxed);
  State& state = *state_;
  {
    const std::lock_guard guard(state.lock);
    RC_CHECK(state.used.load(std::memory_order_relaxed) != 0);
    state.used.store(state.used.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    ++state.warm_count;
    State::push(state.nodes[node_of(page)].warm, page, state.links);
  }
  state.trim(*this);
}

void PagePool::set_limit(std::size_t bytes) {
  const std::size_t pages = std::clamp(bytes / kPageBytes, std::size_t{1}, std::size_t{page_count_});
  {
    const std::lock_guard guard(state_->lock);
    state_->limit.store(pages, std::memory_order_relaxed);
  }
  state_->trim(*this);
}

std::size_t PagePool::limit_bytes() const {
  return state_->limit.load(std::memory_order_relaxed) * kPageBytes;
}

std::size_t PagePool::pages_used() const {
  return state_->used.load(std::memory_order_relaxed);
}

std::size_t PagePool::pages_resident() const {
  const std::lock_guard guard(state_->lock);
  return state_->used.load(std::memory_order_relaxed) + state_->warm_count;
}

std::size_t PagePool::pages_free() const {
  const std::size_t used = pages_used(), limit = limit_bytes() / kPageBytes;
  return used < limit ? limit - used : 0;
}

std::size_t PagePool::pages_over_limit() const {
  const std::size_t used = pages_used(), limit = limit_bytes() / kPageBytes;
  return used > limit ? used - limit : 0;
}

}  // namespace ringcached::store
