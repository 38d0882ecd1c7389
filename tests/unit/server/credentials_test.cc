#include "server/credentials.h"

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

using namespace ringcached;
using namespace ringcached::server;
using namespace std::string_literals;

namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

std::string entries(unsigned count) {
  std::string text;
  for (unsigned i = 0; i < count; ++i) text += "u" + std::to_string(i) + "@h:p\n";
  return text;
}

}  // namespace

TEST_SUITE("credentials") {
  TEST_CASE("only exact pairs match") {
    Credentials credentials;
    credentials.add("bob", "secret");
    credentials.add("ann", "");
    credentials.add("", "nobody");
    credentials.add(std::string(255, 'u'), std::string(255, 'p'));
    credentials.add("bob", "other");
    const Pairs right = {{"bob", "secret"},
                         {"bob", "other"},
                         {"ann", ""},
                         {"", "nobody"},
                         {std::string(255, 'u'), std::string(255, 'p')}};
    const Pairs wrong = {{"bob", "secre"},
                         {"bob", "secrets"},
                         {"bob", "Secret"},
                         {"bo", "secret"},
                         {"bobb", "secret"},
                         {"", ""},
                         {"ann", " "},
                         {"ann", "\0"s},
                         {"bob", "secret\0"s},
                         {"bob\0"s, "secret"},
                         {"secret", "bob"},
                         {"ann", "secret"},
                         {"", "secret"},
                         {std::string(255, 'u'), std::string(254, 'p')},
                         {std::string(255, 'u'), std::string(256, 'p')},
                         {std::string(256, 'u'), std::string(255, 'p')},
                         {std::string(255, 'u'), std::string(20000, 'p')}};
    for (const auto& [user, password] : right) CHECK(credentials.match(user, password));
    for (const auto& [user, password] : wrong) CHECK_FALSE(credentials.match(user, password));
    CHECK_FALSE(Credentials().match("", ""));
  }

  TEST_CASE("the file of the text protocol") {
    const std::vector<std::pair<std::string, Pairs>> files = {
        {"bob:secret\n", {{"bob", "secret"}}},
        {"bob:secret", {{"bob", "secret"}}},
        {"a:b\r\nc:d\r\n", {{"a", "b"}, {"c", "d"}}},
        {"a:b\r\nc:d\r", {{"a", "b"}, {"c", "d"}}},
        {"a:b:c\n", {{"a", "b:c"}}},
        {"a:pass word \n", {{"a", "pass word "}}},
        {"a:\n:b\n:\n", {{"a", ""}, {"", "b"}, {"", ""}}},
        {"u:" + std::string(253, 'p') + "\nv:x\n", {{"u", std::string(253, 'p')}, {"v", "x"}}},
    };
    for (const auto& [text, pairs] : files) {
      CAPTURE(text);
      const auto credentials = parse_text_credentials(text, "users");
      REQUIRE(credentials.is_ok());
      CHECK(credentials.value().size() == pairs.size());
      for (const auto& [user, password] : pairs) CHECK(credentials.value().match(user, password));
    }
    CHECK(parse_text_credentials(entries(8), "users").is_ok());
  }

  TEST_CASE("a malformed file names the line, as memcached says it") {
    const std::vector<std::pair<std::string, std::string>> files = {
        {"", "users:1: the file is empty"},
        {"\n", "users:1: the line is empty"},
        {"a:b\n\n", "users:2: the line is empty"},
        {"a:b\n\nc:d\n", "users:2: the line is empty"},
        {"a:b\nbob\n", "users:2: no colon"},
        {"# users\na:b\n", "users:1: no colon"},
        {"a:b\0c\n"s, "users:1: a NUL byte"},
        {"a:b\n\0"s, "users:2: a NUL byte"},
        {"u:" + std::string(254, 'p') + "\n", "users:1: longer than 255 bytes"},
        {std::string(100000, 'x'), "users:1: longer than 255 bytes"},
    };
    for (const auto& [text, part] : files) {
      const auto credentials = parse_text_credentials(text, "users");
      REQUIRE_FALSE(credentials.is_ok());
      CHECK(credentials.status().message() ==
            "Authfile [users] has a malformed entry. Should be 'user:password' (" + part +
                "); correct the file");
    }
    const auto many = parse_text_credentials(entries(9), "users");
    REQUIRE_FALSE(many.is_ok());
    CHECK(many.status().message() == "Authfile [users] has more than 8 entries (users:9); remove some");
  }

  TEST_CASE("the file of SASL passes over what is no entry") {
    std::vector<std::string> ignored;
    const auto credentials = parse_sasl_credentials(
        "# users\n\nbob@host:secret:mech\r\nann@:\nplain:x\nno colon\nNUL@h:\0\n@:x"s, "pwdb", ignored);
    REQUIRE(credentials.is_ok());
    CHECK(credentials.value().size() == 3);
    CHECK(credentials.value().match("bob@host", "secret"));
    CHECK(credentials.value().match("ann@", ""));
    CHECK(credentials.value().match("@", "x"));
    CHECK_FALSE(credentials.value().match("bob@host", "secret:mech"));
    CHECK_FALSE(credentials.value().match("plain", "x"));
    CHECK(ignored ==
          std::vector<std::string>{"pwdb:5: ignored, no 'user@host:password' entry: no host behind the user",
                                   "pwdb:6: ignored, no 'user@host:password' entry: no colon",
                                   "pwdb:7: ignored, no 'user@host:password' entry: a NUL byte"});
    CHECK(parse_sasl_credentials("", "pwdb", ignored).is_ok());
    CHECK(parse_sasl_credentials(entries(kSaslCredentialsMax), "pwdb", ignored).is_ok());
    const auto many = parse_sasl_credentials(entries(kSaslCredentialsMax + 1), "pwdb", ignored);
    CHECK(many.status().message().starts_with("pwdb:1025: more than 1024 entries"));
  }
}
