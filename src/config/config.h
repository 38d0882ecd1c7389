// Every setting of the server as a plain typed field with its default. The default is stated here and nowhere
// else: the option table (options.cc) reads it from a default-made Config.
//
// A Config is a value: built by parse_command_line() (command_line.h), then read only. Each module is given
// its own options struct, made from this one by the server; none takes the whole Config.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/ip_network.h"
#include "ringcached/network.h"

namespace ringcached::config {

enum class Protocol : std::uint8_t { kAuto, kAscii, kBinary };
enum class Numa : std::uint8_t { kAuto, kOff };
enum class LargePageKind : std::uint8_t { kTransparent, kExplicit };
enum class Eviction : std::uint8_t { kS3Fifo, kLru };
// kCpu: turns are measured in CPU time, too.
enum class LatencyHistograms : std::uint8_t { kOn, kOff, kCpu };

struct NetworkConfig {
  std::vector<std::string> listen;  // as written, one address each; empty: loopback
  int port = 11211;                 // 0: no TCP, -1: any free port
  int udp_port = 0;                 // 0: no UDP, -1: any free port
  std::vector<std::string> udp_clients = {"127.0.0.0/8", "::1"};  // who gets replies of any size over UDP
  std::string unix_socket;                                        // not empty: no TCP and no UDP
  unsigned unix_mode = 0700;
  int connections_max = 1024;
  bool refuse_fast = true;  // at the limit refuse with a line; else stop accepting
  int backlog = 1024;
  std::string congestion_control = kAutoCongestion;
  int requests_per_turn = 20;  // of one connection while others wait
  std::uint32_t idle_timeout_s = 0;
  Protocol protocol = Protocol::kAuto;
  std::uint64_t output_high_water_bytes = std::uint64_t{1} << 20;
  std::uint64_t output_low_water_bytes = std::uint64_t{256} << 10;
  std::uint32_t stop_deadline_ms = 5000;
};

struct IoConfig {
  IoBackend backend = IoBackend::kAuto;
  IoLevel level = IoLevel::kAuto;
  Handoff handoff = Handoff::kMessageRing;
  unsigned ring_entries = 1024;
  unsigned receive_buffers = 256;
  std::uint64_t receive_buffer_bytes = 16384;
  std::uint32_t min_wait_us = 0;  // NetworkOptions::min_wait
  std::uint32_t spin_us = 0;
};

struct ThreadConfig {
  unsigned workers = 0;  // 0: one per CPU the process may use
  bool pin = true;
  Numa numa = Numa::kAuto;
  Placement placement = Placement::kLeastConnections;
};

struct MemoryConfig {
  std::uint64_t limit_bytes = std::uint64_t{64} << 20;  // items only
  std::uint64_t item_size_max_bytes = std::uint64_t{1} << 20;
  bool transparent_huge_pages = true;  // for what item memory and index grow into
  bool large_pages = false;
  LargePageKind large_page_kind = LargePageKind::kTransparent;  // with large_pages
  bool lock = false;
};

struct StoreConfig {
  bool evictions_enabled = true;
  Eviction eviction = Eviction::kS3Fifo;
  bool cas_enabled = true;
  double growth_factor = 1.25;
  unsigned chunk_size_bytes = 48;
  std::uint64_t slab_chunk_max_bytes = std::uint64_t{512} << 10;
  unsigned hash_power_init = 0;  // 0: the store's own choice
  bool slab_reassign = true;
  unsigned slab_automove = 1;
  double slab_automove_ratio = 0.8;
  unsigned slab_automove_window = 10;
  bool lru_crawler = true;  // the background reaper of expired items
};

struct CommandConfig {
  bool shutdown_enabled = false;
  bool flush_enabled = true;
  bool dump_enabled = true;
  bool watch_enabled = true;
  std::uint64_t watcher_logbuf_bytes = std::uint64_t{256} << 10;  // lines waiting for a watcher
  std::uint64_t worker_logbuf_bytes = std::uint64_t{64} << 10;    // events waiting in a worker
};

struct AuthConfig {
  std::string file;       // users and passwords of the text protocol; empty: no authentication
  bool sasl = false;      // of the binary protocol
  std::string sasl_file;  // its users and passwords; empty: named by the environment
};

struct StatsConfig {
  std::string prefix_delimiter = ":";
  bool detail_enabled = false;
  bool track_sizes = false;
  LatencyHistograms latency_histograms = LatencyHistograms::kOn;
};

struct ProcessConfig {
  bool daemonize = false;
  std::string user;
  std::string pidfile;
  bool core_dumps = false;
  unsigned verbosity = 0;
};

// Settings of memcached that have nothing to set here. They are accepted, acknowledged with one line, and
// shown by `stats settings` as given, because tools compare that output.
struct CompatConfig {
  unsigned lru_crawler_sleep_us = 100;
  std::uint32_t lru_crawler_tocrawl = 0;
  std::uint32_t tail_repair_time_s = 0;
  bool lru_maintainer = true;
  bool lru_segmented = true;  // no option: the command lru mode
  unsigned hot_lru_pct = 20;
  unsigned warm_lru_pct = 40;
  double hot_max_factor = 0.2;
  double warm_max_factor = 2.0;
  bool temp_lru = false;  // set by giving temporary_ttl
  std::uint32_t temporary_ttl_s = 61;
  std::uint64_t read_buf_mem_limit_bytes = 0;
  unsigned napi_ids = 0;
};

struct Config {
  NetworkConfig network;
  IoConfig io;
  ThreadConfig threads;
  MemoryConfig memory;
  StoreConfig store;
  CommandConfig commands;
  AuthConfig auth;
  StatsConfig stats;
  ProcessConfig process;
  CompatConfig compat;

  std::string config_file;  // absolute path; empty: none
  // The absolute paths of the password files in use, so that they can be read again from any directory;
  // empty: none. The one of SASL is auth.sasl_file or that of the environment.
  std::string text_password_file;
  std::string sasl_password_file;
  // From network.listen, port, udp_port and unix_socket; never empty after a parse. The tag of each is its
  // Protocol.
  std::vector<ListenAddress> listeners;
  std::vector<IpNetwork> udp_clients;  // network.udp_clients, parsed
};

}  // namespace ringcached::config
