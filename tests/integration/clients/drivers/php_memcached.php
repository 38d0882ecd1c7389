<?php
// Every operation of php-memcached against one server: php_memcached.php HOST PORT text|binary [USER PASSWORD]
// Ends with status 1 and one readable line at the first wrong result.

const ITEM_BYTES_MAX = 1048576;
const ITEM_OVERHEAD = 48 + 8 + 1 + 2;  // header, unique, the key's end, the value's end

[, $host, $port, $protocol] = $argv;
$binary = $protocol === "binary";

function check(string $what, $actual, $expected): void
{
    if ($actual !== $expected) {
        [$got, $wanted] = array_map(fn($value) => substr(var_export($value, true), 0, 200), [$actual, $expected]);
        fwrite(STDERR, "php-memcached $what: got $got instead of $wanted\n");
        exit(1);
    }
}

function check_code(Memcached $client, string $what, $actual, $expected, int $code): void
{
    check($what, $actual, $expected);
    check("$what: result code ({$client->getResultMessage()})", $client->getResultCode(), $code);
}

// A value says which key it belongs to and which of its parts is where.
function value_of(string $key, int $bytes): string
{
    for ($parts = [], $length = 0, $number = 0; $length < $bytes; $number++) {
        $parts[] = $part = "$key/$bytes/$number;";
        $length += strlen($part);
    }
    return substr(implode("", $parts), 0, $bytes);
}

function open_client(array $options = []): Memcached
{
    global $argv, $host, $port, $binary;
    $client = new Memcached();
    check("options", $client->setOptions([
        Memcached::OPT_BINARY_PROTOCOL => $binary,
        Memcached::OPT_COMPRESSION => false,
        Memcached::OPT_TCP_NODELAY => true,
        Memcached::OPT_CONNECT_TIMEOUT => 10000,
        Memcached::OPT_POLL_TIMEOUT => 30000,
    ] + $options), true);
    if (isset($argv[5])) {
        check("setSaslAuthData", $client->setSaslAuthData($argv[4], $argv[5]), true);
    }
    check("addServer", $client->addServer($host, (int)$port), true);
    return $client;
}

function storage(Memcached $client): void
{
    global $binary;
    // The text protocol says only NOT_STORED; the binary one says why.
    $exists = $binary ? Memcached::RES_DATA_EXISTS : Memcached::RES_NOTSTORED;
    $missing = $binary ? Memcached::RES_NOTFOUND : Memcached::RES_NOTSTORED;
    check_code($client, "set", $client->set("key", "one"), true, Memcached::RES_SUCCESS);
    check_code($client, "get", $client->get("key"), "one", Memcached::RES_SUCCESS);
    check_code($client, "get of a miss", $client->get("nokey"), false, Memcached::RES_NOTFOUND);
    check("get with a callback", $client->get("filled", function ($client, $key, &$value) {
        $value = "filled by $key";
        return true;
    }), "filled by filled");
    check("the callback's value is stored", $client->get("filled"), "filled by filled");
    check_code($client, "add of an existing key", $client->add("key", "two"), false, $exists);
    check_code($client, "add", $client->add("added", "two"), true, Memcached::RES_SUCCESS);
    check_code($client, "replace", $client->replace("key", "three"), true, Memcached::RES_SUCCESS);
    check_code($client, "replace of a miss", $client->replace("nokey", "x"), false, $missing);
    check("append", $client->append("key", "!"), true);
    check("prepend", $client->prepend("key", "?"), true);
    check_code($client, "append to a miss", $client->append("nokey", "!"), false, Memcached::RES_NOTSTORED);
    check_code($client, "prepend to a miss", $client->prepend("nokey", "!"), false, Memcached::RES_NOTSTORED);
    check("append and prepend", $client->get("key"), "?three!");
    check("touch", $client->touch("key", 1000), true);
    check_code($client, "touch of a miss", $client->touch("nokey", 1000), false, Memcached::RES_NOTFOUND);
    check_code($client, "delete", $client->delete("key"), true, Memcached::RES_SUCCESS);
    check_code($client, "delete of a miss", $client->delete("key"), false, Memcached::RES_NOTFOUND);
}

function typed_values(Memcached $client): void
{
    foreach (["", "text", 42, -1, 1.5, true, false, ["list", "of" => "things"], str_repeat("\0\r\n", 99)] as $value) {
        check("set of a typed value", $client->set("typed", $value), true);
        check("get of a typed value", $client->get("typed"), $value);
    }
    $compressed = value_of("compressed", 102400);
    $client->setOption(Memcached::OPT_COMPRESSION, true);
    check("set with compression", $client->set("compressed", $compressed), true);
    check("get with compression", $client->get("compressed"), $compressed);
    $client->setOption(Memcached::OPT_COMPRESSION, false);
}

function compare_and_swap(Memcached $client): void
{
    $client->set("swap", "one");
    $found = $client->get("swap", null, Memcached::GET_EXTENDED);
    check("get of the unique", [$found["value"], $found["cas"] > 0], ["one", true]);
    check_code($client, "cas", $client->cas($found["cas"], "swap", "two"), true, Memcached::RES_SUCCESS);
    check_code($client, "cas too late", $client->cas($found["cas"], "swap", "three"), false, Memcached::RES_DATA_EXISTS);
    check_code($client, "cas of a miss", $client->cas($found["cas"], "nokey", "x"), false, Memcached::RES_NOTFOUND);
    check("the value after cas", $client->get("swap"), "two");
}

function numbers(Memcached $client): void
{
    global $binary;
    $client->set("number", 10);
    check("increment", $client->increment("number"), 11);
    check("increment by 5", $client->increment("number", 5), 16);
    check("decrement", $client->decrement("number", 6), 10);
    check("decrement below zero", $client->decrement("number", 100), 0);
    check_code($client, "increment of a miss", $client->increment("nonumber", 1), false, Memcached::RES_NOTFOUND);
    if ($binary) {
        check("increment with an initial value", $client->increment("started", 1, 40, 1000), 40);
        check("increment after the initial value", $client->increment("started", 2, 40, 1000), 42);
        check("decrement with an initial value", $client->decrement("started down", 1, 7, 1000), 7);
    }
    $client->set("text", "no number");
    check("increment of a text", $client->increment("text", 1), false);
    check("a text survives an increment", $client->get("text"), "no number");
}

function many_keys(Memcached $client): void
{
    $many = [];
    for ($number = 0; $number < 200; $number++) {
        $many["many$number"] = "value $number";
    }
    check("setMulti", $client->setMulti($many), true);
    $asked = array_merge(array_keys($many), ["miss1", "miss2"]);
    $found = $client->getMulti($asked);
    ksort($found);
    $sorted = $many;
    ksort($sorted);
    check("getMulti", $found, $sorted);
    $ordered = $client->getMulti(["many7", "miss1", "many3"], Memcached::GET_PRESERVE_ORDER);
    check("getMulti in order", $ordered, ["many7" => "value 7", "miss1" => null, "many3" => "value 3"]);
    $extended = $client->getMulti(["many7"], Memcached::GET_EXTENDED);
    check("getMulti with uniques", $extended["many7"]["cas"] > 0, true);

    check("getDelayed", $client->getDelayed(array_keys($many), true), true);
    $fetched = [];
    while ($one = $client->fetch()) {
        $fetched[$one["key"]] = $one["value"];
        check("fetch: the unique", $one["cas"] > 0, true);
    }
    ksort($fetched);
    check("fetch", $fetched, $sorted);
    check("getDelayed without uniques", $client->getDelayed(["many1", "many2"]), true);
    check("fetchAll", count($client->fetchAll()), 2);

    $results = $client->deleteMulti(["many0", "many1", "miss1"]);
    check("deleteMulti", $results, ["many0" => true, "many1" => true, "miss1" => Memcached::RES_NOTFOUND]);
    check("getMulti after deleteMulti", $client->getMulti(["many0", "many1", "many2"]), ["many2" => "value 2"]);
}

function by_key(Memcached $client): void
{
    check("setByKey", $client->setByKey("group", "by", "one"), true);
    check("getByKey", $client->getByKey("group", "by"), "one");
    check("addByKey", $client->addByKey("group", "by", "two"), false);
    check("replaceByKey", $client->replaceByKey("group", "by", "two"), true);
    check("appendByKey", $client->appendByKey("group", "by", "!"), true);
    check("prependByKey", $client->prependByKey("group", "by", "?"), true);
    $found = $client->getByKey("group", "by", null, Memcached::GET_EXTENDED);
    check("getByKey with the unique", $found["value"], "?two!");
    check("casByKey", $client->casByKey($found["cas"], "group", "by", "5"), true);
    check("incrementByKey", $client->incrementByKey("group", "by", 2), 7);
    check("decrementByKey", $client->decrementByKey("group", "by", 3), 4);
    check("touchByKey", $client->touchByKey("group", "by", 1000), true);
    check("setMultiByKey", $client->setMultiByKey("group", ["by1" => "1", "by2" => "2"]), true);
    check("getMultiByKey", $client->getMultiByKey("group", ["by1", "by2"]), ["by1" => "1", "by2" => "2"]);
    check("getDelayedByKey", $client->getDelayedByKey("group", ["by1", "by2"]), true);
    check("fetchAll after getDelayedByKey", count($client->fetchAll()), 2);
    check("deleteByKey", $client->deleteByKey("group", "by"), true);
    check("deleteMultiByKey", $client->deleteMultiByKey("group", ["by1", "by2"]), ["by1" => true, "by2" => true]);
}

function sizes(Memcached $client): void
{
    $values = [];
    foreach ([1, 1024, 102400, ITEM_BYTES_MAX - ITEM_OVERHEAD - strlen("size3")] as $number => $bytes) {
        $values["size$number"] = value_of("size$number", $bytes);
        check("set of $bytes bytes", $client->set("size$number", $values["size$number"]), true);
    }
    foreach ($values as $key => $value) {
        $bytes = strlen($value);
        check("get of $bytes bytes", $client->get($key) === $value, true);
    }
    check("getMulti of every size", $client->getMulti(array_keys($values)) === $values, true);
    check("set of one byte too many", $client->set("size3", $values["size3"] . "+"), false);
    check("a value that is too large replaces nothing by half", $client->get("size3"), false);
    check("the connection goes on", $client->get("size1") === $values["size1"], true);
}

function expiration(Memcached $client): void
{
    check("set with a time to live", $client->set("brief", "x", 1), true);
    check("set with a time of day", $client->set("dated", "x", time() + 1000), true);
    check("set in the past", $client->set("past", "x", time() - 1000), true);
    check("get of the past", $client->get("past"), false);
    check("get of the future", $client->get("dated"), "x");
    usleep(2200000);
    check("get after the time to live", $client->get("brief"), false);
}

function without_replies(): void
{
    $client = open_client([Memcached::OPT_NOREPLY => true]);
    for ($number = 0; $number < 300; $number++) {
        $client->set("quiet$number", "value $number");
    }
    $client->delete("quiet0");
    $client->quit();
    $reader = open_client();
    // The quiet connection is another one: what it sent arrives, but nobody says when.
    for ($tries = 0; $tries < 1000 && ($reader->get("quiet299") === false || $reader->get("quiet0") !== false); $tries++) {
        usleep(10000);
    }
    for ($number = 1; $number < 300; $number++) {
        check("a quiet set arrives", $reader->get("quiet$number"), "value $number");
    }
    check("a quiet delete arrives", $reader->get("quiet0"), false);

    $buffered = open_client([Memcached::OPT_BUFFER_WRITES => true]);
    for ($number = 0; $number < 300; $number++) {
        $buffered->set("buffered$number", "value $number");
    }
    check("flushBuffers", $buffered->flushBuffers(), true);
    for ($number = 0; $number < 300; $number++) {
        check("a buffered set arrives", $buffered->get("buffered$number"), "value $number");
    }
    $buffered->quit();
}

function administration(Memcached $client): void
{
    global $host, $port, $binary;
    check("getServerList", $client->getServerList()[0]["port"], (int)$port);
    check("getServerByKey", $client->getServerByKey("key")["host"], $host);
    $version = $client->getVersion()["$host:$port"];
    check("getVersion ($version)", preg_match('/^1\.6\.\d+/', $version), 1);
    $stats = $client->getStats()["$host:$port"];
    check("getStats", [$stats["curr_items"] > 0, $stats["limit_maxbytes"] > 0], [true, true]);
    check("getStats of items", count($client->getStats("items")["$host:$port"]) > 0, true);
    check("getStats of settings", isset($client->getStats("settings")["$host:$port"]["maxconns"]), true);
    if (!$binary) {
        // libmemcached lists keys through `stats cachedump`, which the binary protocol does not have.
        // A server may leave out what was used just now, so not every key is in the list.
        $listed = $client->getAllKeys() ?: [];
        check("getAllKeys", count(preg_grep('/^many\d+$/', $listed)) > 0, true);
    }
    check("flush with a delay", $client->flush(1000), true);
    check("a delayed flush leaves the values", $client->get("swap"), "two");
    check("flush", $client->flush(), true);
    check("get after flush", $client->get("swap"), false);
    check("set after flush", $client->set("swap", "again"), true);
    check("get of a set after flush", $client->get("swap"), "again");
    check("quit", $client->quit(), true);
    check("a connection after quit", $client->get("swap"), "again");
}

$client = open_client();
storage($client);
typed_values($client);
compare_and_swap($client);
numbers($client);
many_keys($client);
by_key($client);
sizes($client);
expiration($client);
without_replies();
administration($client);
echo "php-memcached ", phpversion("memcached"), " $protocol: every operation\n";
