"""Tools against the real server: libmemcached's, memcached-tool, netcat. A missing one is skipped, aloud."""

import re
import subprocess
import time

from clients import largest_value, need_program, run_tool, value_of
from harness import process, tap

suite = tap.Suite()


def add_memccapable(protocol, flag, tests_min):
    @suite.test(f"memccapable {flag}: every test of the {protocol} protocol")
    def memccapable(options):
        program = need_program("memccapable")
        with process.Server(options) as server:
            status, output = run_tool(program, "-h", "127.0.0.1", "-p", str(server.port), flag)
            for line in output.splitlines():
                print(f"# {line}")
            results = re.findall(rf"^{protocol} .*\[(\w+)\]\s*$", output, flags=re.MULTILINE)
            # The tool's number of tests belongs to its release; a handful would mean that it gave up.
            assert len(results) >= tests_min, f"{len(results)} results"
            assert set(results) == {"pass"} and status == 0, output


add_memccapable("ascii", "-a", 20)
add_memccapable("binary", "-b", 25)


def add_tools(protocol, *flags):
    @suite.test(f"memcping, memcstat, memccp, memccat, memcexist, memctouch, memcrm, memcflush: {protocol}")
    def tools(options):
        programs = {name: need_program(name) for name in ("memcping", "memcstat", "memccp", "memccat", "memcexist",
                                                          "memctouch", "memcrm", "memcflush")}
        with process.Server(options) as server:
            path = server.directory / "greeting"
            path.write_bytes(b"hello")

            def tool(name, *arguments):
                # memcstat and memcping have no flag for the protocol; what they send is fixed.
                own = () if name in ("memcstat", "memcping") else flags
                return run_tool(programs[name], f"--servers=127.0.0.1:{server.port}", *own, *arguments)

            assert tool("memcping")[0] == 0
            status, output = tool("memcstat")
            assert status == 0 and "limit_maxbytes" in output and "curr_items" in output, output
            assert tool("memccp", str(path))[0] == 0
            status, output = tool("memccat", "greeting")
            assert status == 0 and output.strip() == "hello", output
            assert tool("memcexist", "greeting")[0] == 0
            assert tool("memctouch", "--expire=100", "greeting")[0] == 0
            assert tool("memcrm", "greeting")[0] == 0
            assert tool("memcexist", "greeting")[0] != 0
            for size in (1, 1024, 102400, largest_value("greeting")):
                value = value_of("greeting", size)
                path.write_bytes(value)
                assert tool("memccp", "--set", str(path))[0] == 0, size
                fetched = server.directory / "fetched"
                status, output = tool("memccat", f"--file={fetched}", "greeting")
                assert status == 0 and fetched.read_bytes() == value, (size, output[:200])
            assert tool("memccp", "--add", str(path))[0] != 0
            path.write_bytes(b"hello again")
            assert tool("memccp", "--replace", "--expire=100", "--flags=7", str(path))[0] == 0
            assert tool("memcflush")[0] == 0
            assert tool("memcexist", "greeting")[0] != 0
            assert tool("memccp", "--add", str(path))[0] == 0
            assert tool("memccp", "--replace", str(path))[0] == 0


add_tools("text")
add_tools("binary", "--binary")


def add_load(protocol, flags):
    @suite.test(f"memcslap and memcaslap over the {protocol} protocol: load with every value verified")
    def load(options):
        slap, aslap = need_program("memcslap"), need_program("memcaslap")
        with process.Server(options, ["-m", "200"]) as server:
            address = f"127.0.0.1:{server.port}"
            for test in ("set", "add", "get", "mget"):
                status, output = run_tool(slap, f"--servers={address}", f"--test={test}", "--concurrency=2",
                                          "--execute-number=300", *[flag for flag in flags if flag.startswith("--")])
                assert status == 0 and "error" not in output.lower(), output[-500:]
            status, output = run_tool(aslap, "-s", address, "-T", "2", "-c", "8", "-x", "4000", "-v", "1.0",
                                      *[flag for flag in flags if not flag.startswith("--")])
            found = {name: int(count) for name, count in re.findall(r"^(\w+): (\d+)$", output, flags=re.MULTILINE)}
            assert status == 0 and found["cmd_get"] > 0 and found["cmd_set"] > 0, output[-1000:]
            assert found["verify_misses"] == 0 and found["verify_failed"] == 0, found


add_load("text", [])
add_load("binary", ["--binary", "-B"])


def fill(server, count):
    with server.connect() as connection:
        for number in range(count):
            assert connection.set(f"key{number}", value_of(f"key{number}", 1 + 50 * number)) == "STORED"


@suite.test("memcdump lists the keys through cachedump")
def memcdump(options):
    program = need_program("memcdump")
    with process.Server(options) as server:
        fill(server, 100)
        listed, deadline = set(), time.monotonic() + 10
        # A server may leave out what was stored just now.
        while len(listed) < 50 and time.monotonic() < deadline:
            status, output = run_tool(program, f"--servers=127.0.0.1:{server.port}")
            assert status == 0, output
            listed = set(output.split())
            time.sleep(0.1)
        assert listed <= {f"key{number}" for number in range(100)} and len(listed) >= 50, output


MEMCACHED_TOOL = "/usr/share/memcached/scripts/memcached-tool"


def run_memcached_tool(server, *arguments):
    need_program("perl")
    program = need_program("memcached-tool", MEMCACHED_TOOL)
    # It waits for the end of a list for ever when the answer is an error.
    done = subprocess.run([program, f"127.0.0.1:{server.port}", *arguments], capture_output=True, timeout=15, check=False)
    assert done.returncode == 0, done
    return done.stdout


@suite.test("memcached-tool: display, stats, settings, sizes")
def memcached_tool(options):
    with process.Server(options) as server:
        fill(server, 100)
        lines = run_memcached_tool(server, "display").decode().splitlines()
        assert "Item_Size" in lines[0], lines
        # Number, size, age, pages, count, full, evicted, time of the last eviction, out of memory.
        classes = [line.split() for line in lines[1:]]
        assert len(classes) >= 5 and sum(int(words[4]) for words in classes) == 100, lines
        stats = dict(line.split() for line in run_memcached_tool(server, "stats").decode().splitlines()[1:])
        assert stats["curr_items"] == "100" and stats["cmd_set"] == "100", stats
        lines = run_memcached_tool(server, "settings").decode().splitlines()[1:]
        settings = dict(line.split() for line in lines if len(line.split()) == 2)
        assert settings["item_size_max"] == "1048576", settings
        assert b"Size" in run_memcached_tool(server, "sizes")


@suite.test("memcached-tool: keys, and a dump that is fed back")
def memcached_tool_dump(options):
    with process.Server(options) as server:
        fill(server, 100)
        keys = re.findall(r"^key=(\S+) exp=-1 la=\d+ cas=\d+ fetch=no cls=\d+ size=\d+",
                          run_memcached_tool(server, "keys").decode(), flags=re.MULTILINE)
        assert sorted(keys) == sorted(f"key{number}" for number in range(100)), keys
        check_dump(server, run_memcached_tool(server, "dump"))


def check_dump(server, dump):
    """The tool dumps `add` commands: a flushed server that is fed them has every item again."""
    expected = {f"key{number}": value_of(f"key{number}", 1 + 50 * number) for number in range(100)}
    for key, value in expected.items():
        assert b"add %s 0 0 %d\r\n%s\r\n" % (key.encode(), len(value), value) in dump, key
    with server.connect() as connection:
        assert connection.request("flush_all") == "OK"
        connection.send(dump)
        assert [connection.line() for _ in expected] == [b"STORED"] * len(expected)
        for key, value in expected.items():
            assert connection.get(key) == value, key


@suite.test("netcat: the example that `tools/dev serve` prints")
def netcat(options):
    program = need_program("nc")
    with process.Server(options) as server:
        status, output = run_tool(program, "-q1", "127.0.0.1", str(server.port),
                                  input="set greeting 0 0 5\r\nhello\r\nget greeting\r\n")
        assert status == 0, status
        assert output.splitlines() == ["STORED", "VALUE greeting 0 5", "hello", "END"], output


if __name__ == "__main__":
    tap.main(suite, __doc__)
