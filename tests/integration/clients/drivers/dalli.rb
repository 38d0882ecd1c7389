# Every operation of Dalli against one server: dalli.rb HOST PORT binary|meta [USER PASSWORD]
# Ends with status 1 and one readable line at the first wrong result; with status 77 when this Dalli lacks the protocol.

require 'dalli'

ITEM_BYTES_MAX = 1_048_576
ITEM_OVERHEAD = 48 + 8 + 1 + 2 # header, unique, the key's end, the value's end
SKIPPED = 77

host, port, protocol, username, password = ARGV
specification = Gem.loaded_specs['dalli']
if protocol == 'meta' && !File.exist?(File.join(specification&.full_gem_path || '', 'lib/dalli/protocol/meta.rb'))
  warn "Dalli #{Dalli::VERSION} does not speak the meta protocol"
  exit SKIPPED
end

def shown(value)
  value.inspect[0, 200]
end

def check(what, actual, expected)
  return if actual == expected

  warn "Dalli #{what}: got #{shown(actual)} instead of #{shown(expected)}"
  exit 1
end

def check_true(what, actual)
  check(what, actual ? true : actual, true)
end

# What Dalli returns for "not stored" depends on its release and the server's reason: false, nil or the unique 0.
def check_refused(what, actual)
  check(what, [false, nil, 0].include?(actual) ? :refused : actual, :refused)
end

def check_raises(what, kind)
  yield
rescue kind
  nil
else
  warn "Dalli #{what}: no #{kind} was raised"
  exit 1
end

# A value says which key it belongs to and which of its parts is where.
def value_of(key, bytes)
  value = +''
  number = 0
  while value.bytesize < bytes
    value << "#{key}/#{bytes}/#{number};"
    number += 1
  end
  value[0, bytes]
end

Dalli.logger.level = Logger::ERROR
RAW = { raw: true }.freeze

def storage(client)
  check_true('set', client.set('key', 'one'))
  check('get', client.get('key'), 'one')
  check('get of a miss', client.get('nokey'), nil)
  check_refused('add of an existing key', client.add('key', 'two'))
  check_true('add', client.add('added', 'two'))
  check_true('replace', client.replace('key', 'three'))
  check_refused('replace of a miss', client.replace('nokey', 'x'))
  check('replace', client.get('key'), 'three')
  client.set('raw', 'middle', nil, RAW)
  check_true('append', client.append('raw', '!'))
  check_true('prepend', client.prepend('raw', '?'))
  check_refused('append to a miss', client.append('nokey', '!'))
  check_refused('prepend to a miss', client.prepend('nokey', '!'))
  check('append and prepend', client.get('raw', RAW), '?middle!')
  check_true('delete', client.delete('key'))
  check_refused('delete of a miss', client.delete('key'))
  check('fetch of a miss', client.fetch('fetched', 100) { 'computed' }, 'computed')
  check('fetch of a hit', client.fetch('fetched', 100) { 'not again' }, 'computed')
end

def typed_values(client)
  ['', 'text', 42, -1, 1.5, true, false, [1, { 'two' => 3 }], "\0\r\n" * 99, 'ünïcode'].each do |value|
    check_true('set of a typed value', client.set('typed', value))
    check('get of a typed value', client.get('typed'), value)
  end
  ['key with spaces', "key\twith\x01control", 'schlüssel', 'k' * 300].each do |key|
    check_true("set of #{key}", client.set(key, "value of #{key}"))
    check("get of #{key}", client.get(key), "value of #{key}")
  end
  check_true('set with compression', client.set('compressed', 'compress me ' * 9000, nil, compress: true))
  check('get with compression', client.get('compressed'), 'compress me ' * 9000)
end

def compare_and_swap(client)
  client.set('swap', 'one')
  check_true('cas', client.cas('swap') { |value| "#{value} two" })
  check('the value after cas', client.get('swap'), 'one two')
  check('cas of a miss', client.cas('noswap') { 'x' }, nil)
  check_true('cas! of a miss', client.cas!('newswap') { 'made' })
  check('the value after cas!', client.get('newswap'), 'made')
  check('cas too late', client.cas('swap') { client.set('swap', 'between') && 'late' }, false)
  check('the value after a late cas', client.get('swap'), 'between')

  value, unique = client.get_cas('swap')
  check('get_cas', [value, unique.positive?], ['between', true])
  newer = client.set_cas('swap', 'newer', unique)
  check('set_cas', newer.is_a?(Integer) && newer != unique, true)
  check_refused('set_cas too late', client.set_cas('swap', 'x', unique))
  check_true('replace_cas', client.replace_cas('swap', 'newest', newer))
  check_refused('replace_cas too late', client.replace_cas('swap', 'x', newer))
  check('get_multi_cas', client.get_multi_cas('swap', 'noswap').transform_values(&:first), { 'swap' => 'newest' })
  check_refused('delete_cas too late', client.delete_cas('swap', newer))
  check_true('delete_cas', client.delete_cas('swap', client.get_cas('swap').last))
  check('get after delete_cas', client.get('swap'), nil)
end

def numbers(client)
  client.set('number', '10', nil, RAW)
  check('incr', client.incr('number', 5), 15)
  check('decr', client.decr('number', 6), 9)
  check('decr below zero', client.decr('number', 100), 0)
  check('incr of a miss', client.incr('nonumber', 1), nil)
  check('incr with an initial value', client.incr('started', 1, 1000, 40), 40)
  check('incr after the initial value', client.incr('started', 2, 1000, 40), 42)
  check('decr with an initial value', client.decr('started down', 1, 1000, 7), 7)
  client.set('large number', ((1 << 64) - 1).to_s, nil, RAW)
  check('incr wraps at 64 bits', client.incr('large number', 2), 1)
  client.set('word', 'no number', nil, RAW)
  check_raises('incr of a text', Dalli::DalliError) { client.incr('word', 1) }
  check('a text survives an incr', client.get('word', RAW), 'no number')
end

def many_keys(client)
  many = (0...200).to_h { |number| ["many#{number}", "value #{number}"] }
  client.multi { many.each { |key, value| client.set(key, value) } }
  check('get_multi after quiet sets', client.get_multi(many.keys + %w[miss1 miss2]), many)
  yielded = {}
  client.get_multi(many.keys) { |key, value| yielded[key] = value }
  check('get_multi with a block', yielded, many)
  client.multi do
    client.add('many0', 'must not be stored')
    client.replace('nokey', 'must not be stored')
    client.delete('many1')
    client.delete('miss1')
  end
  check('quiet add, replace, delete', client.get_multi('many0', 'many1', 'nokey'), { 'many0' => 'value 0' })
end

def sizes(client)
  values = [1, 1024, 102_400, ITEM_BYTES_MAX - ITEM_OVERHEAD - 'size3'.length].each_with_index.to_h do |bytes, number|
    ["size#{number}", value_of("size#{number}", bytes)]
  end
  values.each { |key, value| check_true("set of #{value.bytesize} bytes", client.set(key, value, nil, RAW)) }
  values.each { |key, value| check_true("get of #{value.bytesize} bytes", client.get(key, RAW) == value) }
  client.set('padded', values['size2'], nil, RAW)
  check_true('append of 100 KiB', client.append('padded', values['size2']))
  check_true('get of twice 100 KiB', client.get('padded', RAW) == values['size2'] * 2)
  marshalled = values['size3'][0, values['size3'].bytesize - 200]
  check_true('set of a large marshalled value', client.set('marshalled', marshalled))
  check_true('get of a large marshalled value', client.get('marshalled') == marshalled)
  check_raises('set of one byte too many', Dalli::DalliError) { client.set('size3', "#{values['size3']}+", nil, RAW) }
  check_true('the connection goes on', client.get('size1', RAW) == values['size1'])
end

def expiration(client)
  client.set('brief', 'x', 1)
  client.set('touched', 'x', 1)
  client.set('kept', 'x', 1)
  check_true('touch', client.touch('touched', 1000))
  check('touch of a miss', client.touch('nokey', 1000), nil)
  check('gat', client.gat('kept', 1000), 'x')
  check('gat of a miss', client.gat('nokey', 1000), nil)
  sleep 2.2
  check('what a time to live leaves', client.get_multi('brief', 'touched', 'kept'), { 'touched' => 'x', 'kept' => 'x' })
end

def administration(client)
  client.alive!
  version = client.version.values.first
  check_true("version (#{version})", version.match?(/\A1\.6\.\d+/))
  stats = client.stats.values.first
  check_true('stats', stats['curr_items'].to_i.positive? && stats['limit_maxbytes'].to_i.positive?)
  check_true('stats of items', client.stats(:items).values.first.size.positive?)
  check_true('stats of slabs', client.stats(:slabs).values.first.size.positive?)
  check_true('stats of settings', client.stats(:settings).values.first.key?('maxconns'))
  check_true('reset_stats', client.reset_stats.first)
  check('a counter after reset_stats', client.stats.values.first['cmd_set'], '0')
  # Without a delay, which lies between one server and the next in old releases and before the first in new ones.
  check_true('flush', client.flush.first)
  check('get after flush', client.get('added'), nil)
  check_true('set after flush', client.set('added', 'again'))
  client.close
  check('a connection after close', client.get('added'), 'again')
  client.close
end

client = Dalli::Client.new("#{host}:#{port}", protocol: protocol.to_sym, socket_timeout: 30, compress: false,
                                              value_max_bytes: ITEM_BYTES_MAX * 2,
                                              username: username, password: password)
storage(client)
typed_values(client)
compare_and_swap(client)
numbers(client)
many_keys(client)
sizes(client)
expiration(client)
administration(client)
puts "Dalli #{Dalli::VERSION} #{protocol}: every operation"
