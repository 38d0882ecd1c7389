// Users and their passwords, and the two kinds of files they come from.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ringcached/status.h"

namespace ringcached::server {

// Of a line of a password file, without its end. memcached's bound for the text protocol.
inline constexpr std::size_t kCredentialBytesMax = 255;
inline constexpr std::size_t kTextCredentialsMax = 8;
inline constexpr std::size_t kSaslCredentialsMax = 1024;

// A value; immutable once read from its file.
class Credentials {
 public:
  // Each of at most kCredentialBytesMax bytes.
  void add(std::string_view user, std::string_view password);
  std::size_t size() const { return entries_.size(); }

  // True if a pair of exactly these is there. The time it takes depends on what the caller brings and on the
  // number of pairs only: all pairs are looked at, each over its full capacity, so nothing can be learned
  // about names, passwords or their lengths.
  bool match(std::string_view user, std::string_view password) const;

 private:
  // Padded with zeros; what is too long compares as different by its length.
  struct Field {
    std::array<unsigned char, kCredentialBytesMax + 1> bytes{};
    std::uint64_t length = 0;
  };
  struct Entry {
    Field user, password;
  };

  static Field field(std::string_view text);
  static std::uint64_t difference(const Field& one, const Field& other);

  std::vector<Entry> entries_;
};

// memcached's file for -Y: "user:password" lines, at most kTextCredentialsMax. Anything else is an error that
// names the line: a user who is silently left out could not log in.
Result<Credentials> parse_text_credentials(std::string_view text, const std::string& path);

// The file of SASL: "user@host:password" lines, of which what follows a second colon is not used. As
// memcached does, it passes over lines that are no entry; `ignored` gets a sentence for each, but for blank
// lines and comments (#).
Result<Credentials> parse_sasl_credentials(std::string_view text, const std::string& path,
                                           std::vector<std::string>& ignored);

}  // namespace ringcached::server
