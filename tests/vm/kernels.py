"""Debian's kernels for the test machine: downloaded as packages, unpacked, and kept in a directory."""

import os
import re
import subprocess

DOWNLOAD_SECONDS_MAX = 300
ASK_SECONDS_MAX = 60
TRIES_MAX = 4


class Unavailable(Exception):
    """The text says why there is no such kernel."""


def output_of(*command, seconds=ASK_SECONDS_MAX, directory=None):
    """What the command printed; empty if it failed or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False, cwd=directory)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def is_of(name, kernel):
    return re.fullmatch(rf"linux-image-{re.escape(kernel)}\.\d+\S*-cloud-amd64", name) is not None


def by_number(name):
    return [int(number) for number in re.findall(r"\d+", name)]


def packages_of(kernel):
    """Names of packages with such a kernel, best first: what the release's own choice depends on, then the newest."""
    chosen = []
    for meta in ("linux-image-cloud-amd64", f"linux-image-{kernel}-cloud-amd64"):
        chosen += re.findall(r"Depends: (\S+)", output_of("apt-cache", "depends", meta))
    found = re.findall(r"^(\S+) - ", output_of("apt-cache", "search", "--names-only", "^linux-image-.*-cloud-amd64$"),
                       re.MULTILINE)
    ordered = chosen + sorted(found, key=by_number, reverse=True)
    return list(dict.fromkeys(name for name in ordered if is_of(name, kernel)))


def cached(directory):
    images = sorted(directory.glob("boot/vmlinuz-*"), key=lambda path: by_number(path.name))
    return images[-1] if images else None


def download(name, directory):
    command = ["apt-get", "-q", "download", name]
    if os.geteuid() == 0:
        # The user of apt's sandbox cannot write here.
        command += ["-o", "APT::Sandbox::User=root"]
    output_of(*command, seconds=DOWNLOAD_SECONDS_MAX, directory=directory)
    packages = list(directory.glob("*.deb"))
    for package in packages:
        output_of("dpkg", "-x", str(package), str(directory), seconds=DOWNLOAD_SECONDS_MAX)
        package.unlink()
    return bool(packages) and cached(directory) is not None


def image_of(kernel, cache):
    """The path of a bootable image of the kernel series `kernel` ("6.1"), from the cache or downloaded into it."""
    directory = cache / f"kernel-{kernel}"
    directory.mkdir(parents=True, exist_ok=True)
    if not cached(directory):
        names = packages_of(kernel)
        if not names and os.geteuid() == 0:
            # A fresh image has no package lists.
            output_of("apt-get", "-q", "update", seconds=DOWNLOAD_SECONDS_MAX)
            names = packages_of(kernel)
        if not names:
            raise Unavailable(f"the package lists have no linux-image-{kernel}.*-cloud-amd64 (apt-get update?)")
        if not any(download(name, directory) for name in names[:TRIES_MAX]):
            raise Unavailable(f"none of {', '.join(names[:TRIES_MAX])} could be downloaded")
    return cached(directory)
