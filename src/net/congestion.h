// Which congestion control the connections of a listening TCP socket use.
#pragma once

#include <sys/socket.h>

#include <string>

#include "ringcached/status.h"

namespace ringcached::net {

// Whether the kernel has it and this process may choose it; the message names cause and remedy.
Status check_congestion_control(const std::string& wanted);

// NetworkOptions::congestion_control, for a socket that does not listen yet: an accepted one keeps the pacing
// it began with, whatever is set later. Nothing is set for kSystemCongestion, and for kAutoCongestion unless
// `address` is one of the loopback's: who connects there loses no packets and shares no link, so the least
// work is the best. That is Reno, which every kernel has and everybody may choose; one that paces, as BBR
// does, costs time for each send. 0 or an errno.
int set_congestion_control(int socket, const sockaddr& address, const std::string& wanted);

}  // namespace ringcached::net
