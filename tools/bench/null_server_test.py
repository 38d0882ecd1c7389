"""Every technique of the null server starts and serves: what it measures must be what it says."""

import argparse
import os
import socket
import subprocess
import sys
import time
import unittest

VALUE_BYTES = 1000
ONE = b"VALUE k 0 1000\r\n" + b"v" * VALUE_BYTES + b"\r\nEND\r\n"
STORED = b"STORED\r\n"
START_SECONDS_MAX = 20
READ_SECONDS_MAX = 20

TECHNIQUES = (
    "", "--direct", "--direct-install", "--direct-post", "-t 2", "-t 2 --direct", "-t 2 --direct-install",
    "-t 2 --direct-post", "--bundle --buffer-bytes 2048", "--incremental", "--incremental --buffer-bytes 256",
    "--huge-buffers", "--send-completions", "--copy", "--sendmsg", "--sendmsg --send-completions --direct",
    "--zero-copy 2000", "--zero-copy 2000 --direct", "--min-wait 50", "--min-wait 50 --min-wait-completions 4",
    "--spin 50", "--napi 50", "--no-registered-ring", "--no-registered-ring --min-wait 50",
)
REFUSED = ("--bundle --incremental", "--copy --sendmsg", "--copy --zero-copy 100", "--direct --direct-post", "--min-wait -1",
           "--threads 0", "-t 2 --unix x")

program = ""


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def connect(process, port):
    """None if the process ended."""
    end = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            connection = socket.create_connection(("127.0.0.1", port), timeout=READ_SECONDS_MAX)
            return connection
        except ConnectionRefusedError:
            if process.poll() is not None:
                return None
            if time.monotonic() > end:
                raise
            time.sleep(0.01)


def read(connection, count):
    got = b""
    while len(got) < count:
        piece = connection.recv(1 << 16)
        if not piece:
            break
        got += piece
    return got


class Techniques(unittest.TestCase):
    def converse(self, connection):
        value = b"set k 0 0 30000\r\n" + b"x" * 30000 + b"\r\n"
        for request, reply in (
            (b"get a\r\n", ONE),
            (b"get a\r\n" * 300, ONE * 300),
            (value * 5, STORED * 5),
            (b"get a\r\n" * 20 + value + b"get b\r\n", ONE * 20 + STORED + ONE),
        ):
            connection.sendall(request)
            self.assertEqual(read(connection, len(reply)), reply)

    def serve(self, options):
        port = free_port()
        command = [program, "-p", str(port), "--value-bytes", str(VALUE_BYTES), *options.split()]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            try:
                connection = connect(process, port)
                if connection is None:
                    said = process.stderr.read()
                    self.assertIn("needs Linux", said)
                    self.skipTest(said)
                with connection, connect(process, port) as second:
                    self.converse(connection)
                    self.converse(second)
                    connection.sendall(b"quit\r\n")
                    self.assertEqual(read(connection, 1), b"")
                # Its number is free again, whatever a number is here.
                for _ in range(3):
                    with connect(process, port) as connection:
                        self.converse(connection)
                self.assertIsNone(process.poll())
            finally:
                process.kill()
            said = process.stderr.read()
        self.assertEqual("minimum wait" in said, "--min-wait" in options.split(), said)
        self.assertEqual("zero copy" in said, "--zero-copy" in options.split(), said)

    def test_that_each_serves(self):
        for options in TECHNIQUES:
            with self.subTest(options=options):
                self.serve(options)

    def test_what_is_refused(self):
        for options in REFUSED:
            with self.subTest(options=options):
                ended = subprocess.run([program, "-p", str(free_port()), *options.split()], capture_output=True,
                                       cwd=os.path.dirname(os.path.abspath(program)), timeout=START_SECONDS_MAX, check=False)
                self.assertNotEqual(ended.returncode, 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True)
    given, others = parser.parse_known_args()
    program = given.program
    unittest.main(argv=[sys.argv[0], *others])
