"""One thread of a process stopped while the others go on, by ptrace: signals stop whole processes."""

import ctypes
import os
import pathlib

from harness import tap

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17
_WAIT_ALL_KINDS = 0x40000000  # __WALL: threads, too
_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def threads_named(pid, prefix):
    """Thread ids by the numbers in their names."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip()
        if name.startswith(prefix):
            found[int(name[len(prefix):])] = int(task.name)
    return [found[number] for number in sorted(found)]


def _ptrace(request, thread):
    if _libc.ptrace(request, thread, None, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


class Stopped:
    """Stops the thread inside `with`. Skips the test where tracing is not permitted."""

    def __init__(self, thread):
        self.thread = thread

    def __enter__(self):
        try:
            _ptrace(_SEIZE, self.thread)
        except OSError as error:
            raise tap.Skip(f"a single thread cannot be stopped here, ptrace says: {error}") from None
        _ptrace(_INTERRUPT, self.thread)
        os.waitpid(self.thread, _WAIT_ALL_KINDS)
        return self

    def __exit__(self, *_):
        _ptrace(_DETACH, self.thread)
