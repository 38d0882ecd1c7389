// The SASL exchange, specification section 8.6, and what went wrong in it elsewhere (CVE-2013-7239, a Step
// before an Auth).
#include "server/sasl.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

using namespace ringcached::server;
using namespace std::string_literals;

namespace {

const std::string kGood = "\0bob\0secret"s;
const std::string kWrong = "\0bob\0other"s;

bool check(std::string_view user, std::string_view password) {
  return user == "bob" && password == "secret";
}
bool never(std::string_view, std::string_view) {
  FAIL("the password was asked for");
  return true;
}

}  // namespace

TEST_SUITE("sasl") {
  TEST_CASE("messages of PLAIN") {
    const std::vector<std::string> right = {kGood, "bob\0bob\0secret"s};
    for (const std::string& message : right) {
      SaslExchange exchange;
      CHECK(exchange.auth("PLAIN", message, check) == SaslOutcome::kAuthenticated);
      CHECK(exchange.authenticated());
    }
    const std::vector<std::string> wrong = {
        kWrong,          "bob\0secret"s,    "bob",
        "\0"s,           "\0\0"s,           "\0\0secret"s,
        "\0bob\0"s,      "\0bob"s,          "ann\0bob\0secret"s,
        kGood + "\0"s,   kGood + "\0x"s,    " " + kGood,
        "\0bob\0secre"s, "\0bob\0secrets"s, std::string(kSaslMessageBytesMax, '\0'),
    };
    for (const std::string& message : wrong) {
      SaslExchange exchange;
      CHECK(exchange.auth("PLAIN", message, check) == SaslOutcome::kFailed);
      CHECK_FALSE(exchange.authenticated());
    }
  }

  TEST_CASE("an empty Auth is continued by one Step") {
    SaslExchange exchange;
    CHECK(exchange.auth("PLAIN", "", never) == SaslOutcome::kContinue);
    CHECK_FALSE(exchange.authenticated());
    CHECK(exchange.step("PLAIN", kGood, check) == SaslOutcome::kAuthenticated);
    CHECK(exchange.authenticated());

    CHECK(exchange.auth("PLAIN", "", never) == SaslOutcome::kContinue);
    CHECK_FALSE(exchange.authenticated());
    CHECK(exchange.step("PLAIN", kWrong, check) == SaslOutcome::kFailed);
    // The exchange is over: no second guess in it.
    CHECK(exchange.step("PLAIN", kGood, never) == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());

    CHECK(exchange.auth("PLAIN", "", never) == SaslOutcome::kContinue);
    CHECK(exchange.step("PLAIN", "", never) == SaslOutcome::kFailed);
    CHECK(exchange.auth("PLAIN", "", never) == SaslOutcome::kContinue);
    CHECK(exchange.step("LOGIN", kGood, never) == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());
  }

  TEST_CASE("a Step without an Auth fails, also on an authenticated connection") {
    SaslExchange exchange;
    CHECK(exchange.step("PLAIN", kGood, never) == SaslOutcome::kFailed);
    CHECK(exchange.step("PLAIN", "", never) == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());
    REQUIRE(exchange.auth("PLAIN", kGood, check) == SaslOutcome::kAuthenticated);
    CHECK(exchange.step("PLAIN", kGood, never) == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());
  }

  TEST_CASE("no attempt leaves an earlier authentication behind") {
    for (const std::string_view mechanism : {"PLAIN", "CRAM-MD5", "plain", ""}) {
      for (const std::string& message : {kWrong, "garbage"s}) {
        SaslExchange exchange;
        REQUIRE(exchange.auth("PLAIN", kGood, check) == SaslOutcome::kAuthenticated);
        CHECK(exchange.auth(mechanism, message, check) == SaslOutcome::kFailed);
        CHECK_FALSE(exchange.authenticated());
      }
    }
    SaslExchange exchange;
    // An invalid request, then one with wrong credentials.
    CHECK(exchange.auth("NONE", "", never) == SaslOutcome::kFailed);
    CHECK(exchange.auth("PLAIN", kWrong, check) == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());
    REQUIRE(exchange.auth("PLAIN", kGood, check) == SaslOutcome::kAuthenticated);
    CHECK(exchange.fail() == SaslOutcome::kFailed);
    CHECK_FALSE(exchange.authenticated());
  }
}
