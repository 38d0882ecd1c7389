#include <functional>

#include "config_support.h"

using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

struct Honoured {
  const char* list;
  std::function<bool(const Config&)> holds;
  std::size_t notices = 0;
};

const std::vector<Honoured>& honoured() {
  using C = const Config&;
  static const std::vector<Honoured> kCases = {
      {"", [](C c) { return c.network.refuse_fast; }},
      {",,", [](C c) { return c.network.refuse_fast; }},
      {"maxconns_fast", [](C c) { return c.network.refuse_fast; }},
      {"no_maxconns_fast", [](C c) { return !c.network.refuse_fast; }},
      {"no_maxconns_fast,maxconns_fast", [](C c) { return c.network.refuse_fast; }},
      {"hashpower=20", [](C c) { return c.store.hash_power_init == 20; }},
      {"hashpower=12", [](C c) { return c.store.hash_power_init == 12; }},
      {"hashpower=32", [](C c) { return c.store.hash_power_init == 32; }},
      {"slab_reassign", [](C c) { return c.store.slab_reassign; }},
      {"no_slab_reassign", [](C c) { return !c.store.slab_reassign; }},
      {"slab_automove", [](C c) { return c.store.slab_automove == 1; }},
      {"slab_automove=0", [](C c) { return c.store.slab_automove == 0; }},
      {"slab_automove=2", [](C c) { return c.store.slab_automove == 2; }},
      {"no_slab_automove", [](C c) { return c.store.slab_automove == 0; }},
      {"slab_automove_ratio=0.5", [](C c) { return c.store.slab_automove_ratio == 0.5; }},
      {"slab_automove_window=3", [](C c) { return c.store.slab_automove_window == 3; }},
      {"slab_automove_window=1800", [](C c) { return c.store.slab_automove_window == 1800; }},
      {"lru_crawler", [](C c) { return c.store.lru_crawler; }},
      {"lru_crawler=1", [](C c) { return c.store.lru_crawler; }},
      {"no_lru_crawler", [](C c) { return !c.store.lru_crawler; }},
      {"idle_timeout=30", [](C c) { return c.network.idle_timeout_s == 30; }},
      {"idle_timeout=5m", [](C c) { return c.network.idle_timeout_s == 300; }},
      {"idle_timeout=0", [](C c) { return c.network.idle_timeout_s == 0; }},
      {"slab_chunk_max=64", [](C c) { return c.store.slab_chunk_max_bytes == 65536; }, 1},
      {"slab_chunk_max=1024", [](C c) { return c.store.slab_chunk_max_bytes == 1048576; }, 1},
      {"no_chunked_items", [](C c) { return c.store.slab_chunk_max_bytes == 1048576; }, 1},
      {"track_sizes", [](C c) { return c.stats.track_sizes; }},
      {"no_modern",
       [](C c) {
         return !c.network.refuse_fast && !c.store.slab_reassign && c.store.slab_automove == 0 &&
                !c.store.lru_crawler && !c.compat.lru_maintainer && c.store.slab_chunk_max_bytes == 1048576;
       }},
      {"no_modern,slab_reassign", [](C c) { return c.store.slab_reassign && !c.store.lru_crawler; }},
      {"lru_crawler_sleep=0", [](C c) { return c.compat.lru_crawler_sleep_us == 0; }, 1},
      {"lru_crawler_tocrawl=10", [](C c) { return c.compat.lru_crawler_tocrawl == 10; }, 1},
      {"lru_maintainer", [](C c) { return c.compat.lru_maintainer; }, 1},
      {"no_lru_maintainer", [](C c) { return !c.compat.lru_maintainer; }, 1},
      {"hot_lru_pct=30", [](C c) { return c.compat.hot_lru_pct == 30; }, 1},
      {"hot_lru_pct=20", [](C c) { return c.compat.hot_lru_pct == 20; }, 1},
      {"warm_lru_pct=50", [](C c) { return c.compat.warm_lru_pct == 50; }, 1},
      {"hot_lru_pct=1,hot_lru_pct=2", [](C c) { return c.compat.hot_lru_pct == 2; }, 1},
      {"hot_lru_pct=1,warm_lru_pct=79", [](C c) { return c.compat.warm_lru_pct == 79; }, 2},
      {"hot_max_factor=0.5", [](C c) { return c.compat.hot_max_factor == 0.5; }, 1},
      {"warm_max_factor=3", [](C c) { return c.compat.warm_max_factor == 3.0; }, 1},
      {"temporary_ttl=30", [](C c) { return c.compat.temp_lru && c.compat.temporary_ttl_s == 30; }, 1},
      {"tail_repair_time=10", [](C c) { return c.compat.tail_repair_time_s == 10; }, 1},
      {"watcher_logbuf_size=128", [](C c) { return c.commands.watcher_logbuf_bytes == 131072; }},
      {"worker_logbuf_size=32", [](C c) { return c.commands.worker_logbuf_bytes == 32768; }},
      {"read_buf_mem_limit=8", [](C c) { return c.compat.read_buf_mem_limit_bytes == 8u << 20; }, 1},
  };
  return kCases;
}

// Group O of the feature list: what has no setting.
constexpr const char* kAcknowledged[] = {"no_hashexpand",
                                         "slab_automove_freeratio=0.01",
                                         "hash_algorithm=murmur3",
                                         "slab_sizes=100-200",
                                         "no_inline_ascii_resp",
                                         "inline_ascii_resp",
                                         "modern",
                                         "drop_privileges",
                                         "no_drop_privileges",
                                         "resp_obj_mem_limit=10",
                                         "sock_cookie_id=3",
                                         "ssl_chain_cert=/a",
                                         "ssl_key=/a",
                                         "ssl_verify_mode=1",
                                         "ssl_keyformat=1",
                                         "ssl_ciphers=x",
                                         "ssl_ca_cert=/a",
                                         "ssl_wbuf_size=16",
                                         "ssl_session_cache",
                                         "ssl_kernel_tls",
                                         "ssl_min_version=2",
                                         "ext_path=/a:1G",
                                         "ext_page_size=64",
                                         "ext_wbuf_size=4",
                                         "ext_threads=1",
                                         "ext_io_depth=1",
                                         "ext_item_size=512",
                                         "ext_item_age=1",
                                         "ext_low_ttl=1",
                                         "ext_recache_rate=1",
                                         "ext_compact_under=1",
                                         "ext_drop_under=1",
                                         "ext_max_sleep=1",
                                         "ext_max_frag=0.8",
                                         "ext_drop_unread"};

struct Bad {
  const char* list;
  const char* message;  // must be in the line
};
constexpr Bad kBad[] = {
    {"foo", "Illegal suboption \"foo\""},
    {"foo=3", "Illegal suboption \"foo\""},
    {"maxconns_fast,foo", "Illegal suboption \"foo\""},
    {"maxcons_fast", "Illegal suboption \"maxcons_fast\": did you mean maxconns_fast?"},
    {"no_hashpower", "Illegal suboption \"no_hashpower\""},
    {"no_", "Illegal suboption \"no_\""},
    {"=", "Illegal suboption \"\""},
    {"proxy_config=x", "Illegal suboption \"proxy_config\": this build has no proxy"},
    {"proxy_arg=x", "Illegal suboption \"proxy_arg\": this build has no proxy"},
    {"proxy_uring", "Illegal suboption \"proxy_uring\""},
    {"proxy_memprofile", "Illegal suboption \"proxy_memprofile\""},
    {"relaxed_privileges", "Illegal suboption \"relaxed_privileges\""},
    {"hashpower", "Missing numeric argument for hashpower: write -o hashpower="},
    {"hashpower=", "-o hashpower=: \"\" is not a whole number from 12 to 32"},
    {"hashpower=11", "-o hashpower=11: \"11\" is not a whole number from 12 to 32"},
    {"hashpower=33", "-o hashpower=33: \"33\" is not"},
    {"slab_automove=3", "-o slab_automove=3: \"3\" is not a whole number from 0 to 2"},
    {"slab_automove_ratio=0", "a number above 0 and below 1"},
    {"slab_automove_ratio=1", "a number above 0 and below 1"},
    {"slab_automove_window=2", "from 3 to 1800"},
    {"hot_lru_pct=80", "from 1 to 79"},
    {"hot_lru_pct=0", "from 1 to 79"},
    {"hot_max_factor=0", "a number above 0"},
    {"tail_repair_time=5", "from 10s"},
    {"lru_crawler_sleep=1000001", "from 0 to 1000000"},
    {"idle_timeout", "Missing numeric argument for idle_timeout"},
    {"idle_timeout=x", "a time in seconds"},
    {"idle_timeout=500ms", "\"500ms\" is not a time in seconds or with a unit (s, m, h, d)"},
    {"slab_chunk_max=2048", "a size in kilobytes"},
    {"lru_crawler=0", "-o lru_crawler=0: takes no value; write no_lru_crawler"},
};

}  // namespace

TEST_SUITE("suboptions") {
  TEST_CASE("every sub-option with a setting sets it, and one that means nothing says so once") {
    for (const Honoured& c : honoured()) {
      INFO(c.list);
      const Run result = run({"-o", c.list});
      CHECK(c.holds(result.config));
      CHECK(result.notices.size() == c.notices);
    }
  }

  TEST_CASE("every sub-option without a setting is acknowledged by exactly one line that names it") {
    for (const std::string list : kAcknowledged) {
      INFO(list);
      const Run result = run({"-o", list});
      REQUIRE(result.notices.size() == 1);
      CHECK(result.notices[0].starts_with("-o " + list.substr(0, list.find('=')) + " has no effect: "));
      CHECK_FALSE(contains(result.notices[0], "\n"));
    }
  }

  TEST_CASE("an unknown or bad sub-option is memcached's line or names place and remedy") {
    for (const Bad& c : kBad) {
      const Error error = error_of({"-o", c.list});
      INFO(error.text);
      CHECK(contains(error.text, c.message));
      CHECK(is_one_line(error.text));
      CHECK(error.exit_code == 1);
    }
    CHECK(error_of({"-o", "foo"}).text.starts_with("Illegal suboption \"foo\""));
  }

  TEST_CASE("lists may be repeated, joined and long") {
    const Run result =
        run({"-ohashpower=20,no_slab_reassign", "-o", "idle_timeout=9", "--extended=track_sizes"});
    CHECK(result.config.store.hash_power_init == 20);
    CHECK_FALSE(result.config.store.slab_reassign);
    CHECK(result.config.network.idle_timeout_s == 9);
    CHECK(result.config.stats.track_sizes);
  }

  TEST_CASE("rules between sub-options name both") {
    const Error sum = error_of({"-o", "hot_lru_pct=60,warm_lru_pct=30"});
    CHECK(sum.exit_code == 64);
    CHECK(contains(
        sum.text,
        "-o hot_lru_pct=60, -o warm_lru_pct=30: hot_lru_pct + warm_lru_pct cannot be more than 80%"));
  }
}
