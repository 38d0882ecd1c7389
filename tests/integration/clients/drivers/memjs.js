// Every operation of memjs (binary protocol) against one server: memjs.js HOST PORT [USER PASSWORD]
'use strict';

const memjs = require('memjs');
const { host, port, check, checkRejected, valuesOfEverySize, sleep, run } = require('./support.js');

const quiet = { log() {} };
const [username, password] = process.argv.slice(4);
const login = username ? { username, password } : {};
const client = memjs.Client.create(`${host}:${port}`, {
  timeout: 30, conntimeout: 10, retries: 1, logger: quiet, ...login,
});
const text = async (key) => {
  const { value } = await client.get(key);
  return value === null ? null : value.toString();
};
const stats = (call) => new Promise((resolve, reject) => {
  call((error, _server, result) => (error ? reject(error) : resolve(result)));
});

async function storage() {
  check('set', await client.set('key', 'one', {}), true);
  const { value, flags } = await client.get('key');
  check('get', value, Buffer.from('one'));
  check('the flags of get', flags, Buffer.alloc(4));
  check('get of a miss', await text('nokey'), null);
  check('add of an existing key', await client.add('key', 'two', {}), false);
  check('add', await client.add('added', 'two', {}), true);
  check('replace', await client.replace('key', 'three', {}), true);
  check('replace of a miss', await client.replace('nokey', 'x', {}), false);
  check('append', await client.append('key', '!'), true);
  // memjs 1.3.2 sends the opcode of append for prepend.
  check('prepend', await client.prepend('key', '?'), true);
  check('the value after append and prepend', await text('key'), 'three!?');
  await checkRejected('append to a miss', client.append('nokey', '!'), /NOT STORED|not stored/i);
  check('delete', await client.delete('key'), true);
  check('delete of a miss', await client.delete('key'), false);
  const bytes = Buffer.from([0, 13, 10, 0x80, 0x81, 255]);
  check('set of bytes', await client.set('bytes', bytes, {}), true);
  check('get of bytes', (await client.get('bytes')).value, bytes);
  check('set under a key with spaces', await client.set('a key', 'spaced', {}), true);
  check('get of a key with spaces', await text('a key'), 'spaced');
}

async function numbers() {
  check('increment of a miss', await client.increment('number', 5, { initial: 40 }), { success: true, value: 40 });
  check('increment', await client.increment('number', 5, {}), { success: true, value: 45 });
  check('decrement', await client.decrement('number', 3, {}), { success: true, value: 42 });
  check('decrement below zero', await client.decrement('number', 100, {}), { success: true, value: 0 });
  check('decrement of a miss', await client.decrement('down', 3, { initial: 7 }), { success: true, value: 7 });
  await client.set('word', 'no number', {});
  await checkRejected('increment of a text', client.increment('word', 1, {}), /non-numeric/i);
  check('a text survives an increment', await text('word'), 'no number');
}

async function manyAtOnce() {
  const numbers = [...Array(200).keys()];
  const stored = await Promise.all(numbers.map((number) => client.set(`many${number}`, `value ${number}`, {})));
  check('200 sets at once', stored.every((result) => result === true), true);
  const found = await Promise.all(numbers.map((number) => text(`many${number}`)));
  check('200 gets at once', found, numbers.map((number) => `value ${number}`));
}

async function sizes() {
  const values = valuesOfEverySize();
  for (const [key, value] of values) check(`set of ${value.length} bytes`, await client.set(key, value, {}), true);
  for (const [key, value] of values) check(`get of ${value.length} bytes`, (await text(key)) === value, true);
  const atOnce = await Promise.all(values.map(([key]) => text(key)));
  check('gets of every size at once', atOnce.every((value, number) => value === values[number][1]), true);
  await checkRejected('set of one byte too many', client.set('size3', `${values[3][1]}+`, {}), /too large/i);
  check('the connection goes on', await text('size1'), values[1][1]);
}

async function expiration() {
  check('set with a time to live', await client.set('brief', 'x', { expires: 1 }), true);
  check('set to be touched', await client.set('touched', 'x', { expires: 1 }), true);
  check('touch', await client.touch('touched', 1000), true);
  check('touch of a miss', await client.touch('nokey', 1000), false);
  await sleep(2.2);
  check('get after the time to live', await text('brief'), null);
  check('get after touch', await text('touched'), 'x');
}

async function administration() {
  const counters = await stats((callback) => client.stats(callback));
  check('stats', [Number(counters.curr_items) > 0, Number(counters.cmd_set) > 0], [true, true]);
  check('statsWithKey', 'maxconns' in (await stats((callback) => client.statsWithKey('settings', callback))), true);
  await stats((callback) => client.resetStats(callback));
  check('a counter after resetStats', (await stats((callback) => client.stats(callback))).cmd_set, '0');
  check('flush', await client.flush(), { [`${host}:${port}`]: true });
  check('get after flush', await text('added'), null);
  check('set after flush', await client.set('added', 'again', {}), true);
  check('get of a set after flush', await text('added'), 'again');
  client.quit();
}

run('memjs', async () => {
  for (const part of [storage, numbers, manyAtOnce, sizes, expiration, administration]) await part();
});
