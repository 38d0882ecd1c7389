"""The initramfs of the test machine: busybox, the interpreter that runs this, the server, the tests, and their libraries."""

import os
import pathlib
import re
import stat
import subprocess
import sys
import sysconfig

# Parts of the standard library that no test imports; they are half of it.
UNUSED = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3", "pydoc_data", "unittest",
          "dist-packages", "site-packages", "venv", "distutils"}
FIXED_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/sh\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
    "etc/hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
DIRECTORIES = ("proc", "sys", "dev", "tmp", "root", "run", "var")


class Archive:
    """A cpio archive in the kernel's format, made in memory; parents of files come by themselves."""

    def __init__(self):
        self._parts = []
        self._names = set()
        self._number = 0

    def _entry(self, name, mode, data):
        self._number += 1
        fields = (self._number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def directory(self, name):
        if name in self._names or name in ("", "."):
            return
        self.directory(os.path.dirname(name))
        self._names.add(name)
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, data, mode=0o644):
        name = name.lstrip("/")
        if name in self._names:
            return
        self.directory(os.path.dirname(name))
        self._names.add(name)
        self._entry(name, stat.S_IFREG | mode, data)

    def copy(self, path, name=None):
        data = pathlib.Path(path).read_bytes()
        self.file(name or str(path), data, 0o755 if os.access(path, os.X_OK) else 0o644)

    def link(self, name, target):
        self.directory(os.path.dirname(name))
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def finished(self):
        self._entry("TRAILER!!!", 0, b"")
        return b"".join(self._parts)


def libraries_of(programs):
    """Every shared library the programs load, the loader included, by the path they are looked for at."""
    found = set()
    for program in programs:
        answer = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        found.update(re.findall(r"(/\S+) \(0x", answer))
    return sorted(found)


def standard_library():
    """(files, shared objects among them)."""
    root = pathlib.Path(sysconfig.get_path("stdlib"))
    files = []
    for directory, names, entries in os.walk(root):
        names[:] = [name for name in names if name not in UNUSED and not name.startswith("config-")]
        files += [pathlib.Path(directory) / entry for entry in entries]
    return files, [path for path in files if path.suffix == ".so"]


def build(server, tests, busybox, init):
    """The archive's bytes. `tests`: the tests' directory; `init`: the text of the first program."""
    archive = Archive()
    for name in DIRECTORIES:
        archive.directory(name)
    for name, text in FIXED_FILES.items():
        archive.file(name, text.encode())
    archive.file("init", init.encode(), 0o755)
    archive.copy(busybox, "bin/busybox")
    archive.link("bin/sh", "busybox")
    interpreter = os.path.realpath(sys.executable)
    archive.copy(interpreter)
    archive.link("usr/bin/python3", interpreter)
    archive.copy(server, "usr/bin/ringcached")
    files, objects = standard_library()
    for path in files:
        archive.copy(path)
    for path in libraries_of([interpreter, server, *objects]):
        archive.copy(path)
    for path in sorted(pathlib.Path(tests).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            archive.copy(path, f"tests/{path.relative_to(tests)}")
    return archive.finished()
