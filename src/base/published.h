// A value that one thread replaces now and then and others read at any time: no reader ever waits, not for
// the writer and not for another reader.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"

namespace ringcached {

// Each reader announces the version it looks at in a slot of its own (a hazard pointer). The writer frees a
// replaced version once no slot shows it: usually at once, otherwise with the next replacement.
template <typename T>
class Published {
 public:
  explicit Published(std::unique_ptr<const T> first) : owned_(std::move(first)), current_(owned_.get()) {
    RC_CHECK(owned_ != nullptr);
  }
  // How many there are, before the first reads.
  void set_readers(std::size_t readers) { slots_ = std::vector<Slot>(readers); }

  // The version as of read(), until destruction.
  class Reading {
   public:
    Reading(const T& value, std::atomic<const T*>& slot) : value_(value), slot_(slot) {}
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    ~Reading() { slot_.store(nullptr, std::memory_order_release); }

    const T& operator*() const { return value_; }
    const T* operator->() const { return &value_; }

   private:
    const T& value_;
    std::atomic<const T*>& slot_;
  };

  // `reader` is an index below the number of readers. Each belongs to one thread at a time, which holds one
  // Reading at a time.
  Reading read(std::size_t reader) const {
    RC_CHECK(reader < slots_.size());
    std::atomic<const T*>& slot = slots_[reader].shown;
    const T* seen = current_.load();
    while (true) {
      slot.store(seen);
      // Still current after the announcement: the writer cannot have missed it.
      const T* const again = current_.load();
      if (again == seen) return Reading(*seen, slot);
      seen = again;
    }
  }

  // Writer only, one at a time.
  void replace(std::unique_ptr<const T> next) {
    RC_CHECK(next != nullptr);
    replaced_.push_back(std::exchange(owned_, std::move(next)));
    current_.store(owned_.get());
    std::erase_if(replaced_, [&](const std::unique_ptr<const T>& version) {
      return std::ranges::none_of(slots_,
                                  [&](const Slot& slot) { return slot.shown.load() == version.get(); });
    });
  }
  // Writer only.
  const T& latest() const { return *owned_; }
  std::size_t versions_kept() const { return 1 + replaced_.size(); }

 private:
  struct alignas(64) Slot {
    std::atomic<const T*> shown{nullptr};
  };

  mutable std::vector<Slot> slots_;
  std::unique_ptr<const T> owned_;
  std::vector<std::unique_ptr<const T>> replaced_;
  std::atomic<const T*> current_;
};

}  // namespace ringcached
