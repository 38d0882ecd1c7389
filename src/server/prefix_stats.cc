#include "server/prefix_stats.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "protocol/reply.h"

namespace ringcached::server {
namespace {

constexpr std::size_t kEntriesPerPiece = 64;

}  // namespace

template <typename Change>
void PrefixTable::count(std::string_view key, Change&& change) {
  const std::size_t end = key.find(delimiter_);
  if (end == std::string_view::npos) return;
  const std::string_view prefix = key.substr(0, end);
  const std::lock_guard guard(lock_);
  auto found = entries_->by_prefix.find(prefix);
  if (found == entries_->by_prefix.end()) {
    if (entries_->list.size() == kPrefixesMax) return;
    Entry& entry = entries_->list.emplace_back(Entry{std::string(prefix), {}});
    found = entries_->by_prefix.emplace(entry.prefix, &entry).first;
  }
  change(found->second->counts);
}

[[gnu::noinline]] void PrefixTable::count_get(std::string_view key, bool hit) {
  count(key, [hit](PrefixCounts& counts) {
    ++counts.gets;
    if (hit) ++counts.hits;
  });
}
[[gnu::noinline]] void PrefixTable::count_set(std::string_view key) {
  count(key, [](PrefixCounts& counts) { ++counts.sets; });
}
void PrefixTable::count_delete(std::string_view key) {
  count(key, [](PrefixCounts& counts) { ++counts.deletes; });
}

// A few entries from `start` on; false when there are none.
bool PrefixTable::copy_piece(std::size_t start, std::vector<Entry>& piece) const {
  piece.clear();
  const std::lock_guard guard(lock_);
  const std::size_t end = std::min(start + kEntriesPerPiece, entries_->list.size());
  for (std::size_t i = start; i < end; ++i) piece.push_back(entries_->list[i]);
  return !piece.empty();
}

void PrefixTable::add_to(Sums& sums) const {
  std::vector<Entry> piece;
  piece.reserve(kEntriesPerPiece);
  for (std::size_t start = 0; copy_piece(start, piece); start += kEntriesPerPiece) {
    for (const Entry& entry : piece) {
      PrefixCounts& sum = sums[entry.prefix];
      sum.gets += entry.counts.gets;
      sum.hits += entry.counts.hits;
      sum.sets += entry.counts.sets;
      sum.deletes += entry.counts.deletes;
    }
  }
}

// What there was is freed without the lock.
void PrefixTable::clear() {
  auto fresh = std::make_unique<Entries>();
  const std::lock_guard guard(lock_);
  entries_.swap(fresh);
}

PrefixTable& PrefixStats::attach() {
  auto table = std::make_unique<PrefixTable>(delimiter_);
  PrefixTable& attached = *table;
  const std::lock_guard guard(lock_);
  tables_.push_back(std::move(table));
  return attached;
}

std::vector<PrefixTable*> PrefixStats::tables() {
  std::vector<PrefixTable*> found;
  const std::lock_guard guard(lock_);
  for (const auto& table : tables_) found.push_back(table.get());
  return found;
}

std::string PrefixStats::dump() {
  PrefixTable::Sums sums;
  for (const PrefixTable* table : tables()) table->add_to(sums);
  std::vector<std::pair<std::string_view, PrefixCounts>> sorted(sums.begin(), sums.end());
  std::ranges::sort(sorted, {}, &std::pair<std::string_view, PrefixCounts>::first);
  if (sorted.size() > PrefixTable::kPrefixesMax) sorted.resize(PrefixTable::kPrefixesMax);
  std::string text;
  for (const auto& [prefix, counts] : sorted) {
    text.append("PREFIX ").append(prefix);
    text.append(" get ").append(std::to_string(counts.gets));
    text.append(" hit ").append(std::to_string(counts.hits));
    text.append(" set ").append(std::to_string(counts.sets));
    text.append(" del ").append(std::to_string(counts.deletes));
    text.append(protocol::reply::kCrlf);
  }
  return text.append(protocol::reply::kEnd);
}

void PrefixStats::reset() {
  for (PrefixTable* table : tables()) table->clear();
}

}  // namespace ringcached::server
