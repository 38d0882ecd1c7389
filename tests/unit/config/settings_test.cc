#include "config/settings.h"

#include <algorithm>
#include <sstream>

#include "config/option.h"
#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

// The order and the defaults of the protocol reference, section 9.2, for a build without the flash tier, TLS
// and the proxy. Differences from memcached's defaults: the addresses (it listens on all), num_threads (given
// below) and hash_algorithm (keys are hashed by XXH3).
constexpr const char* kExpected =
    "maxbytes 67108864|maxconns 1024|tcpport 11211|udpport 0|inter 127.0.0.1|verbosity 0|oldest 0|evictions "
    "on|"
    "domain_socket NULL|umask 700|shutdown_command no|growth_factor 1.25|chunk_size 48|num_threads 4|"
    "num_threads_per_udp 4|stat_key_prefix :|detail_enabled no|reqs_per_event 20|cas_enabled yes|tcp_backlog "
    "1024|"
    "binding_protocol auto-negotiate|auth_enabled_sasl no|auth_enabled_ascii no|item_size_max 1048576|"
    "maxconns_fast yes|hashpower_init 0|slab_reassign yes|slab_automove 1|slab_automove_ratio 0.80|"
    "slab_automove_window 10|slab_chunk_max 524288|lru_crawler yes|lru_crawler_sleep 100|lru_crawler_tocrawl "
    "0|"
    "tail_repair_time 0|flush_enabled yes|dump_enabled yes|hash_algorithm xxh3|lru_maintainer_thread yes|"
    "lru_segmented yes|hot_lru_pct 20|warm_lru_pct 40|hot_max_factor 0.20|warm_max_factor 2.00|temp_lru no|"
    "temporary_ttl 61|idle_timeout 0|watcher_logbuf_size 262144|worker_logbuf_size 65536|read_buf_mem_limit "
    "0|"
    "track_sizes no|inline_ascii_response no|num_napi_ids 0|memory_file (null)|client_flags_size 4|";

std::string value_of(const Config& config, std::string_view name) {
  for (const auto& [key, value] : settings_lines(config, 0)) {
    if (key == name) return value;
  }
  return "(missing)";
}

}  // namespace

TEST_SUITE("settings") {
  TEST_CASE("names, order and default values are those of the reference") {
    std::string all;
    for (const auto& [name, value] : settings_lines(config_of({"-t4", "-l", "127.0.0.1"}), 0)) {
      all += name + " " + value + "|";
    }
    CHECK(all == kExpected);
  }

  TEST_CASE("every setting with a name there is shown") {
    const auto lines = settings_lines(config_of({}), 0);
    for (const Option& option : options()) {
      if (option.stats_name.empty()) continue;
      INFO(option.stats_name);
      CHECK(std::ranges::count(lines, option.stats_name, &std::pair<std::string, std::string>::first) == 1);
    }
  }

  TEST_CASE("values follow the configuration") {
    const std::vector<std::tuple<Words, const char*, const char*>> cases = {
        {{"-M"}, "evictions", "off"},
        {{"-s", "/run/x"}, "domain_socket", "/run/x"},
        {{"-s", "/run/x"}, "inter", "NULL"},
        {{"-a", "0666"}, "umask", "666"},
        {{"-A"}, "shutdown_command", "yes"},
        {{"-f", "1.0891"}, "growth_factor", "1.09"},
        {{"-f", "500"}, "growth_factor", "500.00"},
        {{"-D#"}, "stat_key_prefix", "#"},
        {{"-D#"}, "detail_enabled", "yes"},
        {{"-B", "ascii"}, "binding_protocol", "ascii"},
        {{"-B", "binary"}, "binding_protocol", "binary"},
        {{"-Y", "users"}, "auth_enabled_ascii", "users"},
        {{"-Y", "users"}, "binding_protocol", "ascii"},
        {{"-S", "--sasl-file=/x"}, "auth_enabled_sasl", "yes"},
        {{"-S", "--sasl-file=/x"}, "binding_protocol", "binary"},
        {{"-C"}, "cas_enabled", "no"},
        {{"-F"}, "flush_enabled", "no"},
        {{"-X"}, "dump_enabled", "no"},
        {{"-m", "1g"}, "maxbytes", "1073741824"},
        {{"-o", "slab_chunk_max=64"}, "slab_chunk_max", "65536"},
        {{"-o", "no_lru_maintainer"}, "lru_segmented", "no"},
        {{"-o", "temporary_ttl=30"}, "temp_lru", "yes"},
        {{"-o", "idle_timeout=2m"}, "idle_timeout", "120"},
        {{"-l", "127.0.0.1:5,[::1]"}, "inter", "127.0.0.1:5,[::1]"},
        {{"-p-1"}, "tcpport", "-1"},
        {{"-vv"}, "verbosity", "2"},
    };
    for (const auto& [words, name, expected] : cases) {
      INFO(words.front(), " ", name);
      CHECK(value_of(config_of(words), name) == expected);
    }
    CHECK(settings_lines(Config{}, 17)[6] == std::pair<std::string, std::string>("oldest", "17"));
  }

  TEST_CASE("changes name what a reload can take and what needs a restart") {
    CHECK(changes(config_of({}), config_of({})).empty());
    const auto found = changes(config_of({}), config_of({"-vv", "-p", "5000"}));
    REQUIRE(found.size() == 2);
    CHECK(found[0].key == "network.port");
    CHECK(found[0].from == "11211");
    CHECK(found[0].to == "5000");
    CHECK_FALSE(found[0].reloadable);
    CHECK(found[1].key == "process.verbosity");
    CHECK(found[1].reloadable);
  }
}
