#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/binary_dialect.h"
#include "bench/classic_dialect.h"
#include "bench/client_connection.h"
#include "bench/dialects.h"
#include "bench/histogram.h"
#include "bench/item_pattern.h"
#include "bench/key_distribution.h"
#include "bench/process_usage.h"
#include "bench/random.h"

namespace ringcached::bench {
namespace {

// Writes down what a parser tells, one letter a reply, and the values.
struct RecordingSink : ReplySink {
  void on_value(std::string_view value) override { values.emplace_back(value); }
  void on_reply(Reply reply) override { replies += "HMSNE"[static_cast<int>(reply)]; }
  std::string replies;
  std::vector<std::string> values;
};

struct Parsed {
  bool good;
  std::string replies;
  std::vector<std::string> values;
};

// `text` fed in pieces: cut at each of `cuts` (ascending).
Parsed parse_cut(std::string_view text, const std::vector<std::size_t>& cuts, bool want_values,
                 const Dialect& dialect = ClassicDialect()) {
  const std::unique_ptr<ReplyParser> parser = dialect.new_parser(want_values);
  RecordingSink sink;
  std::size_t begin = 0;
  bool good = true;
  auto feed = [&](std::size_t end) {
    // A copy of its own size, so that the address sanitizer sees a read past the piece.
    const std::vector<char> piece(text.begin() + static_cast<std::ptrdiff_t>(begin),
                                  text.begin() + static_cast<std::ptrdiff_t>(end));
    good = good && parser->feed({piece.data(), piece.size()}, sink);
    begin = end;
  };
  for (const std::size_t cut : cuts) feed(cut);
  feed(text.size());
  return {good, sink.replies, sink.values};
}

std::vector<std::size_t> every_byte(std::size_t size) {
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < size; ++i) cuts.push_back(i);
  return cuts;
}

struct RecordingObserver : AnswerObserver {
  void on_answer(ClientConnection&, const Request& request, Reply reply, bool value_good) override {
    keys.push_back(request.key);
    replies += "HMSNE"[static_cast<int>(reply)];
    good += value_good ? '+' : '-';
  }
  std::vector<std::uint32_t> keys;
  std::string replies;
  std::string good;
};

}  // namespace

TEST_SUITE("bench") {
  TEST_CASE("histogram: buckets follow one another without gap or overlap") {
    for (std::size_t i = 0; i + 1 < Histogram::Buckets::kCount; ++i) {
      REQUIRE(Histogram::Buckets::of(Histogram::Buckets::upper_end(i)) == i);
      REQUIRE(Histogram::Buckets::of(Histogram::Buckets::upper_end(i) + 1) == i + 1);
    }
  }

  TEST_CASE("histogram: quantiles agree with the sorted values within one part in 128") {
    Random random(7);
    Histogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 20000; ++i) {
      values.push_back(static_cast<std::uint64_t>(std::exp(random.unit() * 25)));
      histogram.record(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double fraction : {0.0001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      const auto rank = static_cast<std::size_t>(std::ceil(fraction * 20000)) - 1;
      const auto exact = static_cast<double>(values[rank]);
      CAPTURE(fraction);
      CHECK(static_cast<double>(histogram.quantile(fraction)) >= exact);
      CHECK(static_cast<double>(histogram.quantile(fraction)) <= exact * (1 + 1.0 / 128));
    }
    CHECK(histogram.max() == values.back());
  }

  TEST_CASE("histogram: empty, huge values, merge") {
    Histogram histogram;
    CHECK(histogram.quantile(0.5) == 0);
    CHECK(histogram.mean() == 0.0);
    histogram.record(~std::uint64_t{0});
    CHECK(histogram.max() == ~std::uint64_t{0});
    Histogram other;
    for (int i = 0; i < 99; ++i) other.record(10);
    other.merge(histogram);
    CHECK(other.count() == 100);
    CHECK(other.quantile(0.99) == 10);
    CHECK(other.quantile(1.0) > 1000000);
  }

  TEST_CASE("distribution: sequential covers every key in order and begins again") {
    KeyDistribution keys(Distribution::kSequential, 3, 1, 1);
    for (const unsigned expected : {0U, 1U, 2U, 0U, 1U}) CHECK(keys.next() == expected);
  }

  TEST_CASE("distribution: uniform stays in range and is even") {
    constexpr int kDraws = 200000;
    KeyDistribution keys(Distribution::kUniform, 20, 1, 42);
    std::vector<int> seen(20);
    for (int i = 0; i < kDraws; ++i) ++seen.at(keys.next());
    // Five standard deviations of a binomial count around 10000.
    for (const int count : seen) CHECK(std::abs(count - kDraws / 20) < 5 * 98);
  }

  TEST_CASE("distribution: zipf draws each rank as often as the formula says") {
    constexpr int kDraws = 200000;
    constexpr std::uint64_t kKeys = 1000;
    for (const double theta : {0.5, 0.99, 1.0, 1.4}) {
      CAPTURE(theta);
      double total = 0;
      for (std::uint64_t k = 1; k <= kKeys; ++k) total += std::pow(static_cast<double>(k), -theta);
      KeyDistribution keys(Distribution::kZipf, kKeys, theta, 42);
      std::vector<int> seen(kKeys);
      for (int i = 0; i < kDraws; ++i) ++seen.at(keys.next());
      for (const std::size_t k : {1U, 2U, 3U, 10U, 100U}) {
        const double expected = kDraws * std::pow(static_cast<double>(k), -theta) / total;
        CHECK(std::abs(seen[k - 1] - expected) < 5 * std::sqrt(expected));
      }
    }
  }

  TEST_CASE("distribution: one key only, the same seed the same keys") {
    KeyDistribution one(Distribution::kZipf, 1, 0.99, 3);
    for (int i = 0; i < 100; ++i) REQUIRE(one.next() == 0);
    KeyDistribution a(Distribution::kZipf, 5000, 0.99, 3);
    KeyDistribution b(Distribution::kZipf, 5000, 0.99, 3);
    for (int i = 0; i < 100; ++i) REQUIRE(a.next() == b.next());
  }

  TEST_CASE("items: a value is known again, and by no other key") {
    for (const std::size_t bytes : {1U, 19U, 20U, 32U, 5000U}) {
      CAPTURE(bytes);
      const ItemPattern items(16, bytes, bytes, 9);
      std::string value;
      items.append_value(value, 77);
      REQUIRE(value.size() == bytes);
      CHECK(items.value_matches(value, 77));
      CHECK_FALSE(items.value_matches(value, 78));
      CHECK_FALSE(items.value_matches(value + "x", 77));
    }
  }

  TEST_CASE("items: a change of any byte is found") {
    const ItemPattern items(16, 64, 64, 9);
    std::string value;
    items.append_value(value, 5);
    for (char& byte : value) {
      byte = static_cast<char>(byte ^ 1);
      REQUIRE_FALSE(items.value_matches(value, 5));
      byte = static_cast<char>(byte ^ 1);
    }
    CHECK(items.value_matches(value, 5));
  }

  TEST_CASE("items: keys have the size asked for and differ; sizes of a range are all used") {
    const ItemPattern items(20, 10, 13, 1);
    std::string first;
    std::string second;
    items.append_key(first, 0xffffffff);
    items.append_key(second, 0);
    CHECK(first == "kkkkkkkkkkkkffffffff");
    CHECK(second == "kkkkkkkkkkkk00000000");
    std::vector<int> sizes(14);
    for (std::uint32_t key = 0; key < 400; ++key) ++sizes.at(items.value_bytes(key));
    for (std::size_t bytes = 10; bytes <= 13; ++bytes) CHECK(sizes[bytes] > 50);
  }

  TEST_CASE("replies are counted the same however they are cut") {
    const std::string trap = "END\r\nSTORED\r\nVALUE x 0 3\r\n";
    const std::string text =
        "VALUE key1 0 " + std::to_string(trap.size()) + "\r\n" + trap +
        "\r\nEND\r\nEND\r\nSTORED\r\nVALUE k 7 0\r\n\r\nEND\r\nNOT_STORED\r\n"
        "ERROR\r\nSERVER_ERROR out of memory storing object\r\nCLIENT_ERROR bad\r\nEND\r\n";
    const std::vector<std::string> values = {trap, ""};
    for (const bool want_values : {false, true}) {
      std::vector<std::vector<std::size_t>> cuttings = {{}, every_byte(text.size())};
      for (const std::size_t cut : every_byte(text.size())) cuttings.push_back({cut});
      for (const auto& cuts : cuttings) {
        const Parsed parsed = parse_cut(text, cuts, want_values);
        REQUIRE(parsed.good);
        REQUIRE(parsed.replies == "HMSHNEEEM");
        REQUIRE(parsed.values == (want_values ? values : std::vector<std::string>{}));
      }
    }
  }

  TEST_CASE("meta replies, and gets of several keys") {
    const std::string meta = "VA 5\r\nEN\r\n!\r\nEN\r\nHD\r\nVA 0\r\n\r\nNS\r\nSERVER_ERROR x\r\n";
    const std::string multi =
        "VALUE a 0 1\r\n1\r\nVALUE b 0 1\r\n2\r\nEND\r\nVALUE a 0 1\r\n1\r\nEND\r\nEND\r\n";
    for (const auto& cuts : {std::vector<std::size_t>{}, std::vector<std::size_t>{7}}) {
      for (const bool want_values : {false, true}) {
        CHECK(parse_cut(meta, cuts, want_values, MetaDialect()).replies == "HMSHNE");
        CHECK(parse_cut(multi, cuts, want_values, ClassicDialect(2, 10)).replies == "HMM");
      }
    }
    CHECK(parse_cut(meta, every_byte(meta.size()), true, MetaDialect()).values ==
          std::vector<std::string>{"EN\r\n!", ""});
    for (const std::string_view bad : {"VA x\r\n", "VA\r\n", "OK\r\n", "VA 1\r\nab\r\n"}) {
      CHECK_FALSE(parse_cut(bad, {}, false, MetaDialect()).good);
    }
    const ItemPattern items(8, 1, 1, 1);
    std::string out;
    MetaDialect().append_get(out, items, 5);
    MetaDialect().append_set(out, items, 6);
    CHECK(out.starts_with("mg 00000005 v\r\nms 00000006 1\r\n"));
    out.clear();
    ClassicDialect(3, 10).append_get(out, items, 5);
    CHECK(out == "get 00000005 00000008 00000001\r\n");
  }

  // Only what differs from answer to answer; a status is followed by the length of the body.
  std::string binary_answer(char opcode, char status, const std::string& extras, const std::string& value) {
    std::string answer{'\x81', opcode, 0, 0, static_cast<char>(extras.size()), 0, 0, status, 0, 0, 0};
    answer += static_cast<char>(extras.size() + value.size());
    return answer + std::string(12, '\0') + extras + value;
  }

  TEST_CASE("binary replies are counted the same however they are cut") {
    const std::string flags(4, '\0');
    const std::string trap = binary_answer(0, 1, "", "Not found");
    const std::string text = binary_answer(0, 0, flags, trap) + trap + binary_answer(1, 0, "", "") +
                             binary_answer(0, 0, flags, "") + binary_answer(1, 3, "", "Too large.") +
                             binary_answer(0, 4, "", "x") + trap;
    const std::vector<std::string> values = {trap, ""};
    for (const bool want_values : {false, true}) {
      std::vector<std::vector<std::size_t>> cuttings = {{}, every_byte(text.size())};
      for (const std::size_t cut : every_byte(text.size())) cuttings.push_back({cut});
      for (const auto& cuts : cuttings) {
        const Parsed parsed = parse_cut(text, cuts, want_values, BinaryDialect());
        REQUIRE(parsed.good);
        REQUIRE(parsed.replies == "HMSHEEM");
        REQUIRE(parsed.values == (want_values ? values : std::vector<std::string>{}));
      }
    }
    CHECK_FALSE(parse_cut("ERROR" + std::string(24, ' '), {}, false, BinaryDialect()).good);
    CHECK_FALSE(parse_cut(binary_answer(7, 0, "", ""), {}, false, BinaryDialect()).good);
  }

  TEST_CASE("binary requests") {
    const ItemPattern items(8, 3, 3, 1);
    const BinaryDialect dialect;
    std::string out;
    dialect.append_get(out, items, 2);
    CHECK(out == std::string("\x80\0\0\x08\0\0\0\0\0\0\0\x08", 12) + std::string(12, '\0') + "00000002");
    out.clear();
    dialect.append_set(out, items, 2);
    std::string set =
        std::string("\x80\1\0\x08\x08\0\0\0\0\0\0\x13", 12) + std::string(20, '\0') + "00000002";
    items.append_value(set, 2);
    CHECK(out == set);
  }

  TEST_CASE("every dialect has a maker") {
    for (const std::string& name : dialect_names()) CHECK(make_dialect(name) != nullptr);
    CHECK(make_dialect("klingon") == nullptr);
  }

  TEST_CASE("replies that are none are refused, however cut") {
    const std::string_view bad[] = {
        "HELLO\r\n",                                 // no reply of this protocol
        "STORED\n",                                  // bare LF
        "VALUE k 0 3\r\nabcd\r\nEND\r\n",            // longer than it said
        "VALUE k 0 3\r\nabc\r\nSTORED\r\n",          // END missing
        "VALUE k 0 1\r\na\r\nVALUE k 0 1\r\na\r\n",  // two values for one get
        "VALUE k 0 x\r\n",
        "VALUE k 0 -1\r\n",
        "VALUE k 0\r\n",
        "VALUE k 0 1 9\r\n",
    };
    for (const std::string_view text : bad) {
      CAPTURE(text);
      for (const bool want_values : {false, true}) {
        CHECK_FALSE(parse_cut(text, {}, want_values).good);
        CHECK_FALSE(parse_cut(text, every_byte(text.size()), want_values).good);
      }
    }
    CHECK_FALSE(parse_cut(std::string(5000, 'x'), {}, false).good);  // an endless line
  }

  TEST_CASE("connection: answers meet their requests in order, values are checked") {
    const ItemPattern items(8, 24, 24, 1);
    const ClassicDialect dialect;
    RecordingObserver observer;
    ClientConnection connection(0, -1, dialect, items, true, observer);
    connection.issue({0, 1, true});
    connection.issue({0, 2, false});
    connection.issue({0, 3, false});
    std::string set = "set 00000001 0 0 24\r\n";
    items.append_value(set, 1);
    CHECK(connection.take_batch() == set + "\r\nget 00000002\r\nget 00000003\r\n");
    CHECK(connection.outstanding() == 3);
    std::string reply = "STORED\r\n";
    for (const char* key : {"00000002", "00000003"}) {
      reply += std::string("VALUE ") + key + " 0 24\r\n";
      items.append_value(reply, 2);  // wrong for the second
      reply += "\r\nEND\r\n";
    }
    CHECK(connection.on_received(reply));
    CHECK(observer.keys == std::vector<std::uint32_t>{1, 2, 3});
    CHECK(observer.replies == "SHH");
    CHECK(observer.good == "++-");
    CHECK(connection.outstanding() == 0);
    CHECK_FALSE(connection.on_received("END\r\n"));  // nobody asked
  }

  TEST_CASE("connection: a short send holds the next batch back until the rest is gone") {
    const ItemPattern items(8, 1, 1, 1);
    const ClassicDialect dialect;
    RecordingObserver observer;
    ClientConnection connection(0, -1, dialect, items, false, observer);
    connection.issue({0, 1, false});
    CHECK(connection.take_batch() == "get 00000001\r\n");
    CHECK(connection.on_short_send(4) == "00000001\r\n");
    connection.issue({0, 2, false});
    CHECK(connection.take_batch().empty());
    CHECK(connection.on_short_send(-EAGAIN) == "00000001\r\n");
    CHECK(connection.on_short_send(10).empty());
    CHECK(connection.take_batch() == "get 00000002\r\n");
    CHECK_FALSE(connection.failed());
    CHECK(connection.on_short_send(-ECONNRESET).empty());
    CHECK(connection.failed());
  }

  TEST_CASE("process CPU time grows with work and is 0 for no process") {
    const std::uint64_t before = process_cpu_ns(0);
    Random random(1);
    std::uint64_t sum = 0;
    while (process_cpu_ns(0) < before + 1000000) sum ^= random.next();
    CHECK(sum != 0);
    CHECK(process_cpu_ns(1 << 30) == 0);
  }
}

}  // namespace ringcached::bench
