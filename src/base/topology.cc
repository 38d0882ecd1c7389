#include "base/topology.h"

#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

namespace ringcached {
namespace {

// Larger than any machine's count; the mask is sized for it, as sched_getaffinity refuses a mask that is too
// short.
constexpr unsigned kCpusMax = 8192;

struct CpuMask {
  CpuMask() { CPU_ZERO_S(bytes, set); }
  CpuMask(const CpuMask&) = delete;
  CpuMask& operator=(const CpuMask&) = delete;

  cpu_set_t sets[kCpusMax / CPU_SETSIZE];
  cpu_set_t* set = sets;
  static constexpr std::size_t bytes = sizeof sets;
};
static_assert(kCpusMax % CPU_SETSIZE == 0);

// Node numbers are far below; what lists name above is no list.
constexpr unsigned kListedMax = 65535;

// The first line of a file of sysfs, or nothing.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::vector<unsigned> list_in(const std::string& path) {
  return parse_number_list(first_line(path)).value_or(std::vector<unsigned>{});
}

// Mems_allowed_list of /proc/PID/status: what the cpuset leaves; nothing where the kernel has no cpusets.
std::vector<unsigned> allowed_memory(const std::string& status) {
  constexpr std::string_view kName = "Mems_allowed_list:";
  std::ifstream file(status);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(kName)) continue;
    const std::size_t start = line.find_first_not_of(" \t", kName.size());
    if (start == std::string::npos) break;
    return parse_number_list(std::string_view(line).substr(start)).value_or(std::vector<unsigned>{});
  }
  return {};
}

bool contains(const std::vector<unsigned>& numbers, unsigned number) {
  return std::ranges::find(numbers, number) != numbers.end();
}

// A node's row of distances has one column for each online node.
unsigned nearest_memory(const std::string& nodes_path, unsigned node, const std::vector<unsigned>& online,
                        const std::vector<unsigned>& with_memory) {
  if (with_memory.empty() || contains(with_memory, node)) return node;
  std::istringstream row(first_line(nodes_path + "/node" + std::to_string(node) + "/distance"));
  unsigned best = with_memory.front(), shortest = std::numeric_limits<unsigned>::max(), distance = 0;
  for (const unsigned other : online) {
    if (!(row >> distance)) break;
    if (distance >= shortest || !contains(with_memory, other)) continue;
    shortest = distance;
    best = other;
  }
  return best;
}

}  // namespace

std::vector<unsigned> allowed_cpus() {
  CpuMask mask;
  std::vector<unsigned> cpus;
  if (sched_getaffinity(0, mask.bytes, mask.set) == 0) {
    for (unsigned cpu = 0; cpu < kCpusMax; ++cpu) {
      if (CPU_ISSET_S(cpu, mask.bytes, mask.set)) cpus.push_back(cpu);
    }
  }
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

Status pin_this_thread(std::span<const unsigned> cpus) {
  CpuMask mask;
  std::string names;
  for (const unsigned cpu : cpus) {
    if (cpu >= kCpusMax) return {StatusCode::kInvalidArgument, "no such CPU: " + std::to_string(cpu)};
    CPU_SET_S(cpu, mask.bytes, mask.set);
    names += ' ' + std::to_string(cpu);
  }
  if (sched_setaffinity(0, mask.bytes, mask.set) == 0) return {};
  return {StatusCode::kUnavailable, "cannot bind a thread to CPU" + names + ": " + std::strerror(errno) +
                                        "; allow it or switch pinning off"};
}

std::optional<std::vector<unsigned>> parse_number_list(std::string_view text) {
  std::vector<unsigned> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    unsigned first = 0;
    auto parsed = std::from_chars(at, end, first);
    if (parsed.ec != std::errc()) return std::nullopt;
    unsigned last = first;
    if (parsed.ptr != end && *parsed.ptr == '-') {
      parsed = std::from_chars(parsed.ptr + 1, end, last);
      if (parsed.ec != std::errc()) return std::nullopt;
    }
    if (last < first || last > kListedMax) return std::nullopt;
    for (unsigned number = first; number <= last; ++number) numbers.push_back(number);
    at = parsed.ptr;
    if (at == end) break;
    if (*at != ',' || ++at == end) return std::nullopt;
  }
  return numbers;
}

std::vector<CpuSite> cpu_sites(std::span<const unsigned> cpus, const TopologySource& source) {
  const std::vector<unsigned> online = list_in(source.nodes + "/online");
  std::vector<unsigned> with_memory = list_in(source.nodes + "/has_memory");
  if (with_memory.empty()) with_memory = online;
  const std::vector<unsigned> allowed = allowed_memory(source.status);
  if (!allowed.empty()) {
    std::erase_if(with_memory, [&](unsigned node) { return !contains(allowed, node); });
  }
  std::map<unsigned, CpuSite> known;
  for (const unsigned node : online) {
    const unsigned memory = nearest_memory(source.nodes, node, online, with_memory);
    for (const unsigned cpu : list_in(source.nodes + "/node" + std::to_string(node) + "/cpulist")) {
      known[cpu] = {cpu, node, memory};
    }
  }
  std::vector<CpuSite> sites;
  for (const unsigned cpu : cpus) {
    const auto found = known.find(cpu);
    sites.push_back(found != known.end() ? found->second : CpuSite{.cpu = cpu});
  }
  return sites;
}

std::vector<CpuSite> spread_over_nodes(std::span<const CpuSite> sites) {
  std::map<unsigned, std::vector<CpuSite>> by_node;
  for (const CpuSite& site : sites) by_node[site.node].push_back(site);
  std::vector<CpuSite> spread;
  for (std::size_t round = 0; spread.size() < sites.size(); ++round) {
    for (const auto& [node, its] : by_node) {
      if (round < its.size()) spread.push_back(its[round]);
    }
  }
  return spread;
}

}  // namespace ringcached
