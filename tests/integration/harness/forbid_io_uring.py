"""Runs a command where io_uring is forbidden, as containers do it: by a seccomp filter.

    forbid_io_uring.py refuse COMMAND ...   its system calls fail with EPERM, as under Docker's default profile
    forbid_io_uring.py kill COMMAND ...     the first of them ends the process: proof that there was none
"""

import argparse
import ctypes
import errno
import os
import pathlib
import shlex
import struct
import sys


FIRST_CALL, LAST_CALL = 425, 427  # io_uring_setup, _enter, _register: the same numbers on every architecture
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
RETURNS = {"refuse": 0x00050000 | errno.EPERM, "kill": 0x80000000}
ALLOW = 0x7FFF0000


def options_under(options, action):
    """Options whose server runs under the filter."""
    command = [sys.executable, "-B", "-m", "harness.forbid_io_uring", action]
    server = [os.path.abspath(options.server)] if os.path.exists(options.server) else shlex.split(options.server)
    root = str(pathlib.Path(__file__).resolve().parent.parent)
    wrapped = ["env", f"PYTHONPATH={root}"] + command + server
    return argparse.Namespace(**dict(vars(options), server=shlex.join(wrapped)))


def install(action):
    """Puts this process and what it executes under the filter."""
    program = b"".join((
        struct.pack("HBBI", 0x20, 0, 0, 0),            # load the number of the call
        struct.pack("HBBI", 0x35, 0, 2, FIRST_CALL),   # below the first: allow
        struct.pack("HBBI", 0x25, 1, 0, LAST_CALL),    # above the last: allow
        struct.pack("HBBI", 0x06, 0, 0, RETURNS[action]),
        struct.pack("HBBI", 0x06, 0, 0, ALLOW),
    ))
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, header, 0, 0)):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), f"prctl{arguments[:2]}")


def main():
    install(sys.argv[1])
    os.execvp(sys.argv[2], sys.argv[2:])


if __name__ == "__main__":
    main()
