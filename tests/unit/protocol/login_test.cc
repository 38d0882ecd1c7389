// The login of the text protocol, specification section 12.
#include "protocol/login.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "protocol/limits.h"
#include "protocol/reply.h"

namespace ringcached::protocol {
namespace {

using Kind = LoginLine::Kind;
using namespace std::string_literals;

LoginLine parse(std::string_view input) {
  LineScan scan;
  return parse_login_line(input, scan);
}

struct Row {
  std::string line;
  Kind kind;
  std::size_t token_bytes;
  std::string_view reply;
};

// What memcached 1.6.45 answers, but for the bare line feed, which is accepted everywhere (section 1.2).
const std::vector<Row>& rows() {
  static const std::vector<Row> kRows = {
      {"set a 0 0 10\r\n", Kind::kToken, 10, {}},
      {"set a 0 0 10\n", Kind::kToken, 10, {}},
      {"set a b c 10\r\n", Kind::kToken, 10, {}},
      {"set  a  0  0  10 \r\n", Kind::kToken, 10, {}},
      {"setfoo a 0 0 10\r\n", Kind::kToken, 10, {}},
      {"set a 0 0 10 noreply\r\n", Kind::kToken, 10, {}},
      {"set a 0 0 10 x y z\r\n", Kind::kToken, 10, {}},
      {"set a 0 0 010\r\n", Kind::kToken, 10, {}},
      {"set " + std::string(300, 'k') + " 0 0 10\r\n", Kind::kToken, 10, {}},
      {"set a 0 0 0\r\n", Kind::kToken, 0, {}},
      {"set a 0 0 16384\r\n", Kind::kToken, 16384, {}},
      {"set a 0 0 16385\r\n", Kind::kRefused, 0, reply::kAuthTooLong},
      {"set a 0 0 2147483646\r\n", Kind::kRefused, 0, reply::kAuthTooLong},
      {"set a 0 0 2147483647\r\n", Kind::kRefused, 0, reply::kAuthTooLong},
      {"set a 0 0 4294967295\r\n", Kind::kRefused, 0, reply::kAuthTooLong},
      {"set a 0 0 4294967306\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 99999999999\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 000000000010\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 x\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 10x\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 -1\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0 +10\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a 0 0\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"set a\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {" set a 0 0 10\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"SET a 0 0 10\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"add a 0 0 10\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"cas a 0 0 10 1\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"get foo\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"shutdown\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"GET / HTTP/1.1\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"\x80\x0b\0\0\0\0\0\n"s, Kind::kRefused, 0, reply::kUnauthenticated},
      {"abcde\r\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"abcdef\n", Kind::kRefused, 0, reply::kUnauthenticated},
      {"abcd\r\n", Kind::kClose, 0, {}},
      {"abcde\n", Kind::kClose, 0, {}},
      {"quit\r\n", Kind::kClose, 0, {}},
      {"set\r\n", Kind::kClose, 0, {}},
      {"mn\r\n", Kind::kClose, 0, {}},
      {"\r\n", Kind::kClose, 0, {}},
      {"\n", Kind::kClose, 0, {}},
  };
  return kRows;
}

}  // namespace

TEST_SUITE("protocol login") {
  TEST_CASE("every line") {
    for (const Row& row : rows()) {
      CAPTURE(row.line);
      const LoginLine line = parse(row.line + "set a");
      CHECK(line.kind == row.kind);
      CHECK(line.token_bytes == row.token_bytes);
      CHECK(line.reply == row.reply);
      CHECK(line.consumed == (row.kind == Kind::kClose ? 0 : row.line.size()));
      // No prefix is an answer yet.
      LineScan scan;
      for (std::size_t bytes = 0; bytes < row.line.size(); ++bytes) {
        CHECK(parse_login_line(std::string_view(row.line).substr(0, bytes), scan).kind == Kind::kNeedMore);
      }
      CHECK(parse_login_line(row.line, scan).kind == row.kind);
    }
  }

  TEST_CASE("no line may be long, not even a retrieval") {
    for (const char* start : {"set a 0 0 10 ", "get a ", "gets a ", "gat 0 a ", "x"}) {
      CAPTURE(start);
      std::string line(start);
      line.resize(kLineBytesMax, ' ');
      CHECK(parse(line).kind == Kind::kNeedMore);
      CHECK(parse(line + " ").kind == Kind::kClose);
      line.resize(3000, ' ');
      CHECK(parse(line + "\r\n").kind != Kind::kClose);
      line.resize(kCompleteLineBytesMax, ' ');
      CHECK(parse(line + "\r\n").kind == Kind::kClose);
    }
  }

  TEST_CASE("tokens") {
    struct Token {
      std::string block;
      std::string user, password;
      std::string_view reply;
    };
    const std::vector<Token> tokens = {
        {"bob secret\r\n", "bob", "secret", {}},
        {"bob pass word\r\n", "bob", "pass word", {}},
        {"bob  x\r\n", "bob", " x", {}},
        {"bob \r\n", "bob", "", {}},
        {" x\r\n", "", "x", {}},
        {" \r\n", "", "", {}},
        {"a\0b c\r\nd\r\n"s, "a\0b"s, "c\r\nd", {}},
        {"bobsecret\r\n", "", "", reply::kAuthBadToken},
        {"\r\n", "", "", reply::kAuthBadToken},
        {"bob secretXX", "", "", reply::kAuthBadTermination},
        {"bob secret\n\r", "", "", reply::kAuthBadTermination},
        {"bob secret\n\n", "", "", reply::kAuthBadTermination},
        {"bobsecretXX", "", "", reply::kAuthBadTermination},
    };
    for (const Token& expected : tokens) {
      CAPTURE(expected.block);
      const LoginToken token = parse_login_token(expected.block);
      CHECK(token.user == expected.user);
      CHECK(token.password == expected.password);
      CHECK(token.reply == expected.reply);
    }
  }
}

}  // namespace ringcached::protocol
