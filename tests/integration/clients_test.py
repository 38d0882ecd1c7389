"""Real clients against the real server: libmemcached's tools, pymemcache, pylibmc, netcat. A missing one is skipped, aloud."""

import re
import shutil
import subprocess
import threading

from harness import process, tap

suite = tap.Suite()

# Around every size at which a server may change its ways: chunks, pages, buffers, the item limit.
SIZES = (0, 1, 2, 47, 48, 100, 1000, 2047, 2048, 4095, 4096, 4097, 8192, 16383, 16384, 16385, 65535, 65536, 131072,
         262144, 524200, 524288, 524400, 900_000, 1_048_000)


def value_of(size):
    pattern = b"0123456789abcdef\r\nEND\r\n"
    return (pattern * (size // len(pattern) + 1))[:size]


def need_program(name):
    path = shutil.which(name)
    if path is None:
        raise tap.Skip(f"{name} is not installed")
    return path


def need_module(name):
    try:
        return __import__(name)
    except ImportError:
        raise tap.Skip(f"the Python module {name} is not installed") from None


def run_tool(*command, timeout=60, **arguments):
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, **arguments)
    return done.returncode, done.stdout + done.stderr


@suite.test("memccapable -a: every test of the text protocol")
def memccapable(options):
    program = need_program("memccapable")
    with process.Server(options) as server:
        status, output = run_tool(program, "-h", "127.0.0.1", "-p", str(server.port), "-a")
        for line in output.splitlines():
            print(f"# {line}")
        results = re.findall(r"^ascii .*\[(\w+)\]\s*$", output, flags=re.MULTILINE)
        # The tool's number of tests belongs to its release; a handful would mean that it gave up.
        assert len(results) >= 20, f"{len(results)} results"
        assert set(results) == {"pass"} and status == 0, output


@suite.test("memcping, memcstat, memccp, memccat, memcexist, memctouch, memcrm, memcflush")
def tools(options):
    programs = {name: need_program(name) for name in ("memcping", "memcstat", "memccp", "memccat", "memcexist",
                                                      "memctouch", "memcrm", "memcflush")}
    with process.Server(options) as server:
        address = f"--servers=127.0.0.1:{server.port}"
        path = server.directory / "greeting"
        path.write_bytes(b"hello")

        def tool(name, *arguments):
            return run_tool(programs[name], address, *arguments)

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
        assert tool("memccp", str(path))[0] == 0
        assert tool("memcflush")[0] == 0
        assert tool("memcexist", "greeting")[0] != 0


@suite.test("netcat: the example that `tools/dev serve` prints")
def netcat(options):
    program = need_program("nc")
    with process.Server(options) as server:
        status, output = run_tool(program, "-q1", "127.0.0.1", str(server.port),
                                  input="set greeting 0 0 5\r\nhello\r\nget greeting\r\n")
        assert status == 0, status
        assert output.splitlines() == ["STORED", "VALUE greeting 0 5", "hello", "END"], output


def pymemcache_client(server, **arguments):
    need_module("pymemcache")
    from pymemcache.client.base import Client  # pylint: disable=import-outside-toplevel

    address = server.unix_path or ("127.0.0.1", server.port)
    return Client(address, connect_timeout=10, timeout=30, **arguments)


def pymemcache_operations(server):
    client = pymemcache_client(server, default_noreply=False)
    assert client.set("key", b"one") is True
    assert client.get("key") == b"one"
    assert client.get("nokey", "default") == "default"
    assert client.add("key", b"two") is False and client.add("other", b"two") is True
    assert client.replace("key", b"three") is True and client.replace("nokey", b"x") is False
    assert client.append("key", b"!") is True and client.prepend("key", b"?") is True
    assert client.get("key") == b"?three!"
    value, unique = client.gets("key")
    assert value == b"?three!"
    assert client.cas("key", b"four", unique) is True
    assert client.cas("key", b"five", unique) is False
    assert client.cas("nokey", b"five", unique) is None
    assert client.set("number", b"10") is True
    assert client.incr("number", 5) == 15 and client.decr("number", 20) == 0 and client.incr("nokey", 1) is None
    assert client.touch("key", 100) is True and client.touch("nokey", 100) is False
    assert client.set_many({f"many{n}": b"%d" % n for n in range(200)}) == []
    assert client.get_many([f"many{n}" for n in range(250)]) == {f"many{n}": b"%d" % n for n in range(200)}
    assert len(client.gets_many([f"many{n}" for n in range(50)])) == 50
    assert client.delete("key") is True and client.delete("key") is False
    assert client.delete_many([f"many{n}" for n in range(200)]) is True
    assert client.get_many([f"many{n}" for n in range(200)]) == {}
    assert client.set("soon", b"x", expire=1000) is True
    stats = client.stats()
    assert stats[b"curr_items"] >= 1 and b"limit_maxbytes" in stats
    assert client.stats("settings")[b"maxconns"] == 1024
    assert re.match(rb"1\.6\.\d+", client.version()), client.version()
    assert client.cache_memlimit(100) is True
    assert client.flush_all() is True
    assert client.get("soon") is None
    client.quit()


@suite.test("pymemcache: every operation")
def pymemcache_all(options):
    need_module("pymemcache")
    with process.Server(options) as server:
        pymemcache_operations(server)


@suite.test("pymemcache: every operation over a UNIX socket")
def pymemcache_unix(options):
    need_module("pymemcache")
    with process.Server(options, unix=True) as server:
        pymemcache_operations(server)


@suite.test("pymemcache: values of every size, with and without noreply")
def pymemcache_sizes(options):
    need_module("pymemcache")
    with process.Server(options, ["-m", "200"]) as server:
        for noreply in (False, True):
            client = pymemcache_client(server, default_noreply=noreply)
            for size in SIZES:
                assert client.set(f"size{size}", value_of(size)) is True
            for size in SIZES:
                assert client.get(f"size{size}") == value_of(size), size
            several = client.get_many([f"size{size}" for size in SIZES])
            assert several == {f"size{size}": value_of(size) for size in SIZES}
            client.flush_all(noreply=False)
            client.close()


@suite.test("pymemcache: errors are errors, and the connection goes on")
def pymemcache_errors(options):
    need_module("pymemcache")
    from pymemcache import exceptions  # pylint: disable=import-outside-toplevel

    with process.Server(options) as server:
        client = pymemcache_client(server, default_noreply=False)
        client.set("text", b"no number")
        for call in (lambda: client.set("large", b"x" * 2_000_000), lambda: client.incr("text", 1)):
            try:
                call()
            except (exceptions.MemcacheServerError, exceptions.MemcacheClientError):
                pass
            else:
                raise AssertionError("no error was raised")
            assert client.get("text") == b"no number"
        client.close()


@suite.test("pymemcache: eight threads, each its own keys")
def pymemcache_threads(options):
    need_module("pymemcache")
    problems = []

    def work(server, number):
        try:
            client = pymemcache_client(server, default_noreply=False)
            for step in range(150):
                key, value = f"t{number}.{step % 10}", b"%d.%d" % (number, step) * (1 + step % 7)
                assert client.set(key, value)
                assert client.get(key) == value
                client.incr("shared", 1)
            client.close()
        except Exception as error:  # pylint: disable=broad-except  # reported below
            problems.append(repr(error))

    with process.Server(options) as server:
        pymemcache_client(server, default_noreply=False).set("shared", b"0")
        threads = [threading.Thread(target=work, args=(server, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not problems, problems
        assert pymemcache_client(server).get("shared").strip() == b"1200"


@suite.test("pylibmc in text mode: every operation")
def pylibmc_all(options):
    pylibmc = need_module("pylibmc")
    with process.Server(options) as server:
        client = pylibmc.Client([f"127.0.0.1:{server.port}"], binary=False,
                                behaviors={"cas": True, "tcp_nodelay": True, "connect_timeout": 10_000})
        assert client.set("key", "one") and client.get("key") == "one"
        assert client.get("nokey") is None
        assert client.add("other", 2) and not client.add("key", 2)
        assert client.replace("key", "three") and not client.replace("nokey", 1)
        assert client.append("key", "!") and client.prepend("key", "?") and client.get("key") == "?three!"
        value, unique = client.gets("key")
        assert value == "?three!" and client.cas("key", "four", unique)
        try:
            assert not client.cas("key", "five", unique)
        except pylibmc.NotFound:
            raise AssertionError("a failed cas was reported as not found") from None
        assert client.set("number", 10) and client.incr("number", 5) == 15 and client.decr("number", 3) == 12
        assert client.touch("key", 100) and not client.touch("nokey", 100)
        assert client.set_multi({f"many{n}": n for n in range(200)}) == []
        assert client.get_multi([f"many{n}" for n in range(250)]) == {f"many{n}": n for n in range(200)}
        assert client.delete("key") and not client.delete("key")
        assert client.delete_multi([f"many{n}" for n in range(200)])
        ((_, stats),) = client.get_stats()
        assert "curr_items" in {name.decode() if isinstance(name, bytes) else name for name in stats}
        assert client.flush_all()
        assert client.get("other") is None


@suite.test("pylibmc in text mode: values of every size")
def pylibmc_sizes(options):
    pylibmc = need_module("pylibmc")
    with process.Server(options, ["-m", "200"]) as server:
        client = pylibmc.Client([f"127.0.0.1:{server.port}"], binary=False)
        for size in SIZES:
            assert client.set(f"size{size}", value_of(size)), size
        for size in SIZES:
            assert client.get(f"size{size}") == value_of(size), size
        assert client.get_multi([f"size{size}" for size in SIZES]) == {f"size{size}": value_of(size) for size in SIZES}


@suite.test("pylibmc in text mode: noreply and buffered writes arrive")
def pylibmc_noreply(options):
    pylibmc = need_module("pylibmc")
    with process.Server(options) as server:
        client = pylibmc.Client([f"127.0.0.1:{server.port}"], binary=False, behaviors={"_noreply": True})
        for number in range(500):
            client.set(f"key{number}", number)
        assert [client.get(f"key{number}") for number in range(500)] == list(range(500))


if __name__ == "__main__":
    tap.main(suite, __doc__)
