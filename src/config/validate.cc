#include "config/validate.h"

#include <bit>

namespace ringcached::config {
namespace {

constexpr int kUsageExit = 64;

std::optional<Failure> validate_item_size(const Draft& draft) {
  const std::uint64_t item_max = draft.config.memory.item_size_max_bytes;
  const std::string item_place = draft.origin("memory.item_size_max");
  if (item_max > draft.config.memory.limit_bytes / 2) {
    return Failure{item_place + ": Cannot set item size limit higher than 1/2 of memory max (" +
                       draft.origin("memory.limit") + "); give a smaller -I or a larger -m",
                   kUsageExit};
  }
  return std::nullopt;
}

std::optional<Failure> validate_powers(const Draft& draft) {
  const IoConfig& io = draft.config.io;
  const auto fail = [&](const char* key, unsigned value) {
    return Failure{draft.origin(key) + ": " + std::to_string(value) + " is not a power of two; give " +
                       std::to_string(std::bit_floor(value)) + " or " + std::to_string(std::bit_ceil(value)),
                   1};
  };
  if (!std::has_single_bit(io.ring_entries)) return fail("io.ring_entries", io.ring_entries);
  if (!std::has_single_bit(io.receive_buffers)) return fail("io.receive_buffers", io.receive_buffers);
  return std::nullopt;
}

// Each kind of authentication belongs to one protocol, and a datagram cannot log in.
std::optional<Failure> validate_authentication(const Draft& draft) {
  const AuthConfig& auth = draft.config.auth;
  const Protocol protocol = draft.config.network.protocol;
  const auto fail = [&](const char* key, const char* other, const char* text) {
    return Failure{draft.origin(key) + ", " + draft.origin(other) + ": " + text, kUsageExit};
  };
  if (!auth.file.empty() && auth.sasl)
    return fail("auth.file", "auth.sasl",
                "one serves the text protocol only, the other the binary one; drop one");
  if (!auth.file.empty() && draft.config.network.udp_port != 0)
    return fail("auth.file", "network.udp_port",
                "Cannot use UDP with ascii authentication enabled (-U 0 to disable)");
  if (!auth.file.empty() && protocol == Protocol::kBinary)
    return fail("auth.file", "network.protocol",
                "You cannot allow the BINARY protocol while using ascii authentication tokens; drop one");
  if (auth.sasl && draft.config.network.udp_port != 0)
    return fail("auth.sasl", "network.udp_port",
                "Cannot enable UDP while using binary SASL authentication (-U 0 to disable)");
  if (auth.sasl && protocol == Protocol::kAscii)
    return fail("auth.sasl", "network.protocol",
                "You cannot allow the ASCII protocol while using SASL; drop one");
  if (auth.sasl && draft.config.sasl_password_file.empty())
    return Failure{draft.origin("auth.sasl") +
                       ": no password file; name one with --sasl-file (auth.sasl_file) or in the environment "
                       "variable MEMCACHED_SASL_PWDB",
                   1};
  return std::nullopt;
}

}  // namespace

std::optional<Failure> validate(const Draft& draft) {
  if (auto failure = validate_item_size(draft)) return failure;
  if (auto failure = validate_powers(draft)) return failure;
  if (auto failure = validate_authentication(draft)) return failure;
  const Config& config = draft.config;
  if (config.compat.hot_lru_pct + config.compat.warm_lru_pct > 80) {
    return Failure{draft.origin("compat.hot_lru_pct") + ", " + draft.origin("compat.warm_lru_pct") +
                       ": hot_lru_pct + warm_lru_pct cannot be more than 80% combined; lower one",
                   kUsageExit};
  }
  if (config.network.output_low_water_bytes >= config.network.output_high_water_bytes) {
    return Failure{draft.origin("network.output_low_water") + ": must be below the high-water mark (" +
                       draft.origin("network.output_high_water") + "); lower it, or raise the other",
                   1};
  }
  return std::nullopt;
}

}  // namespace ringcached::config
