// The entry point libFuzzer calls, around an oracle that returns the broken rule or nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#define RINGCACHED_FUZZ_TARGET(oracle)                                                             \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {              \
    const std::string fault = oracle(std::string_view(reinterpret_cast<const char*>(data), size)); \
    if (fault.empty()) return 0;                                                                   \
    std::fprintf(stderr, "broken rule: %s\n", fault.c_str());                                      \
    std::abort();                                                                                  \
  }
