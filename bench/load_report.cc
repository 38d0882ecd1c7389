#include "bench/load_report.h"

#include <cinttypes>
#include <cstdio>

namespace ringcached::bench {
namespace {

struct Quantile {
  const char* name;
  double fraction;
};
constexpr Quantile kQuantiles[] = {{"p50", 0.50}, {"p90", 0.90}, {"p99", 0.99}, {"p99.9", 0.999}};

std::string number(double value, int decimals) {
  char text[64];
  const int length = std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return std::string(text, static_cast<std::size_t>(length));
}

double microseconds(std::uint64_t ns) {
  return static_cast<double>(ns) / 1000.0;
}

// 0 for "not measured" as well as for "nothing done".
double cpu_us_per_operation(std::uint64_t cpu_ns, const LoadStats& stats) {
  return stats.operations() == 0 ? 0.0 : microseconds(cpu_ns) / static_cast<double>(stats.operations());
}

Histogram all_latencies(const LoadStats& stats) {
  Histogram all = stats.get_latency_ns;
  all.merge(stats.set_latency_ns);
  return all;
}

std::string latency_line(const char* name, const Histogram& histogram) {
  std::string line = std::string("latency of ") + name + " [us]:";
  for (const Quantile& quantile : kQuantiles) {
    line += std::string("  ") + quantile.name + " " +
            number(microseconds(histogram.quantile(quantile.fraction)), 1);
  }
  return line + "  max " + number(microseconds(histogram.max()), 1) + "\n";
}

std::string latency_json(const Histogram& histogram) {
  std::string json = "{\"count\": " + std::to_string(histogram.count()) +
                     ", \"mean\": " + number(histogram.mean() / 1000.0, 3);
  for (const Quantile& quantile : kQuantiles) {
    json += std::string(", \"") + quantile.name +
            "\": " + number(microseconds(histogram.quantile(quantile.fraction)), 3);
  }
  return json + ", \"max\": " + number(microseconds(histogram.max()), 3) + "}";
}

std::string field(const char* name, const std::string& value) {
  return std::string("  \"") + name + "\": " + value + ",\n";
}

}  // namespace

std::string table_report(const LoadOptions& options, const LoadStats& stats) {
  const double rate = stats.seconds == 0 ? 0 : static_cast<double>(stats.operations()) / stats.seconds;
  std::string report = number(rate, 0) + " operations/s (" + std::to_string(stats.operations()) + " in " +
                       number(stats.seconds, 2) + " s), " + std::to_string(options.connections) +
                       " connections, " + std::to_string(options.pipeline) + " in flight each\n";
  report += "gets: " + std::to_string(stats.hits) + " hits, " + std::to_string(stats.misses) +
            " misses; sets: " + std::to_string(stats.stored) + " stored, " +
            std::to_string(stats.not_stored) + " not stored; " + std::to_string(stats.errors) + " errors, " +
            std::to_string(stats.corrupt) +
            (options.verify ? " corrupt values\n" : " corrupt values (not checked)\n");
  if (stats.get_latency_ns.count() != 0) report += latency_line("get", stats.get_latency_ns);
  if (stats.set_latency_ns.count() != 0) report += latency_line("set", stats.set_latency_ns);
  report += "CPU per operation [us]: client " + number(cpu_us_per_operation(stats.client_cpu_ns, stats), 3);
  if (options.server_pid != 0) {
    report += ", server " + number(cpu_us_per_operation(stats.server_cpu_ns, stats), 3);
  }
  return report + "\n";
}

std::string json_report(const LoadOptions& options, const LoadStats& stats) {
  const double rate = stats.seconds == 0 ? 0 : static_cast<double>(stats.operations()) / stats.seconds;
  std::string json = "{\n";
  json += field("connections", std::to_string(options.connections));
  json += field("pipeline", std::to_string(options.pipeline));
  json += field("offered_rate", number(options.rate, 1));
  json += field("seconds", number(stats.seconds, 6));
  json += field("operations", std::to_string(stats.operations()));
  json += field("operations_per_second", number(rate, 1));
  json += field("hits", std::to_string(stats.hits));
  json += field("misses", std::to_string(stats.misses));
  json += field("stored", std::to_string(stats.stored));
  json += field("not_stored", std::to_string(stats.not_stored));
  json += field("errors", std::to_string(stats.errors));
  json += field("verified", options.verify ? "true" : "false");
  json += field("corrupt", std::to_string(stats.corrupt));
  json += field("server_cpu_us_per_operation", number(cpu_us_per_operation(stats.server_cpu_ns, stats), 5));
  json += field("client_cpu_us_per_operation", number(cpu_us_per_operation(stats.client_cpu_ns, stats), 5));
  json += field("latency_us", latency_json(all_latencies(stats)));
  json += field("get_latency_us", latency_json(stats.get_latency_ns));
  json += "  \"set_latency_us\": " + latency_json(stats.set_latency_ns) + "\n}\n";
  return json;
}

}  // namespace ringcached::bench
