// A Config under construction, which remembers where each setting came from so that an error can name the
// place.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/option.h"

namespace ringcached::config {

// Why there is no Config: one line without newline, naming the place and the remedy, and the process's exit
// code.
struct Failure {
  std::string text;
  int exit_code = 1;
};

class Draft {
 public:
  Config config;

  // `origin` is the place as a person finds it: "-p 5000", "ringcached.conf:3:8". A later set wins.
  void set(const Option& option, const Value& value, std::string origin) {
    option.field.set(config, value);
    origins_[option.key] = std::move(origin);
  }
  bool is_set(std::string_view key) const { return origins_.contains(key); }
  // Of a setting at its default: the flag that would change it.
  std::string origin(std::string_view key) const {
    const auto found = origins_.find(key);
    return found != origins_.end() ? found->second : flag_name(*find_key(key)) + " (default)";
  }

  // At most one notice per `subject`.
  void acknowledge(std::string_view subject, std::string_view reason) {
    if (acknowledged_.emplace(subject).second)
      note(std::string(subject) + " has no effect: " + std::string(reason));
  }
  // `text` is one line.
  void note(std::string text) { notices_.push_back(std::move(text)); }
  const std::vector<std::string>& notices() const { return notices_; }

 private:
  std::map<std::string_view, std::string> origins_;  // by Option::key
  std::set<std::string, std::less<>> acknowledged_;
  std::vector<std::string> notices_;
};

}  // namespace ringcached::config
