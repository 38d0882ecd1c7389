"""What the tests with real clients share: finding a client or skipping aloud, running it, self-describing values."""

import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from harness import process, tap

DRIVERS = pathlib.Path(__file__).parent / "drivers"
# tools/dev installs the Node.js clients there; the variable is for other places.
NODE_MODULES = pathlib.Path(os.environ.get("RINGCACHED_NODE_MODULES")
                            or DRIVERS.parents[3] / "build" / "clients" / "node_modules")

# A driver's status when the installed client does not offer what was asked for.
SKIPPED_STATUS = 77

ITEM_BYTES_MAX = 1048576
# Header, unique, the key's end, the value's end.
ITEM_OVERHEAD = 48 + 8 + 1 + 2
# Only an item whose flags are not 0 has them.
FLAGS_BYTES = 4


def largest_value(key, flags=False):
    """The bytes of the largest value that fits the default item limit."""
    return ITEM_BYTES_MAX - ITEM_OVERHEAD - len(key) - (FLAGS_BYTES if flags else 0)


def value_of(key, size):
    """A value that says which key it belongs to and which of its parts is where."""
    parts, length = [], 0
    while length < size:
        parts.append(b"%s/%d/%d;\r\n" % (key.encode(), size, len(parts)))
        length += len(parts[-1])
    return b"".join(parts)[:size]


def values_of_every_size(flags=False):
    """Key to value: 1 byte, 1 KiB, 100 KiB, and the largest that fits (key `size3`)."""
    sizes = (1, 1024, 102400, largest_value("size3", flags))
    return {f"size{number}": value_of(f"size{number}", size) for number, size in enumerate(sizes)}


def need_program(name, *also_at):
    """The path of a program, which may lie outside of PATH at `also_at`."""
    path = shutil.which(name) or next((place for place in also_at if os.path.exists(place)), None)
    if path is None:
        raise tap.Skip(f"{name} is not installed")
    return path


def need_module(name):
    try:
        return __import__(name)
    except ImportError:
        raise tap.Skip(f"the Python module {name} is not installed") from None


SASL_USER = "bob"
SASL_PASSWORD = "secret"


@contextlib.contextmanager
def sasl_server(options):
    """A server that asks every client for SASL_USER and SASL_PASSWORD."""
    if options.dialect != "rc":
        raise tap.Skip("the reference takes its SASL passwords from where its build says")
    with tempfile.TemporaryDirectory(prefix="ringcached-passwords-") as directory:
        path = pathlib.Path(directory) / "passwords"
        path.write_text(f"{SASL_USER}@{socket.gethostname()}:{SASL_PASSWORD}\n")
        path.chmod(0o600)
        with process.Server(options, ["-S", "--sasl-file", str(path)], ready=accepts) as server:
            yield server


def accepts(server):
    """Such a server says nothing to a client without a password, so that it accepts has to do."""
    server.connect().close()
    return True


def run_tool(*command, timeout=60, **arguments):
    """Exit status, and stdout and stderr as one text."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **arguments)
    return done.returncode, done.stdout + done.stderr


def run_driver(command, server, *arguments, environment=None):
    """Runs `command HOST PORT arguments...`: prints what it says, skips and fails as it does."""
    words = [*command, "127.0.0.1", str(server.port), *arguments]
    status, output = run_tool(*words, env=dict(os.environ, **(environment or {})))
    if status == SKIPPED_STATUS:
        raise tap.Skip(output.strip())
    if status != 0:
        raise tap.Explained(f"{' '.join(words)} ended with {status}:\n{output.strip()}")
    for line in output.splitlines():
        print(f"# {line}")
