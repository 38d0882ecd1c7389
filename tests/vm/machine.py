"""A virtual machine with NUMA nodes: runs test programs one after the other and tells their TAP lines as they come."""

import subprocess
import threading
from typing import NamedTuple

# The guest's own clock is the host's, but its processors are slower by far and share the host's.
PATIENCE = 8

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /usr/sbin /sbin
/bin/busybox --install -s
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp
mkdir -p /dev/shm /dev/pts; mount -t tmpfs shm /dev/shm; mount -t devpts pts /dev/pts
mount -t cgroup2 cgroup /sys/fs/cgroup
dmesg -n 1
ip link set lo up
# As on most hosts; a heap in huge pages is not what the tests of memory look at.
echo madvise >/sys/kernel/mm/transparent_hugepage/enabled
# A slow reader must not lose datagrams.
echo 16777216 >/proc/sys/net/core/rmem_max; echo 16777216 >/proc/sys/net/core/rmem_default
export PATH=/bin:/sbin:/usr/bin:/usr/sbin HOME=/root PYTHONDONTWRITEBYTECODE=1
export RINGCACHED_TEST_PATIENCE={patience} RINGCACHED_TEST_MACHINE=disposable
echo "@@ kernel $(uname -r), nodes $(cat /sys/devices/system/node/online), processors $(nproc)"
{programs}
echo "@@ done"
poweroff -f
"""


class Shape(NamedTuple):
    nodes: int
    cpus_per_node: int
    megabytes_per_node: int


def init_script(programs):
    """`programs`: (name, command) of each."""
    lines = [f'echo "@@ begin {name}"; {command}; echo "@@ end {name} $?"' for name, command in programs]
    return INIT.format(patience=PATIENCE, programs="\n".join(lines))


def command_of(kernel, initrd, shape):
    cpus = shape.nodes * shape.cpus_per_node
    command = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-machine", "q35,usb=off,vmport=off",
               # With cmpxchg16b this emulator's 6.12 does not boot.
               "-cpu", "max,-cx16,-la57", "-smp", f"{cpus},sockets={shape.nodes},cores={shape.cpus_per_node},threads=1",
               "-m", f"{shape.nodes * shape.megabytes_per_node}M"]
    for node in range(shape.nodes):
        first = node * shape.cpus_per_node
        command += ["-object", f"memory-backend-ram,id=m{node},size={shape.megabytes_per_node}M",
                    "-numa", f"node,nodeid={node},cpus={first}-{first + shape.cpus_per_node - 1},memdev=m{node}"]
    for node in range(shape.nodes):
        for other in range(node + 1, shape.nodes):
            command += ["-numa", f"dist,src={node},dst={other},val={20 if other - node == 1 else 21}"]
    options = "console=ttyS0 quiet panic=-1 mitigations=off nokaslr random.trust_cpu=on"
    return command + ["-kernel", str(kernel), "-initrd", str(initrd), "-append", options, "-nographic", "-no-reboot",
                      "-nodefaults", "-serial", "stdio"]


def lines_of(command, log_path, seconds):
    """The console's lines as they come, also written to `log_path`; ends with the machine or after `seconds`."""
    with open(log_path, "wb") as log, \
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) as machine:
        limit = threading.Timer(seconds, machine.kill)
        limit.start()
        try:
            for line in machine.stdout:
                log.write(line)
                log.flush()
                yield line.decode(errors="replace").rstrip()
        finally:
            limit.cancel()
            machine.kill()
