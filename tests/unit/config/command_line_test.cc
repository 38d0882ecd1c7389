#include <stdlib.h>

#include <filesystem>
#include <functional>

#include "config/print.h"
#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

struct Accepted {
  Words words;
  std::function<bool(const Config&)> holds;
};

const std::vector<Accepted>& accepted() {
  using C = const Config&;
  static const std::vector<Accepted> kCases = {
      {{"-p5000"}, [](C c) { return c.network.port == 5000; }},
      {{"-p", "5000"}, [](C c) { return c.network.port == 5000; }},
      {{"--port=5000"}, [](C c) { return c.network.port == 5000; }},
      {{"--port", "5000"}, [](C c) { return c.network.port == 5000; }},
      {{"-p", "1", "-p", "2"}, [](C c) { return c.network.port == 2; }},
      {{"-p", "-1"}, [](C c) { return c.network.port == -1 && c.listeners[0].port == 0; }},
      {{"-p-1"}, [](C c) { return c.network.port == -1; }},
      {{"-p", "0", "-s", "/run/x"}, [](C c) { return c.network.port == 0; }},
      {{"-U", "0"}, [](C c) { return c.network.udp_port == 0 && c.network.port == 11211; }},
      {{"-U", "5001"}, [](C c) { return c.network.udp_port == 5001 && c.network.port == 5001; }},
      {{"-U", "5001", "-p", "5002"},
       [](C c) { return c.network.udp_port == 5001 && c.network.port == 5002; }},
      {{"-U", "-1"}, [](C c) { return c.network.udp_port == -1 && c.network.port == -1; }},
      {{"-s", "/run/x.sock"}, [](C c) { return c.network.unix_socket == "/run/x.sock"; }},
      {{"--unix-socket=/run/x.sock", "-a", "0777"}, [](C c) { return c.network.unix_mode == 0777; }},
      {{"-a", "700"}, [](C c) { return c.network.unix_mode == 0700; }},
      {{"--unix-mask=660"}, [](C c) { return c.network.unix_mode == 0660; }},
      {{"-A"}, [](C c) { return c.commands.shutdown_enabled; }},
      {{"--enable-shutdown", "--disable-shutdown"}, [](C c) { return !c.commands.shutdown_enabled; }},
      {{"-d"}, [](C c) { return c.process.daemonize; }},
      {{"--daemon"}, [](C c) { return c.process.daemonize; }},
      {{"-d", "--no-daemon"}, [](C c) { return !c.process.daemonize; }},
      {{"-r"}, [](C c) { return c.process.core_dumps; }},
      {{"-u", "nobody"}, [](C c) { return c.process.user == "nobody"; }},
      {{"-unobody"}, [](C c) { return c.process.user == "nobody"; }},
      {{"-m", "64"}, [](C c) { return c.memory.limit_bytes == 64u << 20; }},
      {{"-m64"}, [](C c) { return c.memory.limit_bytes == 64u << 20; }},
      {{"-m", "1g"}, [](C c) { return c.memory.limit_bytes == 1u << 30; }},
      {{"-m", "100M"}, [](C c) { return c.memory.limit_bytes == 100u << 20; }},
      {{"-m", "100MiB"}, [](C c) { return c.memory.limit_bytes == 100u << 20; }},
      {{"--memory-limit=1024"}, [](C c) { return c.memory.limit_bytes == 1u << 30; }},
      {{"-M"}, [](C c) { return !c.store.evictions_enabled; }},
      {{"-M", "--enable-evictions"}, [](C c) { return c.store.evictions_enabled; }},
      {{"-c", "2000"}, [](C c) { return c.network.connections_max == 2000; }},
      {{"-k"}, [](C c) { return c.memory.lock; }},
      {{"-v"}, [](C c) { return c.process.verbosity == 1; }},
      {{"-vv"}, [](C c) { return c.process.verbosity == 2; }},
      {{"-v", "-v", "--verbose"}, [](C c) { return c.process.verbosity == 3; }},
      {{"-vvvvv"}, [](C c) { return c.process.verbosity == 3; }},
      {{"-vvdMp5000"},
       [](C c) { return c.process.verbosity == 2 && c.process.daemonize && c.network.port == 5000; }},
      {{"-P", "/run/x.pid"}, [](C c) { return c.process.pidfile == "/run/x.pid"; }},
      {{"-f", "1.08"}, [](C c) { return c.store.growth_factor == 1.08; }},
      {{"-f", "2"}, [](C c) { return c.store.growth_factor == 2.0; }},
      {{"-n", "100"}, [](C c) { return c.store.chunk_size_bytes == 100; }},
      {{"-L"}, [](C c) { return c.memory.large_pages; }},
      {{"--no-transparent-huge-pages"}, [](C c) { return !c.memory.transparent_huge_pages; }},
      {{"-D", "#"}, [](C c) { return c.stats.prefix_delimiter == "#" && c.stats.detail_enabled; }},
      {{"-D:"}, [](C c) { return c.stats.prefix_delimiter == ":" && c.stats.detail_enabled; }},
      {{"-D", "-"}, [](C c) { return c.stats.prefix_delimiter == "-"; }},
      {{"-t", "8"}, [](C c) { return c.threads.workers == 8; }},
      {{"-R", "100"}, [](C c) { return c.network.requests_per_turn == 100; }},
      {{"--max-reqs-per-event=5"}, [](C c) { return c.network.requests_per_turn == 5; }},
      {{"-C"}, [](C c) { return !c.store.cas_enabled; }},
      {{"-b", "4096"}, [](C c) { return c.network.backlog == 4096; }},
      {{"-B", "ascii"}, [](C c) { return c.network.protocol == Protocol::kAscii; }},
      {{"-B", "binary"}, [](C c) { return c.network.protocol == Protocol::kBinary; }},
      {{"-Bauto"}, [](C c) { return c.network.protocol == Protocol::kAuto; }},
      {{"-I", "2m"}, [](C c) { return c.memory.item_size_max_bytes == 2u << 20; }},
      {{"-I", "512K"}, [](C c) { return c.memory.item_size_max_bytes == 512u << 10; }},
      {{"-I", "100k"}, [](C c) { return c.memory.item_size_max_bytes == 100u << 10; }},
      {{"-I", "1500k"}, [](C c) { return c.memory.item_size_max_bytes == 1500u << 10; }},
      {{"-I", "1048576"}, [](C c) { return c.memory.item_size_max_bytes == 1u << 20; }},
      {{"-I", "1g", "-m", "2048"}, [](C c) { return c.memory.item_size_max_bytes == 1u << 30; }},
      {{"-F"}, [](C c) { return !c.commands.flush_enabled; }},
      {{"-X"}, [](C c) { return !c.commands.dump_enabled; }},
      {{"-W"}, [](C c) { return !c.commands.watch_enabled; }},
      {{"-N", "2"}, [](C c) { return c.compat.napi_ids == 2; }},
      {{"--pin"}, [](C c) { return c.threads.pin; }},
      {{"--no-pin"}, [](C c) { return !c.threads.pin; }},
      {{"--placement=round_robin"}, [](C c) { return c.threads.placement == Placement::kRoundRobin; }},
      {{"--placement=least_connections"},
       [](C c) { return c.threads.placement == Placement::kLeastConnections; }},
      {{"--numa=off"}, [](C c) { return c.threads.numa == Numa::kOff; }},
      {{"-L", "--large-page-kind=explicit"},
       [](C c) { return c.memory.large_pages && c.memory.large_page_kind == LargePageKind::kExplicit; }},
      {{"--io=uring"}, [](C c) { return c.io.backend == IoBackend::kUring; }},
      {{"--io=epoll"}, [](C c) { return c.io.backend == IoBackend::kEpoll; }},
      {{"--io-level", "6.1"}, [](C c) { return c.io.level == IoLevel::k6_1; }},
      {{"--io-level=6.12"}, [](C c) { return c.io.level == IoLevel::k6_12; }},
      {{"--io-level=6.18"}, [](C c) { return c.io.level == IoLevel::k6_18; }},
      {{"--min-wait=50us"}, [](C c) { return c.io.min_wait_us == 50; }},
      {{"--min-wait", "50"}, [](C c) { return c.io.min_wait_us == 50; }},
      {{"--min-wait=100ms"}, [](C c) { return c.io.min_wait_us == 100'000; }},
      {{"--min-wait=1s"}, [](C c) { return c.io.min_wait_us == 1'000'000; }},
      {{"--min-wait=0"}, [](C c) { return c.io.min_wait_us == 0; }},
      {{"--spin=20us"}, [](C c) { return c.io.spin_us == 20; }},
      {{"--handoff=eventfd"}, [](C c) { return c.io.handoff == Handoff::kEventfd; }},
      {{"--ring-entries=256"}, [](C c) { return c.io.ring_entries == 256; }},
      {{"--receive-buffers=64"}, [](C c) { return c.io.receive_buffers == 64; }},
      {{"--receive-buffer-size=32k"}, [](C c) { return c.io.receive_buffer_bytes == 32768; }},
      {{"--output-high-water=2m"}, [](C c) { return c.network.output_high_water_bytes == 2u << 20; }},
      {{"--output-low-water=4096"}, [](C c) { return c.network.output_low_water_bytes == 4096; }},
      {{"--stop-deadline=2s"}, [](C c) { return c.network.stop_deadline_ms == 2000; }},
      {{"--stop-deadline=250"}, [](C c) { return c.network.stop_deadline_ms == 250; }},
      {{"-Y", "/etc/x"}, [](C c) { return c.auth.file == "/etc/x"; }},
      {{"--auth-file=/etc/x"}, [](C c) { return c.auth.file == "/etc/x"; }},
      {{"-S", "--sasl-file=/x"}, [](C c) { return c.auth.sasl && c.auth.sasl_file == "/x"; }},
      {{"--enable-sasl", "--sasl-file=/x"}, [](C c) { return c.auth.sasl; }},
      {{"--eviction=lru"}, [](C c) { return c.store.eviction == Eviction::kLru; }},
  };
  return kCases;
}

struct Refused {
  Words words;
  int exit_code;
  std::string place, part;  // both must be in the message
};

const std::vector<Refused>& refused() {
  static const std::vector<Refused> kCases = {
      {{"-p", "65536"}, 64, "-p", "from 1 to 65535 (0: no TCP, -1: any free port)"},
      {{"-p", "-2"}, 64, "-p", "\"-2\""},
      {{"-p", "abc"}, 64, "-p", "\"abc\" is not a whole number"},
      {{"-p", ""}, 64, "-p", "\"\" is not"},
      {{"-p=5000"}, 64, "-p", "\"=5000\""},
      {{"-p", "99999999999999999999"}, 64, "-p", "is not a whole number"},
      {{"-p", "0"}, 64, "-p 0", "-s"},
      {{"-U", "70000"}, 64, "-U", "65535"},
      {{"-p"}, 1, "-p (--port)", "needs a value"},
      {{"-l"}, 1, "-l (--listen)", "needs a value"},
      {{"-o"}, 1, "-o (--extended)", "needs a value"},
      {{"-c", "0"}, 1, "-c", "from 1"},
      {{"-t", "x"}, 1, "-t", "whole number"},
      {{"-t", "-4"}, 1, "-t", "whole number"},
      {{"-t", "1025"}, 1, "-t", "1024"},
      {{"-m", "0"}, 64, "-m", "a size in megabytes"},
      {{"-m", "8t"}, 64, "-m", "from 1m to 7t"},  // what the store can address is less than 8 TiB
      {{"-m", "-1"}, 64, "-m", "a size in megabytes"},
      {{"-m", "1.5g"}, 64, "-m", "\"1.5g\""},
      {{"-m", "64x"}, 64, "-m", "(b, k, m, g)"},
      {{"-m", "9223372036854775807"}, 64, "-m", "is not a size"},
      {{"-I", "1023"}, 64, "-I", "from 1k to 1g"},
      {{"-I", "2g", "-m", "8192"}, 64, "-I", "from 1k to 1g"},
      {{"-I", "40m"}, 64, "-I 40m", "higher than 1/2 of memory max (-m (default))"},
      {{"-f", "1"}, 1, "-f", "a number above 1"},
      {{"-f", "nan"}, 1, "-f", "a number above 1"},
      {{"-f", "inf"}, 1, "-f", "a number above 1"},
      {{"-f", "1.25x"}, 1, "-f", "a number above 1"},
      {{"-n", "0"}, 1, "-n", "from 1"},
      {{"-R", "0"}, 1, "-R", "from 1"},
      {{"-b", "-1"}, 1, "-b", "from 1"},
      {{"-B", "foo"}, 64, "-B", "auto, ascii or binary"},
      {{"-B", "asci"}, 64, "-B", "did you mean ascii?"},
      {{"-D", ""}, 1, "-D", "one character"},
      {{"-D", "ab"}, 1, "-D", "longer than 1 character"},
      {{"-a", "999"}, 1, "-a", "octal access mode from 0 to 777"},
      {{"-a", "1777"}, 1, "-a", "octal"},
      {{"-s", std::string(108, 'x')}, 1, "-s", "longer than 107"},
      {{"-u", "a\nb"}, 1, "-u", "\"a\\x0Ab\" is not plain UTF-8"},
      {{"-P", "\xff"}, 1, "-P", "UTF-8"},
      {{"-Q"}, 1, "-Q", "ringcached -h"},
      {{"-vQ"}, 1, "-Q", "ringcached -h"},
      {{"--prot=5"}, 1, "--prot", "did you mean --port?"},
      {{"--disable-cass"}, 1, "--disable-cass", "did you mean --disable-cas?"},
      {{"--zzzzzzzzz"}, 1, "--zzzzzzzzz", "ringcached -h"},
      {{"--daemon=yes"}, 1, "--daemon", "takes no value"},
      {{"--no-pin=3"}, 1, "--no-pin", "takes no value"},
      {{"extra"}, 1, "extra", "ringcached -h"},
      {{"-S"}, 1, "-S", "MEMCACHED_SASL_PWDB"},
      {{"-Y"}, 1, "--auth-file", "needs a value"},
      {{"-Y", "/x", "-U", "5"}, 64, "-Y /x, -U 5", "Cannot use UDP with ascii authentication enabled"},
      {{"-Y", "/x", "-B", "binary"}, 64, "-Y /x, -B binary", "You cannot allow the BINARY protocol"},
      {{"-Y", "/x", "-S"}, 64, "-Y /x, -S", "drop one"},
      {{"-S", "--sasl-file=/x", "-U", "5"}, 64, "-S, -U 5", "Cannot enable UDP while using binary SASL"},
      {{"-S", "--sasl-file=/x", "-B", "ascii"}, 64, "-S, -B ascii", "You cannot allow the ASCII protocol"},
      {{"-Z"}, 1, "-Z", "this build lacks TLS"},
      {{"-e", "/dev/shm/x"}, 1, "-e", "this build lacks restart"},
      {{"--min-wait=2s"},
       1,
       "--min-wait",
       "a time in microseconds or with a unit (us, ms, s, m, h, d), from 1us to 1s (0: "},
      {{"--min-wait=-1"}, 1, "--min-wait", "a time in microseconds"},
      {{"--spin=1m"}, 1, "--spin", "from 1us to 1s (0: sleep at once)"},
      {{"--stop-deadline=500us"}, 1, "--stop-deadline", "a time in milliseconds"},
      {{"--io-level=6.2"}, 1, "--io-level", "auto, 6.1, 6.12 or 6.18"},
      {{"--ring-entries=1000"}, 1, "--ring-entries 1000", "give 512 or 1024"},
      {{"--receive-buffers=100"}, 1, "--receive-buffers 100", "give 64 or 128"},
      {{"--output-low-water=2m"}, 1, "--output-low-water 2m", "high-water"},
      {{"--stop-deadline=2y"}, 1, "--stop-deadline", "(ms, s, m, h, d)"},
      {{"--config"}, 1, "--config", "needs a value"},
      {{"--config="}, 1, "--config", "needs a value"},
      {{"--config", ""}, 1, "--config", "no file name"},
      {{"--config=/a", "--config=/b"}, 1, "--config", "more than once"},
      {{"-N", "x"}, 1, "-N", "whole number"},
  };
  return kCases;
}

}  // namespace

TEST_SUITE("command_line") {
  TEST_CASE("every flag in every form sets its setting") {
    for (const Accepted& c : accepted()) {
      std::string shown;
      for (const std::string& word : c.words) shown += word + " ";
      INFO(shown);
      CHECK(c.holds(config_of(c.words)));
    }
  }

  TEST_CASE("a bad command line is one line that names the place and the remedy") {
    for (const Refused& c : refused()) {
      const Error error = error_of(c.words);
      INFO(error.text);
      CHECK(error.exit_code == c.exit_code);
      CHECK(is_one_line(error.text));
      CHECK(error.text.substr(0, 100).find(c.place) != std::string::npos);
      CHECK(contains(error.text, c.part));
    }
  }

  TEST_CASE("the defaults are memcached's where it has the setting") {
    const Config config = config_of({});
    CHECK(config.network.port == 11211);
    CHECK(config.network.udp_port == 0);
    CHECK(config.network.connections_max == 1024);
    CHECK(config.memory.limit_bytes == 67108864);
    CHECK(config.memory.item_size_max_bytes == 1048576);
    CHECK(config.network.requests_per_turn == 20);
    CHECK(config.network.refuse_fast);
    CHECK(config.config_file.empty());
    CHECK(run({}).notices.empty());
    CHECK_FALSE(run({}).show_features);
  }

  TEST_CASE("a count of zero arguments, without even a program name, is the default") {
    CHECK(std::holds_alternative<Run>(parse_command_line(0, nullptr)));
  }

  TEST_CASE("help, license and version print and win over a bad value") {
    for (const Words& words : {Words{"-h"}, {"--help"}, {"-h", "-p", "abc"}}) {
      const ParseOutcome outcome = parse(words);
      REQUIRE(std::holds_alternative<Print>(outcome));
      const std::string& text = std::get<Print>(outcome).text;
      CHECK(contains(text, "-p, --port=<num>"));
      CHECK(contains(text, "TCP port to listen on (0: no TCP; -1: any free port; default: 11211)"));
      CHECK(contains(text, "-o [no_]maxconns_fast"));
    }
    for (const Words& words : {Words{"-i"}, {"--license"}}) {
      const ParseOutcome outcome = parse(words);
      REQUIRE(std::holds_alternative<Print>(outcome));
      CHECK(contains(std::get<Print>(outcome).text, "BSD 3-Clause License"));
      CHECK(contains(std::get<Print>(outcome).text, "SUBSTITUTE GOODS"));
    }
    for (const Words& words : {Words{"-V"}, {"--version"}}) {
      const ParseOutcome outcome = parse(words);
      REQUIRE(std::holds_alternative<Print>(outcome));
      const std::string& text = std::get<Print>(outcome).text;
      CHECK(text.starts_with("ringcached "));
      CHECK(text.ends_with(" (memcached 1.6.45 compatible)\n"));
    }
  }

  TEST_CASE("no line of the help is longer than a hundred columns") {
    const std::string text = help_text();
    std::size_t begin = 0;
    while (begin < text.size()) {
      const std::size_t end = text.find('\n', begin);
      REQUIRE(end != std::string::npos);
      CHECK_MESSAGE(end - begin <= 100, text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  TEST_CASE("--features runs with the features asked for") {
    CHECK(run({"--features", "--io-level=6.1"}).show_features);
    CHECK(run({"--features", "--io-level=6.1"}).config.io.level == IoLevel::k6_1);
  }

  TEST_CASE("--check-config leaves the files to the server's part, and exits 1 whatever the error") {
    CHECK(run({"--check-config", "-p", "5000"}).check_only);
    CHECK(!run({"-p", "5000"}).check_only);
    CHECK(error_of({"--check-config", "-p", "99999"}).exit_code == 1);
    CHECK(error_of({"--check-config", "-l", "a:b"}).exit_code == 1);
  }

  TEST_CASE("a flag with effect is not spoken of") {
    CHECK(run({"-p5000", "-vv", "-m", "64", "-c", "100", "-M", "-I", "2m", "-D:", "-t2", "-b5"})
              .notices.empty());
  }

  TEST_CASE("a UDP port is served and not spoken of") {
    CHECK(run({"-U", "0"}).notices.empty());
    CHECK(run({"-U", "5001", "--udp-clients", "10.0.0.0/8"}).notices.empty());
  }

  TEST_CASE("a flag without effect is acknowledged by one line") {
    const Run result = run({"-N", "2", "-N", "3"});
    REQUIRE(result.notices.size() == 1);
    CHECK(result.notices[0] ==
          "-N has no effect: threads.placement chooses the worker, whatever queue a connection came by");
  }

  TEST_CASE("password files are absolute paths, and that of SASL may come from the environment") {
    REQUIRE(::unsetenv("MEMCACHED_SASL_PWDB") == 0);
    const std::string here = std::filesystem::current_path().string();
    CHECK(config_of({}).text_password_file.empty());
    CHECK(config_of({"-Y", "users"}).text_password_file == here + "/users");
    CHECK(config_of({"-Y", "/etc/users"}).text_password_file == "/etc/users");
    CHECK(config_of({"-Y", "/etc/users"}).sasl_password_file.empty());
    CHECK(config_of({"-S", "--sasl-file=/x"}).sasl_password_file == "/x");
    REQUIRE(::setenv("MEMCACHED_SASL_PWDB", "/from/environment", 1) == 0);
    CHECK(config_of({"-S"}).sasl_password_file == "/from/environment");
    CHECK(config_of({"-S", "--sasl-file=/x"}).sasl_password_file == "/x");
    CHECK(config_of({}).sasl_password_file.empty());
    REQUIRE(::unsetenv("MEMCACHED_SASL_PWDB") == 0);
    CHECK(run({"--sasl-file=/x"}).notices.size() == 1);
  }
}
