<?php
// The session handler of php-memcached, its locks included: php_session.php HOST PORT text|binary
// Ends with status 1 and one readable line at the first wrong result. Runs itself once more as the other request.

[, $host, $port, $protocol] = $argv;
$role = $argv[4] ?? "first";
foreach (["save_handler" => "memcached", "save_path" => "$host:$port", "use_cookies" => "0", "use_only_cookies" => "0",
          "cache_limiter" => "", "gc_maxlifetime" => "1000", "lazy_write" => "1"] as $name => $value) {
    ini_set("session.$name", $value);
}
foreach (["sess_binary_protocol" => $protocol === "binary" ? "1" : "0", "sess_locking" => "1", "sess_lock_retries" => "3",
          "sess_lock_wait_min" => "50", "sess_lock_wait_max" => "50", "sess_lock_expire" => "30"] as $name => $value) {
    ini_set("memcached.$name", $value);
}

function check(string $what, $actual, $expected): void
{
    if ($actual !== $expected) {
        [$got, $wanted] = array_map(fn($value) => substr(var_export($value, true), 0, 200), [$actual, $expected]);
        fwrite(STDERR, "php-memcached session, $what: got $got instead of $wanted\n");
        exit(1);
    }
}

function other_request(string $id): string
{
    global $argv;
    $words = array_merge([PHP_BINARY, $argv[0]], array_slice($argv, 1, 3), ["other", $id]);
    return trim(shell_exec(implode(" ", array_map("escapeshellarg", $words))) ?? "");
}

function stored(): Memcached
{
    global $host, $port, $protocol;
    static $client = null;
    if ($client === null) {
        $client = new Memcached();
        $client->setOption(Memcached::OPT_BINARY_PROTOCOL, $protocol === "binary");
        $client->addServer($host, (int)$port);
    }
    return $client;
}

if ($role === "other") {
    session_id($argv[5]);
    if (!@session_start()) {
        echo "locked out\n";
        exit(0);
    }
    $_SESSION["visits"] = ($_SESSION["visits"] ?? 0) + 1;
    echo "visit ", $_SESSION["visits"], "\n";
    session_write_close();
    exit(0);
}

$id = bin2hex(random_bytes(16));
session_id($id);
check("start", session_start(), true);
check("a new session is empty", $_SESSION, []);
$_SESSION["visits"] = 1;
$_SESSION["large"] = str_repeat("session ", 20000);
check("the lock is an item", stored()->get("memc.sess.key.lock.$id") !== false, true);
check("another request while the session is open", other_request($id), "locked out");
check("write and close", session_write_close(), true);
check("the lock is gone", stored()->get("memc.sess.key.lock.$id"), false);
check("the session is an item", strlen(stored()->get("memc.sess.key.$id")) > 160000, true);
check("another request after it", other_request($id), "visit 2");
check("one more", other_request($id), "visit 3");

session_id($id);
check("start again", session_start(), true);
check("what the others wrote is here", $_SESSION["visits"], 3);
check("the large value is here", $_SESSION["large"], str_repeat("session ", 20000));
check("a new identifier", session_regenerate_id(true), true);
$renewed = session_id();
check("the identifier changed", $renewed !== $id, true);
session_write_close();
check("the old session is gone", stored()->get("memc.sess.key.$id"), false);
check("the new one is here", strlen(stored()->get("memc.sess.key.$renewed")) > 160000, true);

session_id($renewed);
check("start without a change", session_start(), true);
check("an unchanged session is only touched", session_write_close(), true);
session_id($renewed);
check("start to destroy", session_start(), true);
check("destroy", session_destroy(), true);
check("a destroyed session is gone", stored()->get("memc.sess.key.$renewed"), false);
check("another request after destroy", other_request($renewed), "visit 1");
echo "php-memcached ", phpversion("memcached"), " session handler $protocol: stores, locks, renews, destroys\n";
