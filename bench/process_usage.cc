#include "bench/process_usage.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

namespace ringcached::bench {

std::uint64_t process_cpu_ns(int pid) {
  const std::string tasks = "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/task";
  std::uint64_t total = 0;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator(tasks, error)) {
    std::ifstream file(task.path() / "schedstat");
    std::uint64_t on_cpu_ns = 0;
    if (file >> on_cpu_ns) total += on_cpu_ns;
  }
  return total;
}

}  // namespace ringcached::bench
