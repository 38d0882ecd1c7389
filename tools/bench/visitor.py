"""visitor.py PLACE COUNT PID: connections that come, ask for the version and go, one after the other; prints the CPU time
of process PID per connection and their rate as JSON."""

import json
import socket
import sys
import time

from processes import cpu_ns


def visit(family, address):
    with socket.socket(family) as connection:
        connection.connect(address)
        connection.sendall(b"version\r\n")
        answer = connection.recv(100)
        if not answer.startswith(b"VERSION"):
            raise SystemExit(f"visitor: answered {answer!r}")


def main(place, count, pid):
    host, _, port = place.rpartition(":")
    family, address = (socket.AF_INET, (host, int(port))) if host else (socket.AF_UNIX, place)
    for _ in range(20):
        visit(family, address)
    used, began = cpu_ns(pid), time.monotonic()
    for _ in range(count):
        visit(family, address)
    seconds = time.monotonic() - began
    print(json.dumps({"server_cpu_us": (cpu_ns(pid) - used) / 1000 / count,
                      "connections_per_second": count / seconds}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
