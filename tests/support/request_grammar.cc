#include "support/request_grammar.h"

#include <algorithm>
#include <vector>

namespace ringcached::testing {
namespace {

constexpr std::string_view kNumbers[] = {"0",
                                         "1",
                                         "2",
                                         "10",
                                         "30",
                                         "99",
                                         "100",
                                         "-1",
                                         "+5",
                                         "007",
                                         "",
                                         "x",
                                         "0x10",
                                         "2592000",
                                         "2592001",
                                         "2147483645",
                                         "2147483646",
                                         "4294967295",
                                         "4294967296",
                                         "18446744073709551615",
                                         "18446744073709551616"};
constexpr std::string_view kShortKeys[] = {"a", "b", "c", "key", "Zm9v", "foo", "n", "a:b"};
constexpr std::string_view kMetaLetters = "bcfhklqstuvxCDEFIJLMNOPRT";
constexpr char kBinaryMagic = static_cast<char>(0x80);
constexpr std::size_t kBinaryHeaderBytes = 24;

template <typename T>
void append_big_endian(std::string& out, T value) {
  for (std::size_t i = sizeof(T); i > 0; --i) out.push_back(static_cast<char>(value >> (8 * (i - 1)) & 0xff));
}

std::uint32_t read_u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

// Where the lines of a text stream, or the packets of a binary one, begin; the end of the stream is the last.
std::vector<std::size_t> boundaries(std::string_view stream) {
  std::vector<std::size_t> places = {0};
  if (stream.starts_with(kBinaryMagic)) {
    while (places.back() + kBinaryHeaderBytes <= stream.size()) {
      const std::size_t next = places.back() + kBinaryHeaderBytes + read_u32(stream, places.back() + 8);
      if (next >= stream.size()) break;
      places.push_back(next);
    }
  } else {
    for (std::size_t at = stream.find('\n'); at != std::string_view::npos; at = stream.find('\n', at + 1)) {
      places.push_back(at + 1);
    }
  }
  if (places.back() != stream.size()) places.push_back(stream.size());
  return places;
}

}  // namespace

std::string RequestGrammar::key() {
  switch (below(20)) {
    case 0:
      return std::string(249 + below(3), 'k');
    case 1:
      return {"k\0\x80\xff\t", 5};
    default:
      return std::string(pick(kShortKeys));
  }
}

std::string RequestGrammar::value() {
  switch (below(12)) {
    case 0:
      return {};
    case 1:
      return std::string(below(3000), 'v');
    case 2:
      return std::string(4000 + below(200), 'w');
    case 3:
      return "line\r\nEND\r\n";
    case 4:
    case 5:
    case 6:
      return std::to_string(below(1000));
    default:
      return std::string(below(40), 'x');
  }
}

std::string RequestGrammar::number() {
  return std::string(one_in(3) ? pick(kNumbers) : kNumbers[below(7)]);
}

std::string RequestGrammar::line_end() {
  return one_in(10) ? "\n" : "\r\n";
}

// The length is mostly that of the data which follows.
std::string RequestGrammar::with_data(std::string line, std::string_view length_word, std::string_view rest) {
  const std::string data = value();
  line += length_word.empty() ? std::to_string(data.size()) : std::string(length_word);
  line += rest;
  return line + line_end() + data + (one_in(20) ? "\n" : "\r\n");
}

std::string RequestGrammar::classic() {
  static constexpr std::string_view kStores[] = {"set", "add", "replace", "append", "prepend", "cas"};
  static constexpr std::string_view kReads[] = {"get ", "gets ", "gat 0 ", "gats 30 ", "gat -1 "};
  const std::string noreply = one_in(8) ? " noreply" : "";
  switch (below(8)) {
    case 0:
    case 1:
    case 2: {
      const std::string_view command = pick(kStores);
      const std::string line = std::string(command) + " " + key() + " " + (one_in(4) ? number() : "0") + " " +
                               (one_in(4) ? number() : "0") + " ";
      return with_data(line, one_in(15) ? number() : "", (command == "cas" ? " " + number() : "") + noreply);
    }
    case 3:
    case 4: {
      std::string line(pick(kReads));
      for (std::size_t keys = 1 + below(4); keys > 0; --keys) line += key() + " ";
      return line + line_end();
    }
    case 5:
      return "delete " + key() + noreply + line_end();
    case 6:
      return (one_in(2) ? "incr " : "decr ") + key() + " " + number() + noreply + line_end();
    default:
      return "touch " + key() + " " + number() + noreply + line_end();
  }
}

std::string RequestGrammar::meta_flags() {
  static constexpr std::string_view kModes[] = {"S", "E", "A", "P", "R", "I", "D", "+", "-", "x", ""};
  std::string flags;
  for (std::size_t count = below(7); count > 0; --count) {
    const char letter = kMetaLetters[below(kMetaLetters.size())];
    flags += std::string(" ") + letter;
    if (letter == 'M') {
      flags += pick(kModes);
    } else if (letter == 'O') {
      flags += std::string(1 + below(34), 'o');
    } else if (std::string_view("CDEFJNRT").find(letter) != std::string_view::npos) {
      flags += number();
    }
  }
  return flags;
}

std::string RequestGrammar::meta() {
  switch (below(8)) {
    case 0:
    case 1:
      return with_data("ms " + key() + " ", one_in(15) ? number() : "", meta_flags());
    case 2:
    case 3:
      return "mg " + key() + meta_flags() + line_end();
    case 4:
      return "md " + key() + meta_flags() + line_end();
    case 5:
      return "ma " + key() + meta_flags() + line_end();
    case 6:
      return "me " + key() + (one_in(3) ? " b" : "") + line_end();
    default:
      return "mn" + line_end();
  }
}

std::string RequestGrammar::administration() {
  static constexpr std::string_view kCommands[] = {"stats",
                                                   "stats items",
                                                   "stats slabs",
                                                   "stats settings",
                                                   "stats sizes",
                                                   "stats conns",
                                                   "stats reset",
                                                   "stats detail on",
                                                   "stats detail dump",
                                                   "stats detail off",
                                                   "flush_all",
                                                   "flush_all 10",
                                                   "flush_all -1 noreply",
                                                   "verbosity 1",
                                                   "version",
                                                   "quit",
                                                   "cache_memlimit 8",
                                                   "shutdown",
                                                   "slabs reassign 1 2",
                                                   "slabs automove 1",
                                                   "lru mode",
                                                   "lru mode flat",
                                                   "lru temp_ttl 5",
                                                   "lru_crawler enable",
                                                   "lru_crawler crawl all",
                                                   "watch",
                                                   "watch mutations",
                                                   "lru_crawler metadump all",
                                                   "lru_crawler mgdump all",
                                                   "lru tune 10 20 0.1 2.0",
                                                   "extstore item_age 1",
                                                   "refresh_certs",
                                                   "stats cachedump 1 1",
                                                   "set auth 0 0 9",
                                                   "GET / HTTP/1.1",
                                                   "",
                                                   "bogus"};
  std::string line(pick(kCommands));
  if (one_in(6)) line += " " + number();
  return line + line_end();
}

std::string RequestGrammar::binary() {
  const auto opcode = static_cast<std::uint8_t>(one_in(20) ? below(256) : below(0x25));
  std::string extras, key_bytes, data;
  const std::uint8_t base = opcode >= 0x11 && opcode <= 0x16   ? static_cast<std::uint8_t>(opcode - 0x10)
                            : opcode == 0x19 || opcode == 0x1a ? static_cast<std::uint8_t>(opcode - 0x0b)
                                                               : opcode;
  const bool keyless =
      base == 0x07 || base == 0x08 || base == 0x0a || base == 0x0b || base == 0x10 || base == 0x20;
  if (!keyless) key_bytes = opcode == 0x21 || opcode == 0x22 ? "PLAIN" : key();
  if (base >= 1 && base <= 3) {
    append_big_endian(extras, std::uint32_t(below(3)));
    append_big_endian(extras, std::uint32_t(one_in(4) ? 30 : 0));
  } else if (base == 5 || base == 6) {
    append_big_endian(extras, std::uint64_t(below(20)));
    append_big_endian(extras, std::uint64_t(below(200)));
    append_big_endian(extras, one_in(3) ? 0xffffffffU : 0U);
  } else if (opcode >= 0x1c && opcode <= 0x24 && opcode != 0x20 && opcode != 0x21 && opcode != 0x22) {
    append_big_endian(extras, std::uint32_t(one_in(3) ? 30 : 0));
  }
  if ((base >= 1 && base <= 3) || base == 0x0e || base == 0x0f || opcode == 0x21 || opcode == 0x22)
    data = value();
  std::string packet(1, kBinaryMagic);
  packet.push_back(static_cast<char>(opcode));
  append_big_endian(packet, static_cast<std::uint16_t>(key_bytes.size()));
  packet.push_back(static_cast<char>(extras.size()));
  packet.append(3, '\0');
  append_big_endian(packet, static_cast<std::uint32_t>(extras.size() + key_bytes.size() + data.size()));
  append_big_endian(packet, static_cast<std::uint32_t>(below(1 << 16)));
  append_big_endian(packet, std::uint64_t(one_in(6) ? 1 + below(5) : 0));
  return packet + extras + key_bytes + data;
}

std::string RequestGrammar::conversation(std::size_t requests_max) {
  const bool is_binary = one_in(3);
  std::string stream;
  for (std::size_t count = 1 + below(requests_max); count > 0; --count) {
    if (is_binary) {
      stream += binary();
    } else if (one_in(12)) {
      stream += administration();
    } else {
      stream += one_in(2) ? classic() : meta();
    }
  }
  return stream;
}

std::string RequestGrammar::mutate_text(std::string_view stream) {
  static constexpr std::string_view kWords[] = {"noreply", "get", "set", "mg", "ms",
                                                "0",       "1",   "S",   "v",  "T30"};
  // A word of the stream becomes another.
  std::size_t begin = stream.find_last_of(" \n", below(stream.size()));
  begin = begin == std::string_view::npos ? 0 : begin + 1;
  const std::size_t end = std::min(stream.find_first_of(" \r\n", begin), stream.size());
  std::string changed(stream.substr(0, begin));
  const std::size_t kind = below(3);
  changed += kind == 0 ? key() : kind == 1 ? number() : std::string(pick(kWords));
  return changed.append(stream.substr(end));
}

std::string RequestGrammar::mutate_binary(std::string_view stream) {
  // A byte of a header becomes a boundary.
  static constexpr unsigned char kBytes[] = {0, 1, 4, 8, 20, 21, 0x7f, 0x80, 0xfa, 0xfb, 0xff};
  const std::vector<std::size_t> places = boundaries(stream);
  std::string changed(stream);
  const std::size_t at = places[below(places.size())] + below(kBinaryHeaderBytes);
  if (at < changed.size()) changed[at] = static_cast<char>(kBytes[below(std::size(kBytes))]);
  return changed;
}

std::string RequestGrammar::mutate_once(std::string_view stream) {
  const bool is_binary = stream.starts_with(kBinaryMagic);
  const auto request = [&] {
    if (is_binary) return binary();
    const std::size_t kind = below(5);
    return kind < 2 ? classic() : kind < 4 ? meta() : administration();
  };
  if (stream.empty()) return request();
  const std::vector<std::size_t> places = boundaries(stream);
  const std::size_t at = places[below(places.size())];
  const std::size_t chosen = below(places.size() - 1);
  const std::string_view piece = stream.substr(places[chosen], places[chosen + 1] - places[chosen]);
  std::string before(stream.substr(0, at));
  const std::string_view after = stream.substr(at);
  switch (below(7)) {
    case 0:
    case 1:
      return before + request() + std::string(after);
    case 2:
      return std::string(stream.substr(0, places[chosen])).append(stream.substr(places[chosen + 1]));
    case 3:
      return before.append(piece).append(after);
    case 4:
      return std::string(stream.substr(0, stream.size() - below(stream.size())));
    default:
      return is_binary ? mutate_binary(stream) : mutate_text(stream);
  }
}

std::string RequestGrammar::mutated(std::string_view stream) {
  std::string changed = mutate_once(stream);
  while (one_in(3)) changed = mutate_once(changed);
  return changed;
}

}  // namespace ringcached::testing
