#include "server/credentials.h"

#include <algorithm>
#include <optional>

#include "base/assert.h"

namespace ringcached::server {
namespace {

std::string place(const std::string& path, std::size_t line) {
  return path + ":" + std::to_string(line);
}

// Hides from the compiler how `bits` came about, so that it cannot turn the comparison into one that ends
// early.
std::uint64_t opaque(std::uint64_t bits) {
  asm volatile("" : "+r"(bits));
  return bits;
}

// 1 for 0, 0 for anything else, without a branch.
std::uint64_t is_zero(std::uint64_t bits) {
  return 1 ^ ((bits | (~bits + 1)) >> 63);
}

// Takes the next line off `text`, without LF and one CR before it. The end of the last one need not be there.
std::string_view take_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

// What is wrong with a line by itself; null if nothing.
const char* fault_of(std::string_view line) {
  if (line.empty()) return "the line is empty";
  if (line.size() > kCredentialBytesMax) return "longer than 255 bytes";
  if (line.find('\0') != std::string_view::npos) return "a NUL byte";
  if (line.find(':') == std::string_view::npos) return "no colon";
  return nullptr;
}

Status malformed(const std::string& path, std::size_t line, const char* fault) {
  return {StatusCode::kInvalidArgument, "Authfile [" + path +
                                            "] has a malformed entry. Should be 'user:password' (" +
                                            place(path, line) + ": " + fault + "); correct the file"};
}

}  // namespace

Credentials::Field Credentials::field(std::string_view text) {
  Field result;
  std::copy_n(text.data(), std::min(text.size(), kCredentialBytesMax), result.bytes.begin());
  result.length = text.size();
  return result;
}

std::uint64_t Credentials::difference(const Field& one, const Field& other) {
  std::uint64_t bits = one.length ^ other.length;
  for (std::size_t i = 0; i < one.bytes.size(); ++i) bits |= std::uint64_t{one.bytes[i]} ^ other.bytes[i];
  return opaque(bits);
}

void Credentials::add(std::string_view user, std::string_view password) {
  RC_CHECK(user.size() <= kCredentialBytesMax && password.size() <= kCredentialBytesMax);
  entries_.push_back({field(user), field(password)});
}

bool Credentials::match(std::string_view user, std::string_view password) const {
  const Field claimed_user = field(user);
  const Field claimed_password = field(password);
  std::uint64_t found = 0;
  for (const Entry& entry : entries_) {
    const std::uint64_t bits =
        difference(entry.user, claimed_user) | difference(entry.password, claimed_password);
    found = opaque(found | is_zero(bits));
  }
  return found != 0;
}

Result<Credentials> parse_text_credentials(std::string_view text, const std::string& path) {
  if (text.empty()) return malformed(path, 1, "the file is empty");
  Credentials credentials;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (const char* const fault = fault_of(line)) return malformed(path, number, fault);
    if (credentials.size() == kTextCredentialsMax) {
      return Status{StatusCode::kInvalidArgument, "Authfile [" + path + "] has more than " +
                                                      std::to_string(kTextCredentialsMax) + " entries (" +
                                                      place(path, number) + "); remove some"};
    }
    const std::size_t colon = line.find(':');
    credentials.add(line.substr(0, colon), line.substr(colon + 1));
  }
  return credentials;
}

Result<Credentials> parse_sasl_credentials(std::string_view text, const std::string& path,
                                           std::vector<std::string>& ignored) {
  Credentials credentials;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::string_view line = take_line(text);
    if (line.empty() || line.starts_with('#')) continue;
    const char* fault = fault_of(line);
    const std::string_view user = line.substr(0, line.find(':'));
    if (fault == nullptr && user.find('@') == std::string_view::npos) fault = "no host behind the user";
    if (fault != nullptr) {
      ignored.push_back(place(path, number) + ": ignored, no 'user@host:password' entry: " + fault);
      continue;
    }
    if (credentials.size() == kSaslCredentialsMax) {
      return Status{StatusCode::kInvalidArgument, place(path, number) + ": more than " +
                                                      std::to_string(kSaslCredentialsMax) +
                                                      " entries in the password file of SASL; remove some"};
    }
    const std::string_view rest = line.substr(user.size() + 1);
    credentials.add(user, rest.substr(0, rest.find(':')));
  }
  return credentials;
}

}  // namespace ringcached::server
