// Every operation of the npm package memcached (text protocol) against one server: memcached.js HOST PORT
'use strict';

const Memcached = require('memcached');
const { host, port, check, checkRejected, valuesOfEverySize, sleep, run } = require('./support.js');

const server = `${host}:${port}`;
const open = (options) => new Memcached(server, { timeout: 30000, retries: 0, poolSize: 4, ...options });
const client = open({});
// The client empties its lists of results and of errors once the callback has returned: copies are kept.
const kept = (list) => (Array.isArray(list) ? [...list] : list);
const on = (target) => (name, ...words) => new Promise((resolve, reject) => {
  target[name](...words, (error, result) => (error ? reject(kept(error)) : resolve(kept(result))));
});
const call = on(client);

async function storage() {
  check('set', await call('set', 'key', 'one', 0), true);
  check('get', await call('get', 'key'), 'one');
  check('get of a miss', await call('get', 'nokey'), undefined);
  await checkRejected('add of an existing key', call('add', 'key', 'two', 0), /not stored/);
  check('add', await call('add', 'added', 'two', 0), true);
  check('replace', await call('replace', 'key', 'three', 0), true);
  await checkRejected('replace of a miss', call('replace', 'nokey', 'x', 0), /not stored/);
  check('append', await call('append', 'key', '!'), true);
  check('prepend', await call('prepend', 'key', '?'), true);
  check('append and prepend', await call('get', 'key'), '?three!');
  await checkRejected('append to a miss', call('append', 'nokey', '!'), /not stored/);
  await checkRejected('prepend to a miss', call('prepend', 'nokey', '!'), /not stored/);
  check('del', await call('del', 'key'), true);
  check('del of a miss', await call('del', 'key'), false);
  for (const value of ['', 'text', 'zwei\r\nlines \u00fc', 42, { list: [1, { two: 2 }] }, true]) {
    check('set of a typed value', await call('set', 'typed', value, 0), true);
    check('get of a typed value', await call('get', 'typed'), value);
  }
  const spaced = on(open({ namespace: 'space:' }));
  check('set in a namespace', await spaced('set', 'key', 'inside', 0), true);
  check('get in a namespace', await spaced('get', 'key'), 'inside');
  check('get of the whole name', await call('get', 'space:key'), 'inside');
}

async function compareAndSwap() {
  await call('set', 'swap', 'one', 0);
  const found = await call('gets', 'swap');
  check('gets', found.swap, 'one');
  check('gets of a miss', await call('gets', 'nokey'), undefined);
  check('cas', await call('cas', 'swap', 'two', found.cas, 0), true);
  check('cas too late', await call('cas', 'swap', 'three', found.cas, 0), false);
  check('cas of a miss', await call('cas', 'nokey', 'x', found.cas, 0), false);
  check('the value after cas', await call('get', 'swap'), 'two');
}

async function numbers() {
  await call('set', 'number', 10, 0);
  check('incr', await call('incr', 'number', 5), 15);
  check('decr', await call('decr', 'number', 6), 9);
  check('decr below zero', await call('decr', 'number', 100), 0);
  check('incr of a miss', await call('incr', 'nonumber', 1), false);
  check('decr of a miss', await call('decr', 'nonumber', 1), false);
  await call('set', 'word', 'no number', 0);
  await checkRejected('incr of a text', call('incr', 'word', 1), /non-numeric/);
  check('a text survives an incr', await call('get', 'word'), 'no number');
}

async function manyKeys() {
  const many = Object.fromEntries([...Array(200).keys()].map((number) => [`many${number}`, `value ${number}`]));
  const stored = await Promise.all(Object.entries(many).map(([key, value]) => call('set', key, value, 0)));
  check('200 sets at once', stored.every((result) => result === true), true);
  check('getMulti', await call('getMulti', [...Object.keys(many), 'miss1', 'miss2']), many);
  check('getMulti of misses', await call('getMulti', ['miss1', 'miss2']), {});
  const found = await Promise.all(Object.keys(many).map((key) => call('get', key)));
  check('200 gets at once', found, Object.values(many));
}

async function sizes() {
  const values = valuesOfEverySize();
  for (const [key, value] of values) check(`set of ${value.length} bytes`, await call('set', key, value, 0), true);
  for (const [key, value] of values) check(`get of ${value.length} bytes`, (await call('get', key)) === value, true);
  const all = await call('getMulti', values.map(([key]) => key));
  check('getMulti of every size', values.every(([key, value]) => all[key] === value), true);
  // This client takes the server's "too large" for a broken connection; its own limit is above the server's.
  const giant = on(open({ failures: 0, retry: 10 }));
  check('set of one byte too many', await giant('set', 'size3', `${values[3][1]}+`, 0), false);
  check('the other connections go on', await call('get', 'size1'), values[1][1]);
}

async function expiration() {
  check('set with a time to live', await call('set', 'brief', 'x', 1), true);
  check('set to be touched', await call('set', 'touched', 'x', 1), true);
  check('touch', await call('touch', 'touched', 1000), true);
  check('touch of a miss', await call('touch', 'nokey', 1000), false);
  await sleep(2.2);
  check('get after the time to live', await call('get', 'brief'), undefined);
  check('get after touch', await call('get', 'touched'), 'x');
}

async function administration() {
  const [version] = await call('version');
  check('version', [version.server, /^\d+\.\d+\.\d+$/.test(version.version)], [server, true]);
  const [stats] = await call('stats');
  check('stats', [stats.curr_items > 0, stats.limit_maxbytes > 0], [true, true]);
  const [settings] = await call('settings');
  check('settings', 'maxconns' in settings, true);
  const [slabs] = await call('slabs');
  const classes = Object.keys(slabs).filter((name) => /^\d+$/.test(name));
  check('slabs', classes.length > 0 && classes.every((name) => slabs[name].chunk_size > 0), true);
  const [items] = await call('items');
  const used = Object.keys(items).filter((name) => /^\d+$/.test(name));
  check('items', used.length > 0 && used.every((name) => items[name].number > 0), true);
  const dumps = await Promise.all(used.map((name) => call('cachedump', server, Number(name), 0)));
  // A server may leave out what was used just now, so not every item is in the dump.
  const dumped = dumps.flat().filter((item) => item && item.key.startsWith('many'));
  check('cachedump', dumped.length > 0, true);
  for (const { key, b } of dumped) check(`the bytes of ${key}`, b, `value ${key.slice('many'.length)}`.length);
  check('flush', await call('flush'), [true]);
  check('get after flush', await call('get', 'added'), undefined);
  check('set after flush', await call('set', 'added', 'again', 0), true);
  check('get of a set after flush', await call('get', 'added'), 'again');
  client.end();
}

run('memcached', async () => {
  for (const part of [storage, compareAndSwap, numbers, manyKeys, sizes, expiration, administration]) await part();
});
