#include "server/authentication.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>

#include "support/temporary_directory.h"

using namespace ringcached;
using ringcached::server::Authentication;
using ringcached::testing::TemporaryDirectory;

TEST_SUITE("authentication") {
  TEST_CASE("a good new file is taken, a bad one is not") {
    const TemporaryDirectory directory;
    Log log(-1);
    config::Config config;
    config.text_password_file = directory.write("users", "bob:old\n");
    auto opened = Authentication::open(config, log);
    REQUIRE(opened.is_ok());
    Authentication& authentication = opened.value();
    authentication.set_workers(2);
    CHECK(authentication.required_by_text());
    CHECK_FALSE(authentication.required_by_binary());
    CHECK(authentication.accepts_text(0, "bob", "old"));
    CHECK_FALSE(authentication.accepts_sasl(0, "bob", "old"));

    directory.write("users", "bob:new\n");
    CHECK(authentication.accepts_text(1, "bob", "old"));
    authentication.reload();
    CHECK(authentication.accepts_text(0, "bob", "new"));
    CHECK_FALSE(authentication.accepts_text(1, "bob", "old"));

    for (const char* bad : {"", "bob\n", "bob:x\n\n"}) {
      directory.write("users", bad);
      authentication.reload();
      CHECK(authentication.accepts_text(0, "bob", "new"));
    }
    std::filesystem::remove(config.text_password_file);
    authentication.reload();
    CHECK(authentication.accepts_text(1, "bob", "new"));
    std::filesystem::create_directory(config.text_password_file);
    authentication.reload();
    CHECK(authentication.accepts_text(1, "bob", "new"));
  }

  TEST_CASE("the file of SASL is taken when it has changed; a user without a host is one of this host") {
    const TemporaryDirectory directory;
    Log log(-1);
    std::array<char, 256> host{};
    REQUIRE(::gethostname(host.data(), host.size() - 1) == 0);
    const std::string local = std::string("bob@") + host.data();
    config::Config config;
    config.sasl_password_file = directory.write("users", local + ":here\nbob@elsewhere:there\n");
    auto opened = Authentication::open(config, log);
    REQUIRE(opened.is_ok());
    Authentication& authentication = opened.value();
    authentication.set_workers(1);
    CHECK_FALSE(authentication.required_by_text());
    CHECK(authentication.required_by_binary());
    CHECK(authentication.accepts_sasl(0, "bob", "here"));
    CHECK(authentication.accepts_sasl(0, local, "here"));
    CHECK(authentication.accepts_sasl(0, "bob@elsewhere", "there"));
    CHECK_FALSE(authentication.accepts_sasl(0, "bob", "there"));
    CHECK_FALSE(authentication.accepts_sasl(0, "bob@", "here"));
    CHECK_FALSE(authentication.accepts_sasl(0, std::string(1000, 'b'), "here"));

    authentication.reload_if_changed();
    CHECK(authentication.accepts_sasl(0, "bob", "here"));
    directory.write("users", local + ":changed\n");
    authentication.reload_if_changed();
    CHECK(authentication.accepts_sasl(0, "bob", "changed"));
    CHECK_FALSE(authentication.accepts_sasl(0, "bob@elsewhere", "there"));
    std::filesystem::remove(config.sasl_password_file);
    authentication.reload_if_changed();
    CHECK(authentication.accepts_sasl(0, "bob", "changed"));
  }

  TEST_CASE("a file that is not there or wrong is an error that names it") {
    const TemporaryDirectory directory;
    Log log(-1);
    config::Config config;
    config.text_password_file = directory.path("none");
    CHECK(Authentication::open(config, log).status().message() ==
          "Could not open authfile [" + directory.path("none") +
              "] for reading, error No such file or directory; name a file this user can read");
    config.text_password_file = directory.write("wrong", "x\n");
    CHECK(Authentication::open(config, log)
              .status()
              .message()
              .starts_with("Authfile [" + directory.path("wrong") +
                           "] has a malformed entry. Should be 'user:password'"));
    config.text_password_file = directory.write("huge", std::string(2 << 20, 'x'));
    CHECK(Authentication::open(config, log).status().message().find("larger than 1 MiB") !=
          std::string::npos);
    config.text_password_file.clear();
    config.sasl_password_file = directory.path("none");
    CHECK_FALSE(Authentication::open(config, log).is_ok());
    config.sasl_password_file.clear();
    CHECK(Authentication::open(config, log).is_ok());
  }
}
