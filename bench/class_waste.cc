// The share of item memory that size classes waste, as rows for tools/bench/store_rows.py.
#include "bench/class_waste.h"

#include <cstdio>

namespace ringcached::bench {
namespace {

constexpr double kGoalPercent = 5;

void print_row(unsigned steps, const char* sizes, const Waste& waste, const char* separator) {
  std::printf(
      "  {\"group\": \"waste of size classes\", \"what\": \"%s, %u classes per doubling\", \"value\": %.3f, "
      "\"unit\": \"%%\", \"goal\": %.1f, \"at_most\": true, \"detail\": \"%.3f %% where small sizes count "
      "more\"}%s\n",
      sizes, steps, 100 * waste.all_sizes, kGoalPercent, 100 * waste.by_logarithm, separator);
}

int run() {
  constexpr std::size_t kKeyBytes = 16;
  std::printf("{\"rows\": [\n");
  for (unsigned steps = store::SlabClasses::kStepsMin; steps <= store::SlabClasses::kStepsMax; steps *= 2) {
    const store::SlabClasses classes(steps);
    print_row(steps, "32 B to 32 KiB", waste_of_chunks(classes), ",");
    print_row(steps, "values of 32 B to 512 KiB", waste_of_values(classes, kKeyBytes),
              steps == store::SlabClasses::kStepsMax ? "" : ",");
  }
  std::printf("]}\n");
  return 0;
}

}  // namespace
}  // namespace ringcached::bench

int main() {
  return ringcached::bench::run();
}
