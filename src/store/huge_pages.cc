#include "store/huge_pages.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>

#include "base/assert.h"
#include "base/node_memory.h"
#include "store/mapping.h"

namespace ringcached::store {
namespace {

// Newer than the headers of some systems; the value is ABI.
constexpr int kMapHuge2Mb = 21 << 26;  // MAP_HUGE_2MB
constexpr int kPlainFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;

bool map_here(std::byte* start, std::size_t bytes, int flags) {
  return mmap(start, bytes, PROT_READ | PROT_WRITE, kPlainFlags | flags, -1, 0) == start;
}

Status failure(std::size_t bytes, const std::string& where, int error) {
  // EFAULT: touching them would have been SIGBUS.
  const bool too_few = error == ENOMEM || error == EFAULT;
  const std::string why =
      too_few ? "too few are set aside: vm.nr_hugepages, or the node's own" : std::strerror(error);
  return {StatusCode::kUnavailable, "no " + std::to_string(bytes / kHugePageBytes) +
                                        " huge pages of 2 MiB are to be had" + where + " (" + why + ")"};
}

}  // namespace

Status take_huge_pages(std::byte* start, std::size_t bytes, std::optional<unsigned> node) {
  RC_CHECK(bytes % kHugePageBytes == 0);
  const std::string where = node ? " on NUMA node " + std::to_string(*node) : "";
  Status taken;
  if (!map_here(start, bytes, MAP_HUGETLB | kMapHuge2Mb)) {
    taken = failure(bytes, where, errno);
  } else {
    // Where the policy cannot be set, pages come from wherever there are some.
    if (node) static_cast<void>(bind_to_node(start, bytes, *node));
    if (!populate_memory(start, bytes)) taken = failure(bytes, where, errno);
  }
  // A mapping that was tried may have removed the former one even if it failed.
  if (!taken) RC_CHECK(map_here(start, bytes, MAP_NORESERVE));
  return taken;
}

bool transparent_huge_pages_allowed() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string modes;
  return std::getline(file, modes) && modes.find("[never]") == std::string::npos;
}

void ask_for_huge_pages(std::byte* start, std::size_t bytes) {
  madvise(start, bytes, MADV_HUGEPAGE);
}

bool populate_huge_pages(std::byte* start, std::size_t bytes) {
  const std::size_t into_page = reinterpret_cast<std::uintptr_t>(start) % kHugePageBytes;
  const std::size_t front = into_page == 0 ? 0 : kHugePageBytes - into_page;
  if (bytes >= front + kHugePageBytes) {
    const std::size_t whole = (bytes - front) / kHugePageBytes * kHugePageBytes;
    ask_for_huge_pages(start + front, whole);
  }
  return populate_memory(start, bytes);
}

}  // namespace ringcached::store
