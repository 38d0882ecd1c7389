"""Python's clients against the real server, every operation of each. A missing one is skipped, aloud."""

import re
import threading
import time

from clients import (SASL_PASSWORD, SASL_USER, largest_value, need_module, sasl_server, value_of,
                     values_of_every_size)
from harness import process, tap

suite = tap.Suite()

# Around every size at which a server may change its ways: chunks, pages, buffers, the item limit.
SIZES = (0, 1, 2, 47, 48, 100, 1000, 1024, 2047, 2048, 4095, 4096, 4097, 8192, 16383, 16384, 16385, 65535, 65536, 102400,
         131072, 262144, 524200, 524288, 524400, 900_000, largest_value("size1048510"))


def sized_values():
    return {f"size{size}": value_of(f"size{size}", size) for size in SIZES}


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
            values = sized_values()
            for key, value in values.items():
                assert client.set(key, value) is True
            for key, value in values.items():
                assert client.get(key) == value, key
            assert client.get_many(list(values)) == values
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


@suite.test("pymemcache: a pool of connections, and three servers behind one client")
def pymemcache_pooled_and_hashed(options):
    need_module("pymemcache")
    from pymemcache.client.base import PooledClient  # pylint: disable=import-outside-toplevel
    from pymemcache.client.hash import HashClient  # pylint: disable=import-outside-toplevel

    with process.Server(options) as first, process.Server(options) as second, process.Server(options) as third:
        addresses = [("127.0.0.1", server.port) for server in (first, second, third)]
        values = {f"key{number}": b"value %d" % number for number in range(300)}
        pooled = PooledClient(addresses[0], max_pool_size=4, default_noreply=False, timeout=30)
        assert pooled.set_many(values) == [] and pooled.get_many(values) == values
        assert pooled.delete_many(list(values)) is True
        hashed = HashClient(addresses, default_noreply=False, timeout=30, connect_timeout=10)
        assert hashed.set_many(values) == [] and hashed.get_many(values) == values
        items = [int(server.stats()["curr_items"]) for server in (first, second, third)]
        assert sum(items) == 300 and min(items) > 0, items
        assert hashed.delete_many(list(values)) is True and hashed.get_many(values) == {}
        hashed.close()
        pooled.close()


def check_expiration(store, fetch, touch=None):
    """`store(key, seconds)` and `touch(key, seconds)` must change what `fetch(key)` finds two seconds later."""
    store("brief", 1)
    store("touched", 1)
    store("lasting", 1000)
    if touch:
        assert touch("touched", 1000)
    # Servers count whole seconds: one second may end just before the second whole one.
    time.sleep(2.2)
    assert not fetch("brief") and fetch("lasting")
    assert not touch or fetch("touched")


@suite.test("pymemcache: times to live")
def pymemcache_expiration(options):
    need_module("pymemcache")
    with process.Server(options) as server:
        client = pymemcache_client(server, default_noreply=False)
        check_expiration(lambda key, seconds: client.set(key, b"x", expire=seconds), client.get, client.touch)
        client.close()


def pylibmc_client(server, binary, **behaviors):
    return need_module("pylibmc").Client([f"127.0.0.1:{server.port}"], binary=binary, behaviors={
        "tcp_nodelay": True, "connect_timeout": 10_000, "receive_timeout": 30_000_000, **behaviors})


def not_found(pylibmc, call, *words):
    """Whether `call` says that the key is missing: as an exception, or in text mode by returning nothing."""
    try:
        return not call(*words)
    except pylibmc.NotFound:
        return True


def pylibmc_storage(client, pylibmc):
    assert client.set("key", "one") and client.get("key") == "one"
    assert client.get("nokey") is None and client.get("nokey", "default") == "default"
    assert client.add("other", 2) and not client.add("key", 2)
    assert client.replace("key", "three") and not_found(pylibmc, client.replace, "nokey", 1)
    assert client.append("key", "!") and client.prepend("key", "?") and client.get("key") == "?three!"
    assert not_found(pylibmc, client.append, "nokey", "!") and not_found(pylibmc, client.prepend, "nokey", "!")
    for value in (b"", b"\r\n\0", "ünïcode", 42, 1 << 70, 1.5, True, None, [1, {"two": (3,)}]):
        assert client.set("typed", value) and client.get("typed") == value, value
    assert client.set("packed", "compress me " * 9000, min_compress_len=100)
    assert client.get("packed") == "compress me " * 9000
    assert client.delete("key") and not client.delete("key")


def pylibmc_cas(client, pylibmc):
    assert client.set("swap", "one")
    value, unique = client.gets("swap")
    assert value == "one" and client.cas("swap", "four", unique)
    try:
        assert not client.cas("swap", "five", unique)
    except pylibmc.NotFound:
        raise AssertionError("a failed cas was reported as not found") from None
    assert client.get("swap") == "four"
    assert not_found(pylibmc, client.cas, "noswap", "x", unique)
    assert client.gets("noswap") == (None, None)


def pylibmc_numbers(client, pylibmc):
    assert client.set("number", 10) and client.incr("number", 5) == 15 and client.decr("number", 3) == 12
    assert client.incr("number") == 13 and client.decr("number") == 12 and client.decr("number", 100) == 0
    assert not_found(pylibmc, client.incr, "nonumber", 1) and not_found(pylibmc, client.decr, "nonumber", 1)
    assert client.set_multi({"n1": 1, "n2": 2}) == []
    client.incr_multi(["n1", "n2"], delta=5)
    assert client.get_multi(["n1", "n2"]) == {"n1": 6, "n2": 7}


def pylibmc_many(client):
    many = {f"many{n}": n for n in range(200)}
    assert client.set_multi(many) == []
    assert client.get_multi([f"many{n}" for n in range(250)]) == many
    assert client.get_multi(["1", "2", "x"], key_prefix="many") == {"1": 1, "2": 2}
    assert client.add_multi({"many1": "x", "many200": 200}) == ["many1"]
    assert client.delete_multi(list(many))
    assert client.get_multi(list(many)) == {}


def pylibmc_operations(options, binary):
    pylibmc = need_module("pylibmc")
    with process.Server(options) as server:
        client = pylibmc_client(server, binary, cas=True)
        pylibmc_storage(client, pylibmc)
        pylibmc_cas(client, pylibmc)
        pylibmc_numbers(client, pylibmc)
        pylibmc_many(client)
        assert not_found(pylibmc, client.touch, "nokey", 100)
        check_expiration(lambda key, seconds: client.set(key, "x", time=seconds), client.get, client.touch)
        ((_, stats),) = client.get_stats()
        assert "curr_items" in {name.decode() if isinstance(name, bytes) else name for name in stats}, stats
        assert client.clone().get("other") == 2
        assert client.flush_all()
        assert client.get("other") is None
        client.disconnect_all()
        assert client.set("other", "again") and client.get("other") == "again"


def pylibmc_sizes(options, binary):
    need_module("pylibmc")
    with process.Server(options, ["-m", "200"]) as server:
        client, values = pylibmc_client(server, binary), sized_values()
        for key, value in values.items():
            assert client.set(key, value), key
        for key, value in values.items():
            assert client.get(key) == value, key
        assert client.get_multi(list(values)) == values


def pylibmc_noreply(options, binary):
    need_module("pylibmc")
    with process.Server(options) as server:
        client = pylibmc_client(server, binary, _noreply=True)
        for number in range(500):
            client.set(f"key{number}", number)
        assert [client.get(f"key{number}") for number in range(500)] == list(range(500))


for mode in ("text", "binary"):
    for what, work in (("every operation", pylibmc_operations), ("values of every size", pylibmc_sizes),
                       ("sets without a reply arrive", pylibmc_noreply)):
        suite.add(f"pylibmc in {mode} mode: {what}",
                  lambda options, work=work, mode=mode: work(options, binary=mode == "binary"))


@suite.test("python-memcached: every operation")
def python_memcached(options):
    memcache = need_module("memcache")
    with process.Server(options) as server:
        client = memcache.Client([f"127.0.0.1:{server.port}"], cache_cas=True, socket_timeout=30,
                                 server_max_value_length=2_000_000)
        assert client.set("key", "one") and client.get("key") == "one" and client.get("nokey") is None
        assert client.add("other", 2) and not client.add("key", 2)
        assert client.replace("key", "three") and not client.replace("nokey", 1)
        assert client.append("key", "!") and client.prepend("key", "?") and client.get("key") == "?three!"
        assert not client.append("nokey", "!") and not client.prepend("nokey", "!")
        for value in (b"\r\n\0", "ünïcode", 42, 1.5, [1, {"two": 3}]):
            assert client.set("typed", value) and client.get("typed") == value, value
        assert client.gets("key") == "?three!" and client.cas("key", "four")
        assert client.set("key", "between") and not client.cas("key", "late") and client.get("key") == "between"
        assert client.set("number", 10) and client.incr("number", 5) == 15 and client.decr("number", 6) == 9
        assert client.decr("number", 100) == 0 and client.incr("nonumber") is None
        many = {f"many{number}": number for number in range(200)}
        assert client.set_multi(many) == [] and client.get_multi([*many, "miss"]) == many
        assert client.set_multi({"a": 1}, key_prefix="pre:") == [] and client.get_multi(["a"], key_prefix="pre:") == {"a": 1}
        assert client.delete_multi(many) == 1 and client.get_multi(many) == {}
        assert client.set("silent", "x", noreply=True) and client.get("silent") == "x"
        for key, value in values_of_every_size().items():
            assert client.set(key, value) and client.get(key) == value, key
        # The client reports an error of the server as a failure.
        assert not client.set("size3", value_of("size3", largest_value("size3") + 1))
        assert client.get("size1") == values_of_every_size()["size1"]
        assert client.set("packed", "compress me " * 9000, min_compress_len=100)
        assert client.get("packed") == "compress me " * 9000
        check_expiration(lambda key, seconds: client.set(key, "x", time=seconds), client.get, client.touch)
        assert client.delete("key") and client.get("key") is None
        python_memcached_administration(client)


def python_memcached_administration(client):
    ((_, stats),) = client.get_stats()
    assert int(stats["curr_items"]) > 0
    ((_, settings),) = client.get_stats("settings")
    assert "maxconns" in settings
    # Its get_slab_stats and get_slabs fail under Python 3 before they look at the answer.
    client.flush_all()
    assert client.get("other") is None
    client.disconnect_all()
    assert client.set("other", "again") and client.get("other") == "again"


@suite.test("pylibmc: SASL, the right password and a wrong one")
def pylibmc_sasl(options):
    pylibmc = need_module("pylibmc")
    with sasl_server(options) as server:
        address = [f"127.0.0.1:{server.port}"]
        client = pylibmc.Client(address, binary=True, username=SASL_USER, password=SASL_PASSWORD)
        values = values_of_every_size()
        assert client.set_multi(values) == [] and client.get_multi(list(values)) == values
        stranger = pylibmc.Client(address, binary=True, username=SASL_USER, password="wrong")
        try:
            stranger.get("size0")
        except pylibmc.Error:
            pass
        else:
            raise AssertionError("a wrong password was let in")
        assert client.get("size0") == values["size0"]


@suite.test("bmemcached (binary): every operation")
def bmemcached_all(options):
    need_module("bmemcached")
    with process.Server(options) as server:
        bmemcached_operations(server)


@suite.test("bmemcached (binary): every operation after a login by SASL")
def bmemcached_sasl(options):
    need_module("bmemcached")
    with sasl_server(options) as server:
        bmemcached_operations(server, username=SASL_USER, password=SASL_PASSWORD)


def bmemcached_operations(server, **login):
    bmemcached = need_module("bmemcached")
    client = bmemcached.Client([f"127.0.0.1:{server.port}"], socket_timeout=30, compression=None, **login)
    assert client.set("key", "one") is True and client.get("key") == "one" and client.get("nokey") is None
    assert client.add("other", 2) is True and client.add("key", 2) is False
    assert client.replace("key", "three") is True and client.replace("nokey", 1) is False
    for value in (b"\r\n\0", "ünïcode", 42, [1, {"two": 3}], "spread " * 9000):
        assert client.set("typed", value) is True and client.get("typed") == value, value
    value, unique = client.gets("key")
    assert value == "three" and client.cas("key", "four", unique) is True
    assert client.cas("key", "late", unique) is False and client.get("key") == "four"
    assert client.delete("key", cas=unique) is False and client.delete("key") is True
    assert client.incr("number", 5, default=40) == 40 and client.incr("number", 5) == 45
    assert client.decr("number", 3) == 42 and client.decr("number", 100) == 0
    # Its set_multi cannot write a number under Python 3.
    many = {f"many{number}": f"value {number}" for number in range(200)}
    assert client.set_multi(many) == [] and client.get_multi([*many, "miss"]) == many
    assert client.delete_multi(many) is True and client.get_multi(list(many)) == {}
    for key, value in values_of_every_size(flags=True).items():
        assert client.set(key, value, compress_level=0) is True and client.get(key) == value, key
    check_expiration(lambda key, seconds: client.set(key, "x", time=seconds), client.get)
    (stats,) = client.stats().values()
    assert int(stats["curr_items"]) > 0 and "maxconns" in next(iter(client.stats("settings").values()))
    assert client.flush_all() is True and client.get("other") is None
    client.disconnect_all()
    assert client.set("other", "again") is True and client.get("other") == "again"


if __name__ == "__main__":
    tap.main(suite, __doc__)
