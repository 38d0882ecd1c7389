"""Clients of other languages against the real server: each driver runs every operation of its client."""

import subprocess

from clients import DRIVERS, NODE_MODULES, SASL_PASSWORD, SASL_USER, need_program, run_driver, sasl_server
from harness import process, tap

suite = tap.Suite()


def driver(name):
    return str(DRIVERS / name)


def need_answer(what, *command):
    """Skips unless `command` succeeds: an interpreter may be here without the client."""
    if subprocess.run(command, capture_output=True, timeout=30, check=False).returncode != 0:
        raise tap.Skip(f"{what} is not installed")


def need_php():
    php = need_program("php")
    need_answer("php-memcached", php, "-r", "exit(extension_loaded('memcached') ? 0 : 1);")
    return php


def need_dalli():
    ruby = need_program("ruby")
    need_answer("ruby-dalli", ruby, "-e", "require 'dalli'")
    return ruby


def need_node(package):
    node = need_program("node")
    if not (NODE_MODULES / package / "package.json").exists():
        raise tap.Skip(f"the npm package {package} is not installed in build/clients (tools/dev test installs it)")
    return node


def add_php(script, name, protocol):
    @suite.test(name)
    def php(options):
        command = [need_php(), driver(script)]
        with process.Server(options) as server:
            run_driver(command, server, protocol)


def add_sasl(name, command, *arguments, environment=None):
    """`command` is asked for its words when the test runs: it may skip."""
    @suite.test(f"{name} over the binary protocol after a login by SASL: every operation")
    def with_login(options):
        words = command()
        with sasl_server(options) as server:
            run_driver(words, server, *arguments, SASL_USER, SASL_PASSWORD, environment=environment)


def add_dalli(protocol):
    @suite.test(f"Dalli over the {protocol} protocol: every operation")
    def dalli(options):
        command = [need_dalli(), driver("dalli.rb")]
        with process.Server(options) as server:
            run_driver(command, server, protocol)


def add_node(package, script, protocol):
    @suite.test(f"npm {package} ({protocol}): every operation")
    def node(options):
        command = [need_node(package), "--no-deprecation", driver(script)]
        with process.Server(options) as server:
            run_driver(command, server, environment={"NODE_PATH": str(NODE_MODULES)})


@suite.test("Cache::Memcached::Fast (text): every operation")
def perl_fast(options):
    perl = need_program("perl")
    need_answer("libcache-memcached-fast-perl", perl, "-MCache::Memcached::Fast", "-e", "1")
    with process.Server(options) as server:
        run_driver([perl, driver("cache_memcached_fast.pl")], server)


for one_protocol in ("text", "binary"):
    add_php("php_memcached.php", f"php-memcached over the {one_protocol} protocol: every operation", one_protocol)
    add_php("php_session.php", f"php-memcached's session handler over the {one_protocol} protocol: stores and locks",
            one_protocol)
for one_protocol in ("binary", "meta"):
    add_dalli(one_protocol)
add_node("memjs", "memjs.js", "binary")
add_node("memcached", "memcached.js", "text")
add_node("memcache-client", "memcache_client.js", "text")
add_sasl("php-memcached", lambda: [need_php(), driver("php_memcached.php")], "binary")
add_sasl("Dalli", lambda: [need_dalli(), driver("dalli.rb")], "binary")
add_sasl("npm memjs", lambda: [need_node("memjs"), "--no-deprecation", driver("memjs.js")],
         environment={"NODE_PATH": str(NODE_MODULES)})


if __name__ == "__main__":
    tap.main(suite, __doc__)
