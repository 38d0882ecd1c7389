// Random meta commands against a reference: a map with the rules of specification section 6. Every reply must
// agree to the byte, however the requests are cut.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "protocol/base64.h"
#include "support/session_harness.h"

using ringcached::testing::SessionHarness;

namespace {

struct Entry {
  std::string value;
  std::uint32_t flags = 0;
  std::optional<int> left;  // seconds to live; none: for ever
  std::uint64_t cas = 0;
  bool stale = false, token = false, binary = false;
};

struct Flag {
  char letter;
  std::string argument;
};

std::string base64(const std::string& key) {
  std::string out(ringcached::protocol::base64_encoded_bytes(key.size()), ' ');
  ringcached::protocol::encode_base64(key, out.data());
  return out;
}

// Without the long values.
std::string brief(const std::string& text) {
  std::string shown;
  for (const char byte : text) {
    if (shown.size() < 8 || shown.find_last_not_of(byte) + 8 >= shown.size()) shown += byte;
  }
  return shown;
}

// One command as it is sent, and the reference's answer to it. Writers always choose their ids (E), which
// grow, so that ids are predictable.
class Reference {
 public:
  explicit Reference(std::uint64_t seed) : random_(seed) {}

  // Appends a request, and returns its reply.
  std::string next(std::string& sent) {
    key_ = "key" + std::to_string(below(12));
    flags_.clear();
    maybe(3, 'k');
    maybe(4, 'O', "x" + std::to_string(below(1000)));
    maybe(4, 'q');
    maybe(4, 'b');
    Entry* const entry = find();
    switch (below(4)) {
      case 0:
        return store(sent, entry);
      case 1:
        return remove(sent, entry);
      case 2:
        return count(sent, entry);
      default:
        return get(sent, entry);
    }
  }
  void pass(int seconds) {
    for (auto& [key, entry] : entries_) {
      if (entry.left) *entry.left -= seconds;
    }
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  void maybe(unsigned one_in, char letter, std::string argument = "") {
    if (below(one_in) == 0) flags_.push_back({letter, std::move(argument)});
  }
  const Flag* flag(char letter) const {
    const auto at =
        std::find_if(flags_.begin(), flags_.end(), [=](const Flag& f) { return f.letter == letter; });
    return at == flags_.end() ? nullptr : &*at;
  }
  bool has(char letter) const { return flag(letter) != nullptr; }
  std::uint64_t number(char letter) const { return std::stoull(flag(letter)->argument); }
  std::optional<int> ttl(char letter) const {
    const int seconds = std::stoi(flag(letter)->argument);
    return seconds == 0 ? std::nullopt : std::optional(seconds);
  }
  static std::string shown(std::optional<int> left) { return std::to_string(left ? std::max(*left, 0) : -1); }
  std::string random_ttl() { return std::to_string(static_cast<int>(below(40)) * 5 - 5); }
  std::string random_cas(const Entry* entry) {
    switch (below(4)) {
      case 0:
        return std::to_string(below(3) == 0 ? 0 : next_cas_ + 1000);
      case 1:
        return std::to_string(1 + below(static_cast<unsigned>(next_cas_)));
      default:
        return std::to_string(entry == nullptr ? 1 : entry->cas);
    }
  }
  std::string new_cas() {
    next_cas_ += 1 + below(3);
    return std::to_string(next_cas_);
  }
  Entry* find() {
    const auto at = entries_.find(key_);
    if (at == entries_.end()) return nullptr;
    if (!at->second.left || *at->second.left > 0) return &at->second;
    entries_.erase(at);
    return nullptr;
  }
  void send(std::string& sent, const std::string& command, const std::string& block = "") {
    std::shuffle(flags_.begin(), flags_.end(), random_);
    sent += command + " " + (has('b') ? base64(key_) : key_);
    if (command == "ms") sent += " " + std::to_string(block.size());
    for (const Flag& each : flags_) sent += std::string(" ") + each.letter + each.argument;
    sent += "\r\n";
    if (command == "ms") sent += block + "\r\n";
  }
  std::string key_flag(bool binary) const { return binary ? " k" + base64(key_) + " b" : " k" + key_; }
  // k and O, and c and s where they are given.
  std::string echoes(std::optional<std::uint64_t> cas = {}, std::optional<std::size_t> size = {}) const {
    std::string text;
    for (const Flag& each : flags_) {
      if (each.letter == 'k') text += key_flag(has('b'));
      if (each.letter == 'O') text += " O" + each.argument;
      if (each.letter == 'c' && cas) text += " c" + std::to_string(*cas);
      if (each.letter == 's' && size) text += " s" + std::to_string(*size);
    }
    return text + "\r\n";
  }

  std::string get(std::string& sent, Entry* entry) {
    for (const char letter : std::string("vstcf")) maybe(2, letter);
    maybe(4, 'T', random_ttl());
    maybe(4, 'N', random_ttl());
    maybe(4, 'R', std::to_string(5 * (1 + below(30))));
    maybe(6, 'C', random_cas(entry));
    maybe(5, 'u');
    // An id that is not asked for would not be predictable.
    if (has('N')) flags_.push_back({'E', new_cas()});
    send(sent, "mg");
    const bool created = entry == nullptr && has('N');
    if (entry == nullptr && !created) return has('q') ? "" : "EN" + echoes();
    if (created) {
      entry = &(entries_[key_] = Entry{.cas = number('E'), .binary = has('b')});
    }
    const bool with_value = has('v') && (created || !has('C') || number('C') != entry->cas);
    bool won = created || (entry->stale && !entry->token);
    std::string text;
    for (const Flag& each : flags_) {
      switch (each.letter) {
        case 'T':
          entry->left = ttl('T');
          break;
        case 'N':
          if (created) entry->left = ttl('N');
          break;
        case 'R':
          won |= !created && !entry->token && entry->left && *entry->left < static_cast<int>(number('R'));
          break;
        case 's':
          text += " s" + std::to_string(entry->value.size());
          break;
        case 't':
          text += " t" + shown(entry->left);
          break;
        case 'c':
          text += " c" + std::to_string(entry->cas);
          break;
        case 'f':
          text += " f" + std::to_string(entry->flags);
          break;
        case 'k':
          text += key_flag(entry->binary);
          break;
        case 'O':
          text += " O" + each.argument;
          break;
        default:
          break;
      }
    }
    if (entry->token) text += " Z";
    if (entry->stale) text += " X";
    if (won) text += " W";
    entry->token |= won;
    const std::string value = entry->value;
    if (!with_value) return "HD" + text + "\r\n";
    return "VA " + std::to_string(value.size()) + text + "\r\n" + value + "\r\n";
  }

  std::string store(std::string& sent, Entry* entry) {
    flags_.push_back({'E', new_cas()});
    const std::string modes = "SSEAPR";
    const char mode = modes[below(6)];
    if (mode != 'S' || below(2) == 0) flags_.push_back({'M', std::string(1, mode)});
    maybe(2, 'T', random_ttl());
    maybe(2, 'F', std::to_string(below(3)));
    maybe(3, 'C', random_cas(entry));
    maybe(4, 'I');
    maybe(3, 'N', random_ttl());
    maybe(3, 'c');
    maybe(3, 's');
    const std::string block = below(3) == 0 ? std::to_string(below(200))
                                            : std::string(below(6000), static_cast<char>('a' + below(20)));
    send(sent, "ms", block);
    const Entry fresh{.value = block,
                      .flags = static_cast<std::uint32_t>(has('F') ? number('F') : 0),
                      .left = has('T') ? ttl('T') : std::nullopt,
                      .cas = number('E'),
                      .binary = has('b')};
    const auto fails = [&](const std::string& code) { return code + echoes(0, block.size()); };
    const bool joins = mode == 'A' || mode == 'P';
    Entry result = fresh;
    if (mode == 'E' && entry != nullptr) return fails("NS");
    if (joins && entry == nullptr) {
      if (!has('N')) return fails("NS");
      result.left = ttl('N');
    } else if (joins) {
      if (has('C') && number('C') != 0 && number('C') != entry->cas) return fails("EX");
      result = *entry;
      result.value = mode == 'A' ? entry->value + block : block + entry->value;
      result.cas = fresh.cas;
      result.stale = result.token = false;
    } else if (mode != 'E' && has('C')) {
      if (entry == nullptr) return fails("NF");
      const bool older = has('I') && number('C') != 0 && number('C') < entry->cas;
      if (number('C') != entry->cas && !older) return fails("EX");
      if (number('C') != entry->cas) {
        result.left = entry->left;
        result.stale = true;
        result.token = entry->token;
      }
    } else if (mode == 'R' && entry == nullptr) {
      return fails("NS");
    }
    entries_[key_] = result;
    return has('q') ? "" : "HD" + echoes(result.cas, result.value.size());
  }

  std::string remove(std::string& sent, Entry* entry) {
    flags_.push_back({'E', new_cas()});
    maybe(3, 'C', random_cas(entry));
    maybe(2, 'I');
    maybe(3, 'x');
    maybe(2, 'T', random_ttl());
    maybe(3, 'F', "5");
    send(sent, "md");
    if (entry == nullptr) return "NF" + echoes();
    if (has('C') && (number('C') == 0 || number('C') != entry->cas)) return "EX" + echoes();
    if (has('x')) {
      *entry = Entry{.flags = has('F') ? 5U : 0U,
                     .left = has('T') ? ttl('T') : std::nullopt,
                     .cas = number('E'),
                     .stale = has('I'),
                     .binary = entry->binary};
    } else if (has('I')) {
      entry->stale = true;
      entry->token = false;
      entry->cas = number('E');
      if (has('T')) entry->left = ttl('T');
    } else {
      entries_.erase(key_);
    }
    return has('q') ? "" : "HD" + echoes();
  }

  static std::optional<std::uint64_t> digits(const std::string& text) {
    const std::size_t end = text.find_first_not_of("0123456789");
    const bool padded = end != std::string::npos && end != 0 && text[end] == ' ';
    if (text.empty() || (end != std::string::npos && !padded)) return std::nullopt;
    return std::stoull(text);
  }

  std::string count(std::string& sent, Entry* entry) {
    flags_.push_back({'E', new_cas()});
    maybe(2, 'N', random_ttl());
    maybe(2, 'J', std::to_string(below(120)));
    maybe(2, 'D', std::to_string(below(120)));
    maybe(2, 'M', std::string(1, "ID+-"[below(4)]));
    maybe(3, 'T', random_ttl());
    maybe(5, 'C', random_cas(entry));
    for (const char letter : std::string("vtc")) maybe(2, letter);
    send(sent, "ma");
    std::uint64_t value = has('J') ? number('J') : 0;
    const bool created = entry == nullptr;
    if (created) {
      if (!has('N')) return "NF" + echoes();
      entry =
          &(entries_[key_] = Entry{.value = std::to_string(value), .cas = number('E'), .binary = has('b')});
    } else {
      if (has('C') && number('C') != 0 && number('C') != entry->cas) return "EX" + echoes();
      const auto old = digits(entry->value);
      if (!old) return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
      const std::uint64_t delta = has('D') ? number('D') : 1;
      const bool down = has('M') && (flag('M')->argument == "D" || flag('M')->argument == "-");
      value = down ? *old - std::min(*old, delta) : *old + delta;
      std::string text = std::to_string(value);
      // Padded where it can be done in place, replaced otherwise, as what follows a number may be long.
      const bool in_place =
          text.size() <= entry->value.size() && entry->value.size() < ringcached::store::kPinBytesMin;
      if (in_place) {
        text.resize(entry->value.size(), ' ');
      } else {
        entry->stale = entry->token = false;
      }
      entry->value = text;
      entry->cas = number('E');
    }
    std::string text;
    for (const Flag& each : flags_) {
      if (each.letter == 'T') entry->left = ttl('T');
      if (each.letter == 'N' && created) entry->left = ttl('N');
      if (each.letter == 't') text += " t" + shown(entry->left);
      if (each.letter == 'c') text += " c" + std::to_string(entry->cas);
      if (each.letter == 'k') text += key_flag(has('b'));
      if (each.letter == 'O') text += " O" + each.argument;
    }
    if (has('q')) return "";
    const std::string shown_value = std::to_string(value);
    if (!has('v')) return "HD" + text + "\r\n";
    return "VA " + std::to_string(shown_value.size()) + text + "\r\n" + shown_value + "\r\n";
  }

  std::mt19937_64 random_;
  std::map<std::string, Entry> entries_;
  std::string key_;
  std::vector<Flag> flags_;
  std::uint64_t next_cas_ = 100;
};

void run(std::uint64_t seed, unsigned pipelines) {
  CAPTURE(seed);
  std::mt19937_64 random(seed ^ 0x9e3779b97f4a7c15);
  Reference reference(seed);
  SessionHarness harness;
  for (unsigned i = 0; i < pipelines; ++i) {
    if (random() % 8 == 0) {
      const int seconds = static_cast<int>(1 + random() % 20);
      reference.pass(seconds);
      harness.clock().advance_seconds(static_cast<std::uint64_t>(seconds));
      harness.cache_clock().tick();
    }
    std::string sent;
    std::string expected;
    for (std::uint64_t requests = 1 + random() % 30; requests > 0; --requests)
      expected += reference.next(sent);
    const std::size_t piece = random() % 3 == 0 ? 1 + random() % 100 : ~std::size_t{0};
    const std::string received = harness.feed(sent, piece);
    if (received == expected) continue;
    // The first difference, with what is around it.
    const auto [at, other] =
        std::mismatch(received.begin(), received.end(), expected.begin(), expected.end());
    const auto from = static_cast<std::size_t>(std::max<std::ptrdiff_t>(at - received.begin() - 100, 0));
    FAIL("sent:\n"
         << brief(sent) << "received: ... " << brief(received.substr(from, 300)) << "\nexpected: ... "
         << brief(expected.substr(from, 300)));
  }
}

}  // namespace

TEST_SUITE("meta model") {
  TEST_CASE("random commands agree with the reference") {
    std::random_device source;
    for (unsigned i = 0; i < 20; ++i) run(source(), 300);
  }
}
