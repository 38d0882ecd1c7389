// A heap that fails when told to. A program that links failing_heap.cc has its operator new replaced; without
// a FailingHeap at work it is malloc.
#pragma once

#include <cstdint>
#include <utility>

namespace ringcached::testing {

class FailingHeap {
 public:
  enum class Mode : std::uint8_t { kOnce, kFromThenOn };

  // Of the allocations made inside run(), counted from 1 over all calls, the n-th fails, or all from it on.
  FailingHeap(std::uint64_t nth, Mode mode) : nth_(nth), mode_(mode) {}

  // This thread only. What throws leaves through it.
  template <typename Step>
  void run(Step step) {
    const Armed armed(this);
    std::forward<Step>(step)();
  }
  // Inside run(): a step whose allocations are the test's own.
  template <typename Step>
  static auto exempt(Step step) {
    const Armed disarmed(nullptr);
    return std::forward<Step>(step)();
  }

  bool has_failed() const { return failed_; }
  std::uint64_t allocations() const { return count_; }

  // For operator new: whether this one is to fail.
  static bool fails_now();

 private:
  class Armed {
   public:
    explicit Armed(FailingHeap* heap) : before_(std::exchange(current_, heap)) {}
    ~Armed() { current_ = before_; }
    Armed(const Armed&) = delete;
    Armed& operator=(const Armed&) = delete;

   private:
    FailingHeap* before_;
  };

  static thread_local FailingHeap* current_;
  const std::uint64_t nth_;
  const Mode mode_;
  std::uint64_t count_ = 0;
  bool failed_ = false;
};

}  // namespace ringcached::testing
