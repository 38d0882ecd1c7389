// Which addresses to listen on, from -l, -p, -U and -s; and which clients UDP trusts.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "config/draft.h"

namespace ringcached::config {

// The protocol of listeners without a prefix of their own: -B, narrowed by the kind of authentication.
Protocol protocol_in_effect(const Config& config);

// "a,b;c" as its parts; empty ones are dropped, as memcached does.
std::vector<std::string> split_addresses(std::string_view list);

// Fills config.listeners. `ipv6_loopback`: ::1 can be bound, so the default includes it.
std::optional<Failure> resolve_listeners(Draft& draft, bool ipv6_loopback);

// Fills config.udp_clients.
std::optional<Failure> resolve_udp_clients(Draft& draft);

// Tries it; binds nothing that stays.
bool ipv6_loopback_available();

}  // namespace ringcached::config
