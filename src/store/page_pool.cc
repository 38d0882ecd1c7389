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
#include "base/node_memory.h"
#include "store/huge_pages.h"
#include "store/mapping.h"
#include "store/poison.h"

namespace ringcached::store {
namespace {

constexpr std::size_t kAlignBytes = kHugePageBytes;  // so that large_pages can work
constexpr std::size_t kRangeBytesMax = kGranuleBytes << kAddressBits;
constexpr std::size_t kReserveFactor = 4;

std::size_t round_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

// What is known of a node's part. Free pages are of three sorts, in the order in which they are handed out.
struct Part {
  unsigned node = 0;
  bool huge_pages = false;  // explicit ones: nothing of them is given back
  PageId first = 0;
  std::size_t used = 0;
  PageId warm = kNoPage;  // released and still resident (list through State::links)
  PageId cold = kNoPage;  // released and given back to the kernel (list)
  PageId fresh = 0;       // never used: fresh .. end
  PageId end = 0;
};

}  // namespace

struct PagePool::State {
  Mapping items, infos, pins, links_mapping;
  PageId* links = nullptr;  // next page of a list, per page
  std::vector<Status> refusals;
  PageId pages_per_part = 0;

  mutable SpinLock lock;  // guards what follows; the atomics are written under it and read by anybody
  std::vector<Part> parts;
  std::size_t warm_count = 0;
  std::atomic<std::size_t> used{0};
  std::atomic<std::size_t> limit{0};
  std::atomic<std::size_t> fresh_taken{0};

  static void push(PageId& list, PageId page, PageId* links) { links[page] = std::exchange(list, page); }
  static PageId pop(PageId& list, const PageId* links) { return std::exchange(list, links[list]); }

  PageId take(Part& part);
  PageId take_surplus();
  void trim(const PagePool& pool);
};

PageId PagePool::State::take(Part& part) {
  PageId page = kNoPage;
  if (part.warm != kNoPage) {
    --warm_count;
    page = pop(part.warm, links);
  } else if (part.cold != kNoPage) {
    page = pop(part.cold, links);
  } else if (part.fresh < part.end) {
    page = part.fresh++;
    fresh_taken.store(fresh_taken.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  if (page != kNoPage) ++part.used;
  return page;
}

// A resident free page that the limit has no room for; kNoPage when all is well.
PageId PagePool::State::take_surplus() {
  const std::lock_guard guard(lock);
  if (warm_count == 0 ||
      used.load(std::memory_order_relaxed) + warm_count <= limit.load(std::memory_order_relaxed)) {
    return kNoPage;
  }
  auto part = parts.begin();
  while (part->warm == kNoPage) ++part;
  --warm_count;
  return pop(part->warm, links);
}

void PagePool::State::trim(const PagePool& pool) {
  for (PageId page = take_surplus(); page != kNoPage; page = take_surplus()) {
    Part& part = parts[pool.part_of(page)];
    if (!part.huge_pages) madvise(pool.page_address(page), kPageBytes, MADV_DONTNEED);
    const std::lock_guard guard(lock);
    push(part.cold, page, links);
  }
}

Result<std::unique_ptr<PagePool>> PagePool::create(const PagePoolOptions& options) {
  const std::size_t limit = std::max(options.limit_bytes / kPageBytes, std::size_t{1}) * kPageBytes;
  std::unique_ptr<PagePool> pool(new PagePool);
  pool->state_ = std::make_unique<State>();
  if (Status status = pool->reserve(options, limit); !status) return status;
  pool->state_->limit.store(limit / kPageBytes, std::memory_order_relaxed);
  pool->divide(options);
  return pool;
}

Status PagePool::reserve(const PagePoolOptions& options, std::size_t limit) {
  const std::size_t unit = kAlignBytes * std::max(options.nodes.size(), std::size_t{1});
  const std::size_t most = kRangeBytesMax - unit;
  if (limit > most) return {StatusCode::kInvalidArgument, "item memory is limited to 8 TiB"};
  const std::size_t spacious = limit > most / kReserveFactor ? limit : limit * kReserveFactor;
  // Room to grow is a wish, which a machine may have more memory for than can be addressed.
  std::size_t wanted = options.reserve_bytes != 0 ? std::clamp(options.reserve_bytes, limit, most) : spacious;
  // All of it is taken: nothing to grow into.
  if (options.large_pages == LargePages::kExplicit) wanted = limit;
  std::size_t bytes = round_up(wanted, unit);
  State& state = *state_;
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
    return {StatusCode::kOutOfMemory, "cannot reserve " + std::to_string(bytes >> 20) +
                                          " MiB of address space for items: " + std::strerror(errno)};
  }
  base_ = state.items.start();
  infos_ = reinterpret_cast<PageInfo*>(state.infos.start());
  pins_ = reinterpret_cast<std::atomic<std::uint32_t>*>(state.pins.start());
  page_count_ = static_cast<PageId>(pages);
  state.links = reinterpret_cast<PageId*>(state.links_mapping.start());
  return Status::ok();
}

void PagePool::divide(const PagePoolOptions& options) {
  State& state = *state_;
  const auto count = static_cast<PageId>(std::max(options.nodes.size(), std::size_t{1}));
  state.pages_per_part = page_count_ / count;
  for (PageId i = 0; i < count; ++i) {
    const PageId first = i * state.pages_per_part;
    state.parts.push_back({.node = options.nodes.empty() ? 0 : options.nodes[i],
                           .first = first,
                           .fresh = first,
                           .end = first + state.pages_per_part});
    place(i, options);
  }
}

// Before any of the part's memory is touched.
void PagePool::place(unsigned part, const PagePoolOptions& options) {
  State& state = *state_;
  Part& its = state.parts[part];
  std::byte* const start = page_address(its.first);
  const std::size_t bytes = std::size_t{state.pages_per_part} * kPageBytes;
  const bool several = options.nodes.size() > 1;
  const auto note = [&](Status status) {
    if (!status) state.refusals.push_back(std::move(status));
  };
  if (options.large_pages == LargePages::kExplicit) {
    Status taken = take_huge_pages(start, bytes, several ? std::optional(its.node) : std::nullopt);
    its.huge_pages = taken.is_ok();
    note(std::move(taken));
  }
  if (!its.huge_pages && options.large_pages >= LargePages::kTransparent) {
    madvise(start, bytes, MADV_HUGEPAGE);
  }
  if (!several) return;
  if (!its.huge_pages) note(prefer_node(start, bytes, its.node));
  // What is known of the pages lies beside them. No harm if not.
  for (const Mapping* table : {&state.infos, &state.pins}) {
    const auto edge = [&](std::size_t i) {
      return table->bytes() / options.nodes.size() * i / Mapping::kKernelPageBytes *
             Mapping::kKernelPageBytes;
    };
    if (edge(part + 1) == edge(part)) continue;
    static_cast<void>(prefer_node(table->start() + edge(part), edge(part + 1) - edge(part), its.node));
  }
}

PagePool::~PagePool() {
  if (state_ == nullptr) return;
  // The addresses may be mapped again for something else.
  for (const Part& part : state_->parts) {
    unpoison(page_address(part.first), std::size_t{part.fresh - part.first} * kPageBytes);
  }
}

const std::vector<Status>& PagePool::refusals() const {
  return state_->refusals;
}

unsigned PagePool::part_count() const {
  return static_cast<unsigned>(state_->parts.size());
}

unsigned PagePool::part_of(PageId page) const {
  return page / state_->pages_per_part;
}

unsigned PagePool::part_of_node(unsigned node) const {
  const auto found = std::ranges::find(state_->parts, node, &Part::node);
  return found == state_->parts.end() ? 0 : static_cast<unsigned>(found - state_->parts.begin());
}

PoolNodeStats PagePool::part_stats(unsigned part) const {
  const std::lock_guard guard(state_->lock);
  const Part& its = state_->parts[part];
  return {its.node, its.used, its.end - its.first, its.huge_pages};
}

GrowingMemory PagePool::part_memory(unsigned part) const {
  const std::size_t free = pages_free();
  const std::lock_guard guard(state_->lock);
  const Part& its = state_->parts[part];
  const std::size_t used = its.fresh - its.first, all = its.end - its.first;
  // Explicit huge pages are all there.
  const std::size_t most = its.huge_pages ? used : std::min(all, used + free);
  return {page_address(its.first), used * kPageBytes, most * kPageBytes};
}

std::size_t PagePool::fresh_pages_taken() const {
  return state_->fresh_taken.load(std::memory_order_relaxed);
}

std::pair<PageId, PageId> PagePool::known_pages(unsigned part) const {
  const std::lock_guard guard(state_->lock);
  return {state_->parts[part].first, state_->parts[part].fresh};
}

PageId PagePool::acquire(unsigned part) {
  State& state = *state_;
  // The usual case once memory is used up: no lock for it.
  if (pages_free() == 0) return kNoPage;
  PageId page = kNoPage;
  {
    const std::lock_guard guard(state.lock);
    const std::size_t used = state.used.load(std::memory_order_relaxed);
    if (used >= state.limit.load(std::memory_order_relaxed)) return kNoPage;
    const std::size_t count = state.parts.size();
    for (std::size_t i = 0; i < count && page == kNoPage; ++i)
      page = state.take(state.parts[(part + i) % count]);
    if (page == kNoPage) return kNoPage;
    state.used.store(used + 1, std::memory_order_relaxed);
  }
  // A fresh page of this part while released ones of others are resident must not lead above the limit.
  if (state.parts.size() > 1) state.trim(*this);
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
    Part& part = state.parts[part_of(page)];
    --part.used;
    State::push(part.warm, page, state.links);
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
