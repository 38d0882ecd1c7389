// Random requests of all dialects, mostly valid, and changes to streams of them that keep their structure.
// For the fuzz target of whole connections, which libFuzzer steers, and for random tests, which a seed
// steers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>

namespace ringcached::testing {

class RequestGrammar {
 public:
  explicit RequestGrammar(std::uint64_t seed) : random_(seed) {}

  std::string classic();
  std::string meta();
  std::string administration();
  std::string binary();
  // A whole conversation in one dialect, at most `requests_max` requests.
  std::string conversation(std::size_t requests_max);
  // One or a few changes of `stream`: requests are inserted, removed, repeated, exchanged; a word, a number
  // or a field of a binary header becomes another; the end is cut off.
  std::string mutated(std::string_view stream);

 private:
  std::size_t below(std::size_t bound) { return random_() % bound; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <std::size_t kCount>
  std::string_view pick(const std::string_view (&from)[kCount]) {
    return from[below(kCount)];
  }
  std::string key();
  std::string value();
  std::string number();
  std::string line_end();
  std::string meta_flags();
  std::string with_data(std::string line, std::string_view length_word, std::string_view rest);
  std::string mutate_once(std::string_view stream);
  std::string mutate_text(std::string_view stream);
  std::string mutate_binary(std::string_view stream);

  std::mt19937_64 random_;
};

}  // namespace ringcached::testing
