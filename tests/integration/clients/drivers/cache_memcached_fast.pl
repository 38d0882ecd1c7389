# Every operation of Cache::Memcached::Fast against one server: cache_memcached_fast.pl HOST PORT
# Ends with status 1 and one readable line at the first wrong result.

use strict;
use warnings;
use Cache::Memcached::Fast;

use constant ITEM_BYTES_MAX => 1_048_576;
use constant ITEM_OVERHEAD => 48 + 8 + 1 + 2;    # header, unique, the key's end, the value's end

my ($host, $port) = @ARGV;

sub shown {
    my ($value) = @_;
    return 'undef' unless defined $value;
    return '{' . join(', ', map { "$_ => " . shown($value->{$_}) } sort keys %$value) . '}' if ref $value eq 'HASH';
    return '[' . join(', ', map { shown($_) } @$value) . ']' if ref $value eq 'ARRAY';
    return "'$value'";
}

sub check {
    my ($what, $actual, $expected) = @_;
    my ($got, $wanted) = (shown($actual), shown($expected));
    return if $got eq $wanted;
    printf STDERR "Cache::Memcached::Fast %s: got %.200s instead of %.200s\n", $what, $got, $wanted;
    exit 1;
}

# The module's booleans: 1, the empty text for "no", undef for an error.
sub check_yes { my ($what, $actual) = @_; check($what, $actual, 1); }
sub check_no { my ($what, $actual) = @_; check($what, $actual, ''); }

# A value says which key it belongs to and which of its parts is where.
sub value_of {
    my ($key, $bytes) = @_;
    my ($value, $number) = ('', 0);
    $value .= "$key/$bytes/" . $number++ . ';' while length $value < $bytes;
    return substr $value, 0, $bytes;
}

sub open_client {
    return Cache::Memcached::Fast->new({servers => ["$host:$port"], connect_timeout => 10, io_timeout => 30,
        max_size => 2 * ITEM_BYTES_MAX, max_failures => 0, @_});
}

sub storage {
    my ($client) = @_;
    check_yes('set', $client->set('key', 'one'));
    check('get', $client->get('key'), 'one');
    check('get of a miss', scalar $client->get('nokey'), undef);
    check_no('add of an existing key', $client->add('key', 'two'));
    check_yes('add', $client->add('added', 'two'));
    check_yes('replace', $client->replace('key', 'three'));
    check_no('replace of a miss', $client->replace('nokey', 'x'));
    check_yes('append', $client->append('key', '!'));
    check_yes('prepend', $client->prepend('key', '?'));
    check_no('append to a miss', $client->append('nokey', '!'));
    check_no('prepend to a miss', $client->prepend('nokey', '!'));
    check('append and prepend', $client->get('key'), '?three!');
    check_yes('delete', $client->delete('key'));
    check_no('delete of a miss', $client->delete('key'));
    check_no('remove of a miss', $client->remove('key'));
    $client->set('structure', {list => [1, 2, {three => 3}]});
    check('get of a structure', $client->get('structure'), {list => [1, 2, {three => 3}]});
    check('namespace', $client->namespace('space:'), '');
    check_yes('set in a namespace', $client->set('key', 'inside'));
    check('get in a namespace', $client->get('key'), 'inside');
    $client->namespace('');
    check('get of the whole name', $client->get('space:key'), 'inside');
}

sub compare_and_swap {
    my ($client) = @_;
    $client->set('swap', 'one');
    my $found = $client->gets('swap');
    check('gets', $found->[1], 'one');
    check('gets of a miss', scalar $client->gets('nokey'), undef);
    check_yes('cas', $client->cas('swap', $found->[0], 'two'));
    check_no('cas too late', $client->cas('swap', $found->[0], 'three'));
    check_no('cas of a miss', $client->cas('nokey', $found->[0], 'x'));
    check('the value after cas', $client->get('swap'), 'two');
    $client->set('swap2', 'two');
    my $both = $client->gets_multi('swap', 'swap2', 'nokey');
    check('gets_multi', [map { $both->{$_}[1] } sort keys %$both], ['two', 'two']);
    my @results = $client->cas_multi(['swap', $both->{swap}[0], 'three'], ['swap2', $found->[0], 'x']);
    check('cas_multi', \@results, [1, '']);
}

sub numbers {
    my ($client) = @_;
    $client->set('number', 10);
    check('incr', $client->incr('number'), 11);
    check('incr by 5', $client->incr('number', 5), 16);
    check('decr', $client->decr('number', 6), 10);
    check('decr by 1', $client->decr('number'), 9);
    check('decr below zero', $client->decr('number', 100), '0E0');
    check_no('incr of a miss', $client->incr('nonumber'));
    check_no('decr of a miss', $client->decr('nonumber'));
    $client->set('number', 1);
    $client->set('number2', 20);
    check('incr_multi', [$client->incr_multi('number', ['number2', 5], 'nonumber')], [2, 25, '']);
    check('decr_multi', [$client->decr_multi('number', ['number2', 5], 'nonumber')], [1, 20, '']);
    $client->set('text', 'no number');
    check('incr of a text', scalar $client->incr('text'), undef);
    check('a text survives an incr', $client->get('text'), 'no number');
}

sub many_keys {
    my ($client) = @_;
    my %many = map { ("many$_" => "value $_") } 0 .. 199;
    my $results = $client->set_multi(map { [$_, $many{$_}] } keys %many);
    check('set_multi', scalar(grep { $_ } values %$results), 200);
    check('get_multi', $client->get_multi(keys %many, 'miss1', 'miss2'), \%many);
    check('add_multi', [$client->add_multi(['many0', 'x'], ['many200', 'x'])], ['', 1]);
    check('replace_multi', [$client->replace_multi(['many0', 'r'], ['miss1', 'x'])], [1, '']);
    check('append_multi', [$client->append_multi(['many0', '!'], ['miss1', 'x'])], [1, '']);
    check('prepend_multi', [$client->prepend_multi(['many0', '?'], ['miss1', 'x'])], [1, '']);
    check('the value after those', $client->get('many0'), '?r!');
    check('touch_multi', [$client->touch_multi(['many0', 1000], ['miss1', 1000])], [1, '']);
    check('gat_multi', $client->gat_multi(1000, 'many1', 'many2', 'miss1'), {many1 => 'value 1', many2 => 'value 2'});
    my $found = $client->gats_multi(1000, 'many1', 'miss1');
    check('gats_multi', [map { $found->{$_}[1] } keys %$found], ['value 1']);
    check('delete_multi', [$client->delete_multi('many0', 'many1', 'miss1')], [1, 1, '']);
    check('get_multi after delete_multi', $client->get_multi('many0', 'many1', 'many2'), {many2 => 'value 2'});
}

sub sizes {
    my ($client) = @_;
    my $number = 0;
    my %values = map { my $key = 'size' . $number++; ($key => value_of($key, $_)) }
        1, 1024, 102_400, ITEM_BYTES_MAX - ITEM_OVERHEAD - length 'size3';
    check_yes('set of ' . length($values{$_}) . ' bytes', $client->set($_, $values{$_})) for sort keys %values;
    for my $key (sort keys %values) {
        check_yes('get of ' . length($values{$key}) . ' bytes', $client->get($key) eq $values{$key});
    }
    my $all = $client->get_multi(keys %values);
    check_yes("get_multi of every size: $_", $all->{$_} eq $values{$_}) for sort keys %values;
    check('set of one byte too many', scalar $client->set('size3', $values{size3} . '+'), undef);
    check_yes('the connection goes on', $client->get('size1') eq $values{size1});
    my $packing = open_client(compress_threshold => 1000);
    check_yes('set with compression', $packing->set('packed', $values{size2}));
    check_yes('get with compression', $packing->get('packed') eq $values{size2});
}

sub expiration {
    my ($client) = @_;
    $client->set($_, 'x', 1) for qw(brief touched got gots);
    check_yes('touch', $client->touch('touched', 1000));
    check_no('touch of a miss', $client->touch('nokey', 1000));
    check('gat', $client->gat(1000, 'got'), 'x');
    check('gat of a miss', scalar $client->gat(1000, 'nokey'), undef);
    check('gats', $client->gats(1000, 'gots')->[1], 'x');
    select undef, undef, undef, 2.2;
    check('what a time to live leaves', $client->get_multi(qw(brief touched got gots)),
        {touched => 'x', got => 'x', gots => 'x'});
}

sub without_waiting {
    my ($reader) = @_;
    my $client = open_client(nowait => 1);
    $client->set("unawaited$_", "value $_") for 0 .. 499;
    $client->delete('unawaited0');
    $client->nowait_push;
    my $found = $reader->get_multi(map { "unawaited$_" } 0 .. 499);
    check('what was set without waiting', $found, {map { ("unawaited$_" => "value $_") } 1 .. 499});
}

sub administration {
    my ($client) = @_;
    my $version = $client->server_versions->{"$host:$port"};
    check_yes("server_versions ($version)", $version =~ /^1\.6\.\d+/ ? 1 : 0);
    check('flush_all with a delay', $client->flush_all(1000), {"$host:$port" => 1});
    check('flush_all', $client->flush_all, {"$host:$port" => 1});
    check('get after flush_all', scalar $client->get('added'), undef);
    check_yes('set after flush_all', $client->set('added', 'again'));
    $client->disconnect_all;
    check('a connection after disconnect_all', $client->get('added'), 'again');
}

my $client = open_client();
storage($client);
compare_and_swap($client);
numbers($client);
many_keys($client);
sizes($client);
expiration($client);
without_waiting($client);
administration($client);
print "Cache::Memcached::Fast $Cache::Memcached::Fast::VERSION text: every operation\n";
