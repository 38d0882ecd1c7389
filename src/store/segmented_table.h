// An array that grows without moving: segments of 1024 elements behind a directory. Elements are
// value-initialised and stay until the table goes.
//
// Threads: none of its own.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

namespace ringcached::store {

template <typename T>
class SegmentedTable {
 public:
  static constexpr std::size_t kSegmentShift = 10;

  // Precondition: reserve() covered `index`.
  T& operator[](std::size_t index) { return directory_[index >> kSegmentShift][index & (kSegment - 1)]; }
  const T& operator[](std::size_t index) const {
    return directory_[index >> kSegmentShift][index & (kSegment - 1)];
  }

  // Makes room for `size` elements. False when the heap has nothing; what is there stays usable.
  bool reserve(std::size_t size) {
    while (segments_ * kSegment < size) {
      if (segments_ == directory_size_ && !grow_directory()) return false;
      std::unique_ptr<T[]> segment(new (std::nothrow) T[kSegment]());
      if (segment == nullptr) return false;
      directory_[segments_++] = std::move(segment);
    }
    return true;
  }

 private:
  static constexpr std::size_t kSegment = std::size_t{1} << kSegmentShift;

  bool grow_directory() {
    const std::size_t size = directory_size_ == 0 ? 4 : directory_size_ * 2;
    std::unique_ptr<std::unique_ptr<T[]>[]> directory(new (std::nothrow) std::unique_ptr<T[]>[size]);
    if (directory == nullptr) return false;
    for (std::size_t i = 0; i < segments_; ++i) directory[i] = std::move(directory_[i]);
    directory_ = std::move(directory);
    directory_size_ = size;
    return true;
  }

  std::unique_ptr<std::unique_ptr<T[]>[]> directory_;
  std::size_t directory_size_ = 0;
  std::size_t segments_ = 0;
};

}  // namespace ringcached::store
