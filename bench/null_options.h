// The command line of the null server. By default it is the fastest server known on this kernel; each further
// option tries one thing io_uring offers (docs/techniques.md has the judgements).
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <string>

#include "bench/bench_ring.h"

namespace ringcached::bench {

struct NullOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 11211;
  std::string unix_path;
  std::size_t value_bytes = 32;
  int core = -1;
  unsigned threads = 1;  // a ring, and unless `posts` a listener, each
  BenchRingOptions ring;

  bool posts = false;               // one thread accepts and posts direct descriptors to the others' rings
  bool copies = false;              // replies are copied into a buffer first
  bool sends_pieces = false;        // header, value and end of a reply as pieces of one message
  std::size_t zero_copy_bytes = 0;  // sends of at least so many bytes are zero-copy; 0: none
};

void declare_options(CLI::App& app, NullOptions& options);

}  // namespace ringcached::bench
