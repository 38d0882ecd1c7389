#include "config/listen.h"

#include "config_support.h"

using namespace ringcached;
using namespace ringcached::config;
using namespace ringcached::config::testing;

namespace {

std::string shown(const std::vector<ListenAddress>& listeners) {
  std::string text;
  for (const ListenAddress& listener : listeners) {
    if (!text.empty()) text += ' ';
    if (listener.kind == ListenAddress::Kind::kUdp) text += "udp:";
    text += listener.kind == ListenAddress::Kind::kUnix ? "unix/" + listener.path
                                                        : listener.host + "/" + std::to_string(listener.port);
  }
  return text;
}

std::string listeners_of(const Words& words) {
  return shown(config_of(words).listeners);
}

}  // namespace

TEST_SUITE("listen") {
  TEST_CASE("without -l only the loopback is served") {
    Draft draft;
    CHECK_FALSE(resolve_listeners(draft, true));
    CHECK(shown(draft.config.listeners) == "127.0.0.1/11211 ::1/11211");
    CHECK_FALSE(resolve_listeners(draft, false));
    CHECK(shown(draft.config.listeners) == "127.0.0.1/11211");
    CHECK(listeners_of({}) == (ipv6_loopback_available() ? "127.0.0.1/11211 ::1/11211" : "127.0.0.1/11211"));
  }

  TEST_CASE("-l in every form") {
    const std::vector<std::pair<Words, std::string>> cases = {
        {{"-l", "127.0.0.1"}, "127.0.0.1/11211"},
        {{"-l127.0.0.1", "-p", "5"}, "127.0.0.1/5"},
        {{"-l", "127.0.0.1:5000"}, "127.0.0.1/5000"},
        {{"-l", "127.0.0.1,127.0.0.2:7"}, "127.0.0.1/11211 127.0.0.2/7"},
        {{"-l", "127.0.0.1;127.0.0.2"}, "127.0.0.1/11211 127.0.0.2/11211"},
        {{"-l", "127.0.0.1", "-l", "127.0.0.2"}, "127.0.0.1/11211 127.0.0.2/11211"},
        {{"-l", "127.0.0.1", "--listen=127.0.0.1"}, "127.0.0.1/11211"},
        {{"-l", "127.0.0.1:5,127.0.0.1:6"}, "127.0.0.1/5 127.0.0.1/6"},
        {{"-l", "[::1]:5000"}, "::1/5000"},
        {{"-l", "[::1]"}, "::1/11211"},
        {{"-l", "::1"}, "::1/11211"},
        {{"-l", "[::1],[::2]"}, "::1/11211 ::2/11211"},
        {{"-l", "::1,[::1]"}, "::1/11211"},
        {{"-l", "fe80::1%eth0"}, "fe80::1%eth0/11211"},
        {{"-l", "*"}, "*/11211"},
        {{"-l", "*:5"}, "*/5"},
        {{"-l", "localhost:5"}, "localhost/5"},
        {{"-l", ",127.0.0.1,,"}, "127.0.0.1/11211"},
        {{"-l", "127.0.0.1", "-p", "-1"}, "127.0.0.1/0"},
        {{"-l", "notls:127.0.0.1:5"}, "127.0.0.1/5"},
        {{"-l", "proto[negotiating]:127.0.0.1"}, "127.0.0.1/11211"},
        {{"-l", "notls:proto[negotiating]:tag[ab]:[::1]:5"}, "::1/5"},
        {{"-l", "tag_ab_:127.0.0.1"}, "127.0.0.1/11211"},
        {{"-l", "127.0.0.1", "-U", "7"}, "127.0.0.1/7 udp:127.0.0.1/7"},
        {{"-l", "127.0.0.1", "-U", "7", "-p", "5"}, "127.0.0.1/5 udp:127.0.0.1/7"},
        {{"-l", "127.0.0.1", "-U", "7", "-p", "0"}, "udp:127.0.0.1/7"},
        {{"-l", "127.0.0.1", "-U", "-1"}, "127.0.0.1/0 udp:127.0.0.1/0"},
        {{"-l", "127.0.0.1,*:9", "-U", "7", "-p", "5"}, "127.0.0.1/5 udp:127.0.0.1/7 */9 udp:*/9"},
        {{"-l", "127.0.0.1:5,127.0.0.1:5", "-U", "7"}, "127.0.0.1/5 udp:127.0.0.1/5"},
        {{"-s", "/run/x", "-U", "7"}, "unix//run/x"},
        {{"-s", "/run/x"}, "unix//run/x"},
        {{"-s", "/run/x", "-l", "127.0.0.1", "-p", "5"}, "unix//run/x"},
    };
    for (const auto& [words, expected] : cases) {
      INFO(words.back());
      CHECK(listeners_of(words) == expected);
    }
    CHECK(config_of({"-s", "/run/x", "-a", "666"}).listeners[0].unix_mode == 0666);
    CHECK(run({"-l", "tag[a]:127.0.0.1,tag[b]:127.0.0.2"}).notices.size() == 1);
  }

  TEST_CASE("a bad address is named with its remedy, exit 71 as memcached") {
    const std::vector<std::pair<std::string, std::string>> cases = {
        {"127.0.0.1:abc", "Invalid port number: \"abc\"; give 1 to 65535"},
        {"127.0.0.1:99999", "Invalid port number: \"99999\""},
        {"127.0.0.1:0", "Invalid port number: \"0\""},
        {"127.0.0.1:", "Invalid port number: \"\""},
        {"127.0.0.1:-1", "Invalid port number: \"-1\""},
        {"[::1", "the bracket is not closed"},
        {"[]:5", "no address in the brackets"},
        {"[::1]5", "only :port may follow"},
        {":5", "no address before the port"},
        {"mtls:127.0.0.1", "this build lacks TLS"},
        {"btls:127.0.0.1", "this build lacks TLS"},
        {"proto[proxy]:127.0.0.1", "this build has no proxy"},
        {"proto[]:127.0.0.1",
         "unknown protocol \"\"; write proto[ascii], proto[binary] or proto[negotiating]"},
        {"proto[Binary]:127.0.0.1", "unknown protocol \"Binary\""},
        {"proto[ascii", "proto[ is not closed"},
        {"tag[]:127.0.0.1", "1 to 8 characters"},
        {"tag[123456789]:127.0.0.1", "1 to 8 characters"},
        {"tag_a:127.0.0.1", "1 to 8 characters"},
        {"notls:", "no address"},
    };
    for (const auto& [address, part] : cases) {
      const Error error = error_of({"-l", address});
      INFO(error.text);
      CHECK(error.text.starts_with("-l " + address + ": \"" + address + "\": "));
      CHECK(contains(error.text, part));
      CHECK(error.exit_code == 71);
      CHECK(is_one_line(error.text));
    }
    CHECK(contains(error_of({"-l", std::string(600, 'a')}).text, "longer than 512"));
  }

  TEST_CASE("each listener has its protocol: its prefix, or -B") {
    struct Case {
      Words words;
      std::vector<Protocol> protocols;
    };
    constexpr auto kAuto = Protocol::kAuto;
    constexpr auto kAscii = Protocol::kAscii;
    constexpr auto kBinary = Protocol::kBinary;
    const std::vector<Case> cases = {
        {{"-l", "127.0.0.1"}, {kAuto}},
        {{"-l", "127.0.0.1", "-B", "ascii"}, {kAscii}},
        {{"-l", "127.0.0.1", "-B", "binary"}, {kBinary}},
        {{"-s", "/run/x", "-B", "binary"}, {kBinary}},
        {{"-s", "/run/x"}, {kAuto}},
        {{"-l", "proto[ascii]:127.0.0.1:1,proto[binary]:127.0.0.1:2,127.0.0.1:3"}, {kAscii, kBinary, kAuto}},
        {{"-B", "ascii", "-l", "proto[negotiating]:127.0.0.1:1,proto[binary]:127.0.0.1:2,127.0.0.1:3"},
         {kAuto, kBinary, kAscii}},
        {{"-l", "notls:proto[ascii]:tag[a]:127.0.0.1"}, {kAscii}},
        {{"-Y", "/x", "-l", "proto[negotiating]:127.0.0.1:1,proto[ascii]:127.0.0.1:2,127.0.0.1:3"},
         {kAscii, kAscii, kAscii}},
        {{"-Y", "/x", "-s", "/run/x"}, {kAscii}},
        {{"-S", "--sasl-file=/x", "-l",
          "proto[negotiating]:127.0.0.1:1,proto[binary]:127.0.0.1:2,127.0.0.1:3"},
         {kBinary, kBinary, kBinary}},
        {{"-S", "--sasl-file=/x", "-B", "binary", "-s", "/run/x"}, {kBinary}},
    };
    for (const Case& c : cases) {
      INFO(c.words.back());
      std::vector<Protocol> protocols;
      for (const ListenAddress& listener : config_of(c.words).listeners) {
        protocols.push_back(static_cast<Protocol>(listener.tag));
      }
      CHECK(protocols == c.protocols);
    }
  }

  TEST_CASE("a listener past the authentication is refused, and two protocols of one address") {
    const std::vector<std::pair<Words, std::string>> cases = {
        {{"-Y", "/x", "-l", "127.0.0.1,proto[binary]:127.0.0.2"},
         "Cannot use binary protocol when ascii authentication enabled"},
        {{"-S", "--sasl-file=/x", "-l", "127.0.0.1,proto[ascii]:127.0.0.2"},
         "Cannot use ascii protocol when SASL is enabled"},
        {{"-l", "proto[binary]:127.0.0.1,proto[ascii]:127.0.0.1"}, "given with another protocol"},
    };
    for (const auto& [words, part] : cases) {
      const Error error = error_of(words);
      INFO(error.text);
      CHECK(error.text.starts_with("-l "));
      CHECK(contains(error.text, part));
      CHECK(error.exit_code == 71);
      CHECK(is_one_line(error.text));
    }
  }
}
