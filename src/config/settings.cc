#include "config/settings.h"

#include <algorithm>
#include <array>

#include "base/assert.h"
#include "config/listen.h"
#include "config/text.h"

namespace ringcached::config {
namespace {

struct Line {
  std::string_view name;
  // The value where no setting of the option table has this name.
  std::string (*computed)(const Config&, std::uint64_t oldest) = nullptr;
};

std::string no(const Config&, std::uint64_t) {
  return "no";
}

std::string protocol_text(const Config& config, std::uint64_t) {
  switch (protocol_in_effect(config)) {
    case Protocol::kAscii:
      return "ascii";
    case Protocol::kBinary:
      return "binary";
    case Protocol::kAuto:
      break;
  }
  return "auto-negotiate";
}

// Without -l the addresses in use are shown: NULL would say "all".
std::string addresses_text(const Config& config, std::uint64_t) {
  std::string text;
  const auto add = [&](const std::string& address) { text += (text.empty() ? "" : ",") + address; };
  for (const std::string& address : config.network.listen) add(address);
  if (!text.empty()) return text;
  for (const ListenAddress& listener : config.listeners) {
    if (listener.kind == ListenAddress::Kind::kTcp) add(listener.host);
  }
  return text.empty() ? "NULL" : text;
}

// The order of memcached 1.6.45 built without the flash tier, TLS and the proxy.
constexpr auto kLines = std::to_array<Line>({
    {"maxbytes"},
    {"maxconns"},
    {"tcpport"},
    {"udpport"},
    {"inter", addresses_text},
    {"verbosity"},
    {"oldest", [](const Config&, std::uint64_t oldest) { return std::to_string(oldest); }},
    {"evictions"},
    {"domain_socket"},
    {"umask"},
    {"shutdown_command"},
    {"growth_factor"},
    {"chunk_size"},
    {"num_threads"},
    {"num_threads_per_udp",
     [](const Config& config, std::uint64_t) { return std::to_string(config.threads.workers); }},
    {"stat_key_prefix"},
    {"detail_enabled"},
    {"reqs_per_event"},
    {"cas_enabled"},
    {"tcp_backlog"},
    {"binding_protocol", protocol_text},
    {"auth_enabled_sasl"},
    {"auth_enabled_ascii",
     [](const Config& config, std::uint64_t) { return config.auth.file.empty() ? "no" : config.auth.file; }},
    {"item_size_max"},
    {"maxconns_fast"},
    {"hashpower_init"},
    {"slab_reassign"},
    {"slab_automove"},
    {"slab_automove_ratio"},
    {"slab_automove_window"},
    {"slab_chunk_max"},
    {"lru_crawler"},
    {"lru_crawler_sleep"},
    {"lru_crawler_tocrawl"},
    {"tail_repair_time"},
    {"flush_enabled"},
    {"dump_enabled"},
    {"hash_algorithm", [](const Config&, std::uint64_t) { return std::string("xxh3"); }},
    {"lru_maintainer_thread"},
    {"lru_segmented",
     [](const Config& config, std::uint64_t) {
       const bool segmented = config.compat.lru_maintainer && config.compat.lru_segmented;
       return std::string(segmented ? "yes" : "no");
     }},
    {"hot_lru_pct"},
    {"warm_lru_pct"},
    {"hot_max_factor"},
    {"warm_max_factor"},
    {"temp_lru"},
    {"temporary_ttl"},
    {"idle_timeout"},
    {"watcher_logbuf_size"},
    {"worker_logbuf_size"},
    {"read_buf_mem_limit"},
    {"track_sizes"},
    {"inline_ascii_response", no},
    {"num_napi_ids"},
    {"memory_file", [](const Config&, std::uint64_t) { return std::string("(null)"); }},
    {"client_flags_size", [](const Config&, std::uint64_t) { return std::string("4"); }},
});

std::string value_of(const Line& line, const Config& config, std::uint64_t oldest) {
  if (line.computed != nullptr) return line.computed(config, oldest);
  const auto option = std::ranges::find(options(), line.name, &Option::stats_name);
  RC_CHECK(option != options().end());
  return stats_text(*option, option->field.get(config));
}

}  // namespace

std::vector<std::pair<std::string, std::string>> settings_lines(const Config& config, std::uint64_t oldest) {
  std::vector<std::pair<std::string, std::string>> lines;
  lines.reserve(kLines.size());
  for (const Line& line : kLines) lines.emplace_back(line.name, value_of(line, config, oldest));
  return lines;
}

std::vector<Change> changes(const Config& from, const Config& to) {
  std::vector<Change> found;
  for (const Option& option : options()) {
    const Value before = option.field.get(from);
    const Value after = option.field.get(to);
    if (before == after) continue;
    found.push_back(
        {std::string(option.key), toml_text(option, before), toml_text(option, after), option.reloadable});
  }
  return found;
}

}  // namespace ringcached::config
