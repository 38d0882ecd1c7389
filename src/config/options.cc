// The option table. A new setting is a field in config.h and a row here; nothing else needs to know it.
#include <algorithm>
#include <array>
#include <limits>

#include "config/option.h"

namespace ringcached::config {
namespace {

constexpr std::int64_t kKiB = 1024;
constexpr std::int64_t kMiB = 1024 * kKiB;
constexpr std::int64_t kGiB = 1024 * kMiB;
// In microseconds, for Option::unit.
constexpr std::int64_t kMillisecond = 1000;
constexpr std::int64_t kSecond = 1000 * kMillisecond;
constexpr std::int64_t kU32Max = std::numeric_limits<std::uint32_t>::max();
constexpr std::int64_t kIntMax = std::numeric_limits<int>::max();

// memcached exits with these (EX_USAGE of sysexits.h) or with 1, depending on the option.
constexpr int kUsageExit = 64;

constexpr std::array<std::string_view, 3> kProtocolNames = {"auto", "ascii", "binary"};
constexpr std::array<std::string_view, 3> kBackendNames = {"auto", "uring", "epoll"};
constexpr std::array<std::string_view, 4> kLevelNames = {"auto", "6.1", "6.12", "6.18"};
constexpr std::array<std::string_view, 2> kHandoffNames = {"msg_ring", "eventfd"};
constexpr std::array<std::string_view, 2> kPlacementNames = {"least_connections", "round_robin"};
constexpr std::array<std::string_view, 2> kNumaNames = {"auto", "off"};
constexpr std::array<std::string_view, 2> kLargePageNames = {"transparent", "explicit"};
constexpr std::array<std::string_view, 2> kEvictionNames = {"s3fifo", "lru"};
constexpr std::array<std::string_view, 3> kLatencyNames = {"on", "off", "cpu"};

constexpr std::string_view kS3FifoReason = "eviction is S3-FIFO, which has no such LRU segment";
constexpr std::string_view kReaperReason = "the reaper of expired items paces itself";
constexpr std::string_view kClassesReason = "slab classes are fixed, 8 to 32 steps for each doubling";

// clang-format off
constexpr Section kSections[] = {
    {"network", "Network"},     {"threads", "Threads"},   {"io", "Kernel interface"},
    {"memory", "Memory"},       {"store", "Store"},       {"commands", "Commands"},
    {"auth", "Authentication"}, {"stats", "Statistics"},    {"process", "Process"},
    {"compat", "Accepted for memcached's users, without effect"},
};

constexpr Option kOptions[] = {
    {.key = "network.listen", .type = Type::kList, .field = field<&Config::network, &NetworkConfig::listen>(),
     .short_flag = 'l', .long_flag = "listen", .length_max = 512, .stats_name = "inter",
     .stats_style = StatsStyle::kNullIfEmpty, .exit_code = 71,
     .help = "addresses to listen on: host, host:port, [v6], [v6]:port or * for all; comma separated or repeated. "
             "Empty: loopback only (127.0.0.1 and ::1)"},
    {.key = "network.port", .type = Type::kInteger, .field = field<&Config::network, &NetworkConfig::port>(),
     .short_flag = 'p', .long_flag = "port", .min = 1, .max = 65535, .zero = "no TCP", .minus_one = "any free port",
     .stats_name = "tcpport", .exit_code = kUsageExit, .help = "TCP port to listen on"},
    {.key = "network.udp_port", .type = Type::kInteger, .field = field<&Config::network, &NetworkConfig::udp_port>(),
     .short_flag = 'U', .long_flag = "udp-port", .min = 1, .max = 65535, .zero = "no UDP",
     .minus_one = "any free port", .stats_name = "udpport", .exit_code = kUsageExit,
     .help = "UDP port to listen on; without -p the TCP port becomes the same"},
    {.key = "network.udp_clients", .type = Type::kList,
     .field = field<&Config::network, &NetworkConfig::udp_clients>(), .long_flag = "udp-clients",
     .length_max = 64,
     .help = "addresses and networks (10.0.0.0/8, fd00::/8) that get UDP replies of any size; others get no more "
             "bytes than they sent, as the source of a datagram is easily forged"},
    {.key = "network.unix_socket", .type = Type::kText,
     .field = field<&Config::network, &NetworkConfig::unix_socket>(), .short_flag = 's',
     .long_flag = "unix-socket", .length_max = 107, .stats_name = "domain_socket",
     .stats_style = StatsStyle::kNullIfEmpty,
     .help = "UNIX socket to listen on; disables TCP and UDP"},
    {.key = "network.unix_mode", .type = Type::kMode, .field = field<&Config::network, &NetworkConfig::unix_mode>(),
     .short_flag = 'a', .long_flag = "unix-mask", .max = 0777, .stats_name = "umask",
     .help = "access mode of the UNIX socket, octal"},
    {.key = "network.connections_max", .type = Type::kInteger,
     .field = field<&Config::network, &NetworkConfig::connections_max>(), .short_flag = 'c',
     .long_flag = "conn-limit", .min = 1, .max = 16'000'000, .stats_name = "maxconns",
     .help = "most client connections at a time"},
    {.key = "network.refuse_fast", .type = Type::kFlag,
     .field = field<&Config::network, &NetworkConfig::refuse_fast>(), .suboption = "maxconns_fast",
     .stats_name = "maxconns_fast",
     .help = "at the connection limit refuse with an error line; otherwise stop accepting"},
    {.key = "network.backlog", .type = Type::kInteger, .field = field<&Config::network, &NetworkConfig::backlog>(),
     .short_flag = 'b', .long_flag = "listen-backlog", .min = 1, .max = kIntMax, .stats_name = "tcp_backlog",
     .help = "length of the kernel's queue of connections not yet accepted"},
    {.key = "network.congestion_control", .type = Type::kText,
     .field = field<&Config::network, &NetworkConfig::congestion_control>(), .long_flag = "congestion-control",
     .length_max = 15,
     .help = "congestion control of TCP connections: auto (the cheapest on loopback addresses, else the system's), "
             "system, or one the kernel has, as cubic or bbr"},
    {.key = "network.requests_per_turn", .type = Type::kInteger,
     .field = field<&Config::network, &NetworkConfig::requests_per_turn>(), .short_flag = 'R',
     .long_flag = "max-reqs-per-event", .min = 1, .max = kIntMax, .stats_name = "reqs_per_event",
     .help = "most requests of one connection handled in a row while others wait"},
    {.key = "network.idle_timeout", .type = Type::kDuration,
     .field = field<&Config::network, &NetworkConfig::idle_timeout_s>(), .suboption = "idle_timeout",
     .max = kU32Max, .zero = "never", .unit = kSecond, .stats_name = "idle_timeout",
     .help = "close TCP connections idle for longer than this"},
    {.key = "network.protocol", .type = Type::kEnum, .field = field<&Config::network, &NetworkConfig::protocol>(),
     .short_flag = 'B', .long_flag = "protocol", .names = kProtocolNames, .stats_name = "binding_protocol",
     .exit_code = kUsageExit, .help = "protocol of all connections; auto: by the first byte of each. An address of network.listen can begin with "
             "proto[ascii]:, proto[binary]: or proto[negotiating]: to have its own"},
    {.key = "network.output_high_water", .type = Type::kSize,
     .field = field<&Config::network, &NetworkConfig::output_high_water_bytes>(), .long_flag = "output-high-water",
     .min = 64 * kKiB, .max = kGiB, .help = "unsent bytes of a connection at which it stops reading requests"},
    {.key = "network.output_low_water", .type = Type::kSize,
     .field = field<&Config::network, &NetworkConfig::output_low_water_bytes>(), .long_flag = "output-low-water",
     .min = kKiB, .max = kGiB, .help = "unsent bytes below which such a connection reads again"},
    {.key = "network.stop_deadline", .type = Type::kDuration,
     .field = field<&Config::network, &NetworkConfig::stop_deadline_ms>(), .long_flag = "stop-deadline",
     .max = 3600 * kSecond / kMillisecond, .unit = kMillisecond, .help = "how long an orderly stop waits for answers to be taken"},

    {.key = "threads.workers", .type = Type::kInteger, .field = field<&Config::threads, &ThreadConfig::workers>(),
     .short_flag = 't', .long_flag = "threads", .min = 1, .max = 1024,
     .zero = "one per CPU the process may use", .stats_name = "num_threads",
     .help = "worker threads"},
    {.key = "threads.pin", .type = Type::kFlag, .field = field<&Config::threads, &ThreadConfig::pin>(),
     .long_flag = "pin", .help = "bind each worker to one CPU of those the process may use"},
    {.key = "threads.numa", .type = Type::kEnum, .field = field<&Config::threads, &ThreadConfig::numa>(),
     .long_flag = "numa", .names = kNumaNames,
     .help = "place workers and memory by NUMA node; auto: if the process may use several, workers are spread over "
             "them, items lie on the node of the worker that stores them, the index is interleaved; off: as the "
             "kernel likes"},
    {.key = "threads.placement", .type = Type::kEnum,
     .field = field<&Config::threads, &ThreadConfig::placement>(), .long_flag = "placement",
     .names = kPlacementNames,
     .help = "which worker gets a new connection: the one that has the fewest, or each in turn"},

    {.key = "io.backend", .type = Type::kEnum, .field = field<&Config::io, &IoConfig::backend>(),
     .long_flag = "io", .names = kBackendNames,
     .help = "kernel interface of the engine; auto: io_uring, and epoll with a warning where io_uring is not "
             "available; uring: refuse to start there; epoll: leave io_uring alone"},
    {.key = "io.level", .type = Type::kEnum, .field = field<&Config::io, &IoConfig::level>(),
     .long_flag = "io-level", .names = kLevelNames,
     .help = "highest kernel feature tier of io_uring to use; auto: what the kernel has"},
    {.key = "io.handoff", .type = Type::kEnum, .field = field<&Config::io, &IoConfig::handoff>(),
     .long_flag = "handoff", .names = kHandoffNames,
     .help = "how an accepted connection reaches its worker"},
    {.key = "io.ring_entries", .type = Type::kInteger, .field = field<&Config::io, &IoConfig::ring_entries>(),
     .long_flag = "ring-entries", .min = 16, .max = 4096,
     .help = "submission entries of each ring, a power of two; completions are 8 times as many"},
    {.key = "io.receive_buffers", .type = Type::kInteger,
     .field = field<&Config::io, &IoConfig::receive_buffers>(), .long_flag = "receive-buffers", .min = 8,
     .max = 32768, .help = "receive buffers of each worker, a power of two"},
    {.key = "io.receive_buffer_size", .type = Type::kSize,
     .field = field<&Config::io, &IoConfig::receive_buffer_bytes>(), .long_flag = "receive-buffer-size",
     .min = 2 * kKiB, .max = kMiB, .help = "bytes of each receive buffer"},
    {.key = "io.min_wait", .type = Type::kDuration, .field = field<&Config::io, &IoConfig::min_wait_us>(),
     .long_flag = "min-wait", .min = 1, .max = kSecond, .zero = "wake up for the first",
     .help = "how long a worker gathers requests before it wakes up, under medium load: less processor time, more "
             "latency; 20us to 100us are of use. At low load it wakes up at once, as with 16 requests or one of "
             "each connection"},
    {.key = "io.spin", .type = Type::kDuration, .field = field<&Config::io, &IoConfig::spin_us>(),
     .long_flag = "spin", .min = 1, .max = kSecond, .zero = "sleep at once",
     .help = "how long a worker looks for requests before it sleeps: more processor time, less latency. A worker "
             "that gathers (io.min_wait) does not"},

    {.key = "memory.limit", .type = Type::kSize, .field = field<&Config::memory, &MemoryConfig::limit_bytes>(),
     .short_flag = 'm', .long_flag = "memory-limit", .min = kMiB, .max = 7 * 1024 * kGiB, .unit = kMiB,
     .stats_name = "maxbytes", .exit_code = kUsageExit, .help = "memory for items, in megabytes"},
    {.key = "memory.item_size_max", .type = Type::kSize,
     .field = field<&Config::memory, &MemoryConfig::item_size_max_bytes>(), .short_flag = 'I',
     .long_flag = "max-item-size", .min = kKiB, .max = kGiB, .stats_name = "item_size_max",
     .exit_code = kUsageExit, .help = "largest item, key and overhead included"},
    {.key = "memory.transparent_huge_pages", .type = Type::kFlag,
     .field = field<&Config::memory, &MemoryConfig::transparent_huge_pages>(), .long_flag = "transparent-huge-pages",
     .help = "get item memory and large indexes in huge pages as they grow, where the kernel has them; large values "
             "cost less; memory that a lowered limit gives back may stay with the process until the system is short"},
    {.key = "memory.large_pages", .type = Type::kFlag,
     .field = field<&Config::memory, &MemoryConfig::large_pages>(), .short_flag = 'L',
     .long_flag = "enable-largepages", .help = "use huge pages for item memory and the index; the limit is then fixed"},
    {.key = "memory.large_page_kind", .type = Type::kEnum,
     .field = field<&Config::memory, &MemoryConfig::large_page_kind>(), .long_flag = "large-page-kind",
     .names = kLargePageNames,
     .help = "with -L; transparent: the kernel makes huge pages where it can; explicit: item memory is taken at start "
             "from those set aside (vm.nr_hugepages, or each NUMA node's own), a node that has too few gets "
             "transparent ones and a warning"},
    {.key = "memory.lock", .type = Type::kFlag, .field = field<&Config::memory, &MemoryConfig::lock>(),
     .short_flag = 'k', .long_flag = "lock-memory", .help = "lock all memory of the process (mlockall)"},

    {.key = "store.evict_when_full", .type = Type::kFlag,
     .field = field<&Config::store, &StoreConfig::evictions_enabled>(), .short_flag = 'M',
     .long_flag = "disable-evictions", .flag_value = false, .stats_name = "evictions",
     .stats_style = StatsStyle::kOnOff,
     .help = "evict items when memory is full; otherwise answer with an error"},
    {.key = "store.eviction", .type = Type::kEnum, .field = field<&Config::store, &StoreConfig::eviction>(),
     .long_flag = "eviction", .names = kEvictionNames, .help = "eviction policy"},
    {.key = "store.cas", .type = Type::kFlag, .field = field<&Config::store, &StoreConfig::cas_enabled>(),
     .short_flag = 'C', .long_flag = "disable-cas", .flag_value = false, .stats_name = "cas_enabled",
     .help = "keep a CAS id with each item"},
    {.key = "store.hash_power", .type = Type::kInteger,
     .field = field<&Config::store, &StoreConfig::hash_power_init>(), .suboption = "hashpower", .min = 12,
     .max = 32, .zero = "chosen by the store", .stats_name = "hashpower_init",
     .help = "initial size of the index, as a power of two; it grows as needed"},
    {.key = "store.slab_reassign", .type = Type::kFlag,
     .field = field<&Config::store, &StoreConfig::slab_reassign>(), .suboption = "slab_reassign",
     .stats_name = "slab_reassign", .help = "let pages move between slab classes"},
    {.key = "store.slab_automove", .type = Type::kInteger,
     .field = field<&Config::store, &StoreConfig::slab_automove>(), .suboption = "slab_automove", .max = 2,
     .zero = "only on request", .optional_value = "1", .stats_name = "slab_automove",
     .help = "pages move between slab classes by themselves; 2 is the same as 1"},
    {.key = "store.slab_automove_ratio", .type = Type::kFloat,
     .field = field<&Config::store, &StoreConfig::slab_automove_ratio>(), .suboption = "slab_automove_ratio",
     .float_above = 0.0, .float_below = 1.0, .stats_name = "slab_automove_ratio",
     .help = "a page moves if it is worth less than this share of what it is worth to the taker"},
    {.key = "store.slab_automove_window", .type = Type::kInteger,
     .field = field<&Config::store, &StoreConfig::slab_automove_window>(), .suboption = "slab_automove_window",
     .min = 3, .max = 1800, .stats_name = "slab_automove_window",
     .help = "per cent of the memory stored anew between two looks at what a page is worth"},
    {.key = "store.lru_crawler", .type = Type::kFlag, .field = field<&Config::store, &StoreConfig::lru_crawler>(),
     .suboption = "lru_crawler", .stats_name = "lru_crawler",
     .help = "take back the memory of expired items in the background"},

    {.key = "commands.shutdown", .type = Type::kFlag,
     .field = field<&Config::commands, &CommandConfig::shutdown_enabled>(), .short_flag = 'A',
     .long_flag = "enable-shutdown", .stats_name = "shutdown_command", .help = "allow the shutdown command"},
    {.key = "commands.flush_all", .type = Type::kFlag,
     .field = field<&Config::commands, &CommandConfig::flush_enabled>(), .short_flag = 'F',
     .long_flag = "disable-flush-all", .flag_value = false, .stats_name = "flush_enabled",
     .help = "allow the flush_all command"},
    {.key = "commands.dump", .type = Type::kFlag,
     .field = field<&Config::commands, &CommandConfig::dump_enabled>(), .short_flag = 'X',
     .long_flag = "disable-dumping", .flag_value = false, .stats_name = "dump_enabled",
     .help = "allow stats cachedump, stats detail, lru_crawler metadump and mgdump"},
    {.key = "commands.watch", .type = Type::kFlag,
     .field = field<&Config::commands, &CommandConfig::watch_enabled>(), .short_flag = 'W',
     .long_flag = "disable-watch", .flag_value = false, .help = "allow the watch command"},
    {.key = "commands.watcher_logbuf_size", .type = Type::kSize,
     .field = field<&Config::commands, &CommandConfig::watcher_logbuf_bytes>(),
     .suboption = "watcher_logbuf_size", .max = kU32Max, .unit = kKiB, .stats_name = "watcher_logbuf_size",
     .help = "lines that wait for one client that watches; what does not fit is skipped"},
    {.key = "commands.worker_logbuf_size", .type = Type::kSize,
     .field = field<&Config::commands, &CommandConfig::worker_logbuf_bytes>(),
     .suboption = "worker_logbuf_size", .max = kU32Max, .unit = kKiB, .stats_name = "worker_logbuf_size",
     .help = "events that wait in one worker, while somebody watches"},

    {.key = "auth.file", .type = Type::kText, .field = field<&Config::auth, &AuthConfig::file>(), .short_flag = 'Y',
     .long_flag = "auth-file",
     .help = "file of \"user:password\" lines, at most 8: every client must log in first, with a set whose data is "
             "\"user password\". Text protocol only, no UDP. Read again on SIGHUP"},
    {.key = "auth.sasl", .type = Type::kFlag, .field = field<&Config::auth, &AuthConfig::sasl>(), .short_flag = 'S',
     .long_flag = "enable-sasl", .stats_name = "auth_enabled_sasl",
     .help = "require SASL authentication (PLAIN). Binary protocol only, no UDP"},
    {.key = "auth.sasl_file", .type = Type::kText, .field = field<&Config::auth, &AuthConfig::sasl_file>(),
     .long_flag = "sasl-file",
     .help = "file of \"user@host:password\" lines for SASL; empty: the one that the environment variable "
             "MEMCACHED_SASL_PWDB names. Read again when it changes"},

    {.key = "stats.prefix_delimiter", .type = Type::kText,
     .field = field<&Config::stats, &StatsConfig::prefix_delimiter>(), .short_flag = 'D', .length_max = 1,
     .stats_name = "stat_key_prefix",
     .help = "character that ends the prefix of a key; -D also turns stats.detail on"},
    {.key = "stats.detail", .type = Type::kFlag, .field = field<&Config::stats, &StatsConfig::detail_enabled>(),
     .stats_name = "detail_enabled", .help = "count by key prefix (stats detail)"},
    {.key = "stats.track_sizes", .type = Type::kFlag,
     .field = field<&Config::stats, &StatsConfig::track_sizes>(), .suboption = "track_sizes",
     .stats_name = "track_sizes", .help = "answer stats sizes, which looks at every item when asked"},
    {.key = "stats.latency_histograms", .type = Type::kEnum,
     .field = field<&Config::stats, &StatsConfig::latency_histograms>(), .long_flag = "latency-histograms",
     .names = kLatencyNames, .reloadable = true,
     .help = "keep the histograms of stats latency; cpu: with the CPU time of turns, at 1.5 us a turn"},

    {.key = "process.daemonize", .type = Type::kFlag,
     .field = field<&Config::process, &ProcessConfig::daemonize>(), .short_flag = 'd', .long_flag = "daemon",
     .help = "run in the background"},
    {.key = "process.user", .type = Type::kText, .field = field<&Config::process, &ProcessConfig::user>(),
     .short_flag = 'u', .long_flag = "user", .length_max = 255,
     .help = "user to run as; root must name one"},
    {.key = "process.pidfile", .type = Type::kText, .field = field<&Config::process, &ProcessConfig::pidfile>(),
     .short_flag = 'P', .long_flag = "pidfile", .help = "file to write the process id to"},
    {.key = "process.core_dumps", .type = Type::kFlag,
     .field = field<&Config::process, &ProcessConfig::core_dumps>(), .short_flag = 'r',
     .long_flag = "enable-coredumps", .help = "raise the limit of core files"},
    {.key = "process.verbosity", .type = Type::kInteger,
     .field = field<&Config::process, &ProcessConfig::verbosity>(), .short_flag = 'v', .long_flag = "verbose",
     .counted = true, .max = 3, .stats_name = "verbosity", .reloadable = true,
     .help = "log level: 0 errors and warnings, to 3 everything; -v adds one"},

    {.key = "compat.growth_factor", .type = Type::kFloat,
     .field = field<&Config::store, &StoreConfig::growth_factor>(), .short_flag = 'f',
     .long_flag = "slab-growth-factor", .float_above = 1.0, .float_below = 1024.0,
     .stats_name = "growth_factor", .inert = kClassesReason},
    {.key = "compat.chunk_size", .type = Type::kInteger,
     .field = field<&Config::store, &StoreConfig::chunk_size_bytes>(), .short_flag = 'n',
     .long_flag = "slab-min-size", .min = 1, .max = kMiB, .stats_name = "chunk_size",
     .inert = kClassesReason},
    {.key = "compat.slab_chunk_max", .type = Type::kSize,
     .field = field<&Config::store, &StoreConfig::slab_chunk_max_bytes>(), .suboption = "slab_chunk_max",
     .min = kKiB, .max = kMiB, .unit = kKiB, .stats_name = "slab_chunk_max",
     .inert = kClassesReason},
    {.key = "compat.lru_crawler_sleep", .type = Type::kInteger,
     .field = field<&Config::compat, &CompatConfig::lru_crawler_sleep_us>(), .suboption = "lru_crawler_sleep",
     .max = 1'000'000, .stats_name = "lru_crawler_sleep", .help = "microseconds", .inert = kReaperReason},
    {.key = "compat.lru_crawler_tocrawl", .type = Type::kInteger,
     .field = field<&Config::compat, &CompatConfig::lru_crawler_tocrawl>(), .suboption = "lru_crawler_tocrawl",
     .max = kU32Max, .stats_name = "lru_crawler_tocrawl", .help = "items", .inert = kReaperReason},
    {.key = "compat.tail_repair_time", .type = Type::kDuration,
     .field = field<&Config::compat, &CompatConfig::tail_repair_time_s>(), .suboption = "tail_repair_time",
     .min = 10, .max = kU32Max, .zero = "off", .unit = kSecond, .stats_name = "tail_repair_time",
     .inert = "no item is kept alive by a leaked reference"},
    {.key = "compat.lru_maintainer", .type = Type::kFlag,
     .field = field<&Config::compat, &CompatConfig::lru_maintainer>(), .suboption = "lru_maintainer",
     .stats_name = "lru_maintainer_thread", .inert = "eviction is S3-FIFO and needs no thread of its own"},
    {.key = "compat.hot_lru_pct", .type = Type::kInteger,
     .field = field<&Config::compat, &CompatConfig::hot_lru_pct>(), .suboption = "hot_lru_pct", .min = 1,
     .max = 79, .stats_name = "hot_lru_pct", .inert = kS3FifoReason},
    {.key = "compat.warm_lru_pct", .type = Type::kInteger,
     .field = field<&Config::compat, &CompatConfig::warm_lru_pct>(), .suboption = "warm_lru_pct", .min = 1,
     .max = 79, .stats_name = "warm_lru_pct", .inert = kS3FifoReason},
    {.key = "compat.hot_max_factor", .type = Type::kFloat,
     .field = field<&Config::compat, &CompatConfig::hot_max_factor>(), .suboption = "hot_max_factor",
     .stats_name = "hot_max_factor", .inert = kS3FifoReason},
    {.key = "compat.warm_max_factor", .type = Type::kFloat,
     .field = field<&Config::compat, &CompatConfig::warm_max_factor>(), .suboption = "warm_max_factor",
     .stats_name = "warm_max_factor", .inert = kS3FifoReason},
    {.key = "compat.temp_lru", .type = Type::kFlag, .field = field<&Config::compat, &CompatConfig::temp_lru>(),
     .stats_name = "temp_lru", .help = "turned on by giving temporary_ttl on the command line",
     .inert = kS3FifoReason},
    {.key = "compat.temporary_ttl", .type = Type::kDuration,
     .field = field<&Config::compat, &CompatConfig::temporary_ttl_s>(), .suboption = "temporary_ttl",
     .max = kU32Max, .unit = kSecond, .stats_name = "temporary_ttl", .inert = kS3FifoReason},
    {.key = "compat.read_buf_mem_limit", .type = Type::kSize,
     .field = field<&Config::compat, &CompatConfig::read_buf_mem_limit_bytes>(),
     .suboption = "read_buf_mem_limit", .max = 1024 * kGiB, .unit = kMiB,
     .stats_name = "read_buf_mem_limit", .inert = "receive buffers are a fixed set, see io.receive_buffers"},
    {.key = "compat.napi_ids", .type = Type::kInteger, .field = field<&Config::compat, &CompatConfig::napi_ids>(),
     .short_flag = 'N', .long_flag = "napi-ids", .max = 1024, .stats_name = "num_napi_ids",
     .inert = "threads.placement chooses the worker, whatever queue a connection came by"},
};

using Kind = Suboption::Kind;
constexpr std::string_view kTlsReason = "this build lacks TLS";
constexpr std::string_view kFlashReason = "this build has no flash tier, all items stay in memory";
constexpr std::string_view kDefaultReason = "it is the default since memcached 1.5";
constexpr std::string_view kSandboxReason = "the sandbox is left to the service manager (SystemCallFilter)";

constexpr Suboption kIgnored[] = {
    {"no_hashexpand", Kind::kAcknowledged, "the index always grows in small steps"},
    {"hash_algorithm", Kind::kAcknowledged, "keys are always hashed by XXH3 with a random seed"},
    {"slab_sizes", Kind::kAcknowledged, kClassesReason},
    {"slab_automove_freeratio", Kind::kAcknowledged, kFlashReason},
    {"inline_ascii_resp", Kind::kAcknowledged, "it has had no effect since memcached 1.5.15"},
    {"no_inline_ascii_resp", Kind::kAcknowledged, "it has had no effect since memcached 1.5.15"},
    {"modern", Kind::kAcknowledged, kDefaultReason},
    {"drop_privileges", Kind::kAcknowledged, kSandboxReason},
    {"no_drop_privileges", Kind::kAcknowledged, kSandboxReason},
    {"resp_obj_mem_limit", Kind::kAcknowledged, "deprecated, it has had no effect since memcached 1.6.10"},
    {"sock_cookie_id", Kind::kAcknowledged, "sockets are not marked"},
    {"ssl_chain_cert", Kind::kAcknowledged, kTlsReason},
    {"ssl_key", Kind::kAcknowledged, kTlsReason},
    {"ssl_verify_mode", Kind::kAcknowledged, kTlsReason},
    {"ssl_keyformat", Kind::kAcknowledged, kTlsReason},
    {"ssl_ciphers", Kind::kAcknowledged, kTlsReason},
    {"ssl_ca_cert", Kind::kAcknowledged, kTlsReason},
    {"ssl_wbuf_size", Kind::kAcknowledged, kTlsReason},
    {"ssl_session_cache", Kind::kAcknowledged, kTlsReason},
    {"ssl_kernel_tls", Kind::kAcknowledged, kTlsReason},
    {"ssl_min_version", Kind::kAcknowledged, kTlsReason},
    {"ext_path", Kind::kAcknowledged, kFlashReason},
    {"ext_page_size", Kind::kAcknowledged, kFlashReason},
    {"ext_wbuf_size", Kind::kAcknowledged, kFlashReason},
    {"ext_threads", Kind::kAcknowledged, kFlashReason},
    {"ext_io_depth", Kind::kAcknowledged, kFlashReason},
    {"ext_item_size", Kind::kAcknowledged, kFlashReason},
    {"ext_item_age", Kind::kAcknowledged, kFlashReason},
    {"ext_low_ttl", Kind::kAcknowledged, kFlashReason},
    {"ext_recache_rate", Kind::kAcknowledged, kFlashReason},
    {"ext_compact_under", Kind::kAcknowledged, kFlashReason},
    {"ext_drop_under", Kind::kAcknowledged, kFlashReason},
    {"ext_max_sleep", Kind::kAcknowledged, kFlashReason},
    {"ext_max_frag", Kind::kAcknowledged, kFlashReason},
    {"ext_drop_unread", Kind::kAcknowledged, kFlashReason},
    // A start with these would serve something else than was asked, as in a memcached built without the proxy.
    {"proxy_config", Kind::kUnknown, "this build has no proxy"},
    {"proxy_arg", Kind::kUnknown, "this build has no proxy"},
    {"proxy_uring", Kind::kUnknown, "this build has no proxy"},
    {"proxy_memprofile", Kind::kUnknown, "this build has no proxy"},
    {"relaxed_privileges", Kind::kUnknown, "it belongs to memcached's debug builds"},
};

constexpr RefusedFlag kRefused[] = {
    {'Z', "enable-ssl", false, "TLS"},
    {'e', "memory-file", true, "restart with a warm cache"},
};
// clang-format on

}  // namespace

std::span<const Option> options() {
  return kOptions;
}
std::span<const Section> sections() {
  return kSections;
}
std::span<const Suboption> ignored_suboptions() {
  return kIgnored;
}
std::span<const RefusedFlag> refused_flags() {
  return kRefused;
}

const Option* find_key(std::string_view key) {
  const auto* found = std::ranges::find(kOptions, key, &Option::key);
  return found == std::end(kOptions) ? nullptr : found;
}

const Option* find_suboption(std::string_view name) {
  if (name.empty()) return nullptr;
  const auto* found = std::ranges::find(kOptions, name, &Option::suboption);
  return found == std::end(kOptions) ? nullptr : found;
}

std::size_t index_of(const Option& option) {
  return static_cast<std::size_t>(&option - kOptions);
}

std::string flag_name(const Option& option) {
  if (option.short_flag != 0) return std::string("-") + option.short_flag;
  if (!option.long_flag.empty()) return "--" + std::string(option.long_flag);
  if (!option.suboption.empty()) return "-o " + std::string(option.suboption);
  return std::string(option.key);
}

std::string opposite_flag(const Option& option) {
  constexpr std::string_view kEnable = "enable-";
  constexpr std::string_view kDisable = "disable-";
  const std::string_view name = option.long_flag;
  if (option.type != Type::kFlag || name.empty()) return {};
  if (name.starts_with(kEnable)) return std::string(kDisable) + std::string(name.substr(kEnable.size()));
  if (name.starts_with(kDisable)) return std::string(kEnable) + std::string(name.substr(kDisable.size()));
  return "no-" + std::string(name);
}

}  // namespace ringcached::config
