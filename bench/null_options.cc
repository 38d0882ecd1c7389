#include "bench/null_options.h"

namespace ringcached::bench {
namespace {

constexpr unsigned kDirectDescriptors = 16384;

void declare_accepting(CLI::App& app, NullOptions& options) {
  RingTechniques& ring = options.ring.techniques;
  auto* direct = app.add_flag_callback(
      "--direct", [&ring] { ring.direct_descriptors = kDirectDescriptors; },
      "accept into direct descriptors");
  auto* install = app.add_flag_callback(
      "--direct-install",
      [&ring] {
        ring.direct_descriptors = kDirectDescriptors;
        ring.installs = true;
      },
      "accept ordinary descriptors and install them as direct ones");
  auto* post = app.add_flag_callback(
      "--direct-post",
      [&ring, &options] {
        ring.direct_descriptors = kDirectDescriptors;
        options.posts = true;
      },
      "one thread accepts direct descriptors and posts them to the others' rings");
  direct->excludes(install)->excludes(post);
  install->excludes(post);
}

void declare_receiving(CLI::App& app, NullOptions& options) {
  RingTechniques& ring = options.ring.techniques;
  app.add_option("--buffers", options.ring.buffers, "receive buffers, a power of two")->capture_default_str();
  app.add_option("--buffer-bytes", options.ring.buffer_bytes, "bytes of each")->capture_default_str();
  auto* bundle = app.add_flag("--bundle", ring.bundles, "a receive may fill several buffers (Linux 6.10)");
  auto* incremental = app.add_flag("--incremental", ring.incremental_buffers,
                                   "a buffer may take several receives (Linux 6.12)");
  bundle->excludes(incremental);
  app.add_flag("--huge-buffers", ring.huge_buffers, "receive buffers in huge pages");
}

void declare_sending(CLI::App& app, NullOptions& options) {
  app.add_flag("--send-completions", options.ring.techniques.loud_sends,
               "every send completes, and the wait counts it");
  auto* copy = app.add_flag("--copy", options.copies, "copy replies into a buffer of the connection first");
  auto* pieces = app.add_flag("--sendmsg", options.sends_pieces,
                              "header, value and end of each reply as pieces of one message");
  auto* zero_copy = app.add_option("--zero-copy", options.zero_copy_bytes,
                                   "zero-copy sends of replies that have so many bytes together");
  copy->excludes(pieces)->excludes(zero_copy);
  pieces->excludes(zero_copy);
}

void declare_waiting(CLI::App& app, NullOptions& options) {
  RingTechniques& ring = options.ring.techniques;
  app.add_flag_callback(
      "--no-registered-ring", [&ring] { ring.registered_ring = false; },
      "enter by the ring's ordinary descriptor");
  app.add_option("--min-wait", ring.min_wait_us, "microseconds to collect completions for (Linux 6.12)");
  app.add_option("--min-wait-completions", ring.min_wait_completions, "so many end that wait at once")
      ->capture_default_str();
  app.add_option("--spin", ring.spin_us, "microseconds to look for completions before sleeping");
  app.add_option("--napi", ring.napi_us, "microseconds to poll the network interface (Linux 6.9)");
}

}  // namespace

void declare_options(CLI::App& app, NullOptions& options) {
  app.add_option("-l,--listen", options.address, "IPv4 address")->capture_default_str();
  app.add_option("-p,--port", options.port, "TCP port")->capture_default_str();
  app.add_option("-s,--unix", options.unix_path, "UNIX socket path, instead of TCP");
  app.add_option("--value-bytes", options.value_bytes, "size of the value every get returns")
      ->capture_default_str();
  app.add_option("--core", options.core, "core to be pinned to; -1 for any")->capture_default_str();
  app.add_option("-t,--threads", options.threads, "a ring and a listener each")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  declare_accepting(app, options);
  declare_receiving(app, options);
  declare_sending(app, options);
  declare_waiting(app, options);
}

}  // namespace ringcached::bench
