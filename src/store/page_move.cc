// `slabs reassign`: a page from one class to another because somebody asked for it.
#include <algorithm>
#include <vector>

#include "store/store_core.h"

namespace ringcached::store {
namespace {

static_assert(Store::kFreePages == Arena::kToPool);

// A class keeps its last page.
constexpr std::uint64_t kPagesMin = 2;

struct Giver {
  Arena* arena = nullptr;
  std::uint64_t pages = 0;
};

// The arenas that have pages of the class, those with most first.
std::vector<Giver> givers_of(const StoreCore& core, unsigned slab_class) {
  std::vector<Giver> givers;
  for (unsigned id = 0; id < core.attached.load(std::memory_order_acquire); ++id) {
    const std::uint64_t pages = core.arenas[id]->class_stats(slab_class).pages;
    if (pages > 0) givers.push_back({core.arenas[id].get(), pages});
  }
  std::ranges::sort(givers, std::ranges::greater(), &Giver::pages);
  return givers;
}

std::uint64_t sum_of_pages(const std::vector<Giver>& givers) {
  std::uint64_t pages = 0;
  for (const Giver& giver : givers) pages += giver.pages;
  return pages;
}

// The class with the most pages' worth of free chunks, or else with the most pages; 0 if none has a page to
// spare.
int class_to_spare(const Store& store, int except) {
  int best = 0;
  std::pair<std::uint64_t, std::uint64_t> most{0, 0};
  for (unsigned slab_class = 1; slab_class <= store.class_count(); ++slab_class) {
    const Store::ClassStats stats = store.class_stats(slab_class);
    const std::pair spare{stats.chunks_free / stats.chunks_per_page, stats.pages};
    if (static_cast<int>(slab_class) == except || stats.pages < kPagesMin || spare <= most) continue;
    most = spare;
    best = static_cast<int>(slab_class);
  }
  return best;
}

bool take_free_page(const StoreCore& core, ThreadState& thread, unsigned to) {
  return core.pool->pages_free() > 0 && thread.arena->add_page(to);
}

}  // namespace

Store::PageMove Store::move_page(StoreThread& thread, int from, int to) {
  StoreCore& core = *impl_;
  ThreadState& state = *thread.impl_;
  if (from == to) return PageMove::kSame;
  const auto classes = static_cast<int>(class_count());
  if (to < kFreePages || to > classes || from < kAnyClass || from > classes) return PageMove::kBadClass;
  if (from == kFreePages) {
    if (!take_free_page(core, state, static_cast<unsigned>(to))) return PageMove::kNoSpare;
    state.ledger.counters.pages_moved.add();
    state.last_page_move = {0, static_cast<unsigned>(to)};
    return PageMove::kMoved;
  }
  if (from == kAnyClass) from = class_to_spare(*this, to);
  if (from == 0) return PageMove::kBadClass;
  const std::vector<Giver> givers = givers_of(core, static_cast<unsigned>(from));
  if (sum_of_pages(givers) < kPagesMin) return PageMove::kNoSpare;
  PageMove refusal = PageMove::kNoSpare;
  for (const Giver& giver : givers) {
    const Arena::PageStep step =
        giver.arena->move_page(static_cast<unsigned>(from), static_cast<unsigned>(to));
    if (step == Arena::PageStep::kBusy) refusal = PageMove::kBusy;
    if (step == Arena::PageStep::kBusy || step == Arena::PageStep::kNone) continue;
    state.ledger.counters.pages_moved.add();
    state.last_page_move = {static_cast<unsigned>(from), static_cast<unsigned>(to)};
    return PageMove::kMoved;
  }
  return refusal;
}

void Store::set_automove(bool on) {
  impl_->balance.on.store(on && impl_->options.slab_reassign, std::memory_order_relaxed);
}
void Store::set_automove_ratio(double ratio) {
  impl_->balance.ratio.store(ratio, std::memory_order_relaxed);
}
void Store::set_automove_window(unsigned percent) {
  impl_->balance.window_percent.store(percent, std::memory_order_relaxed);
}

}  // namespace ringcached::store
