// Every operation of the npm package memcache-client (text protocol) against one server: memcache_client.js HOST PORT
'use strict';

const { MemcacheClient } = require('memcache-client');
const { host, port, FLAGS_BYTES, check, checkRejected, valuesOfEverySize, sleep, run } = require('./support.js');

const server = { server: `${host}:${port}`, maxConnections: 3 };
const client = new MemcacheClient({ server, cmdTimeout: 30000, lifetime: 0 });
const valueAt = async (key) => ((await client.get(key)) || {}).value;

async function storage() {
  check('set', await client.set('key', 'one'), ['STORED']);
  check('get', await valueAt('key'), 'one');
  check('get of a miss', await client.get('nokey'), undefined);
  await checkRejected('add of an existing key', client.add('key', 'two'), /NOT_STORED/);
  check('add', await client.add('added', 'two'), ['STORED']);
  check('replace', await client.replace('key', 'three'), ['STORED']);
  await checkRejected('replace of a miss', client.replace('nokey', 'x'), /NOT_STORED/);
  check('append', await client.append('key', '!'), ['STORED']);
  check('prepend', await client.prepend('key', '?'), ['STORED']);
  check('append and prepend', await valueAt('key'), '?three!');
  await checkRejected('append to a miss', client.append('nokey', '!'), /NOT_STORED/);
  check('delete', await client.delete('key'), ['DELETED']);
  await checkRejected('delete of a miss', client.delete('key'), /NOT_FOUND/);
  for (const value of ['text', 42, { list: [1, { two: 2 }] }, Buffer.from([0, 13, 10, 0x80, 255])]) {
    check('set of a typed value', await client.set('typed', value), ['STORED']);
    check('get of a typed value', await valueAt('typed'), value);
  }
}

async function compareAndSwap() {
  await client.set('swap', 'one');
  const found = await client.gets('swap');
  check('gets', found.value, 'one');
  check('cas', await client.cas('swap', 'two', { casUniq: found.casUniq }), ['STORED']);
  await checkRejected('cas too late', client.cas('swap', 'three', { casUniq: found.casUniq }), /EXISTS/);
  await checkRejected('cas of a miss', client.cas('nokey', 'x', { casUniq: found.casUniq }), /NOT_FOUND/);
  check('the value after cas', await valueAt('swap'), 'two');
}

async function numbers() {
  await client.set('number', '10');
  check('incr', await client.incr('number', 5), '15');
  check('decr', await client.decr('number', 6), '9');
  check('decr below zero', await client.decr('number', 100), '0');
  await checkRejected('incr of a miss', client.incr('nonumber', 1), /NOT_FOUND/);
  await client.set('word', 'no number');
  await checkRejected('incr of a text', client.incr('word', 1), /non-numeric/);
  check('a text survives an incr', await valueAt('word'), 'no number');
}

async function manyKeys() {
  const numbers = [...Array(200).keys()];
  await Promise.all(numbers.map((number) => client.set(`many${number}`, `value ${number}`)));
  const found = await client.get([...numbers.map((number) => `many${number}`), 'miss1', 'miss2']);
  check('get of 202 keys', Object.keys(found).length, 200);
  for (const number of numbers) check('each of them', found[`many${number}`].value, `value ${number}`);
  const uniques = await client.gets(['many1', 'many2']);
  check('gets of two keys', [uniques.many1.value, uniques.many2.value], ['value 1', 'value 2']);
  for (const number of numbers) await client.set(`quiet${number}`, `value ${number}`, { noreply: true });
  // The connections are several: what one sends quietly arrives, but another may read before.
  const quietKeys = numbers.map((number) => `quiet${number}`);
  for (let tries = 0; tries < 1000 && Object.keys(await client.get(quietKeys)).length < 200; tries++) await sleep(0.01);
  const quiet = await client.get(quietKeys);
  check('sets without a reply', numbers.every((number) => quiet[`quiet${number}`].value === `value ${number}`), true);
}

async function sizes() {
  const values = valuesOfEverySize();
  for (const [key, value] of values) check(`set of ${value.length} bytes`, await client.set(key, value), ['STORED']);
  for (const [key, value] of values) check(`get of ${value.length} bytes`, (await valueAt(key)) === value, true);
  await checkRejected('set of one byte too many', client.set('size3', `${values[3][1]}+`), /too large/);
  check('the connection goes on', await valueAt('size1'), values[1][1]);
  const [key, value] = valuesOfEverySize(FLAGS_BYTES)[3];
  check(`set of ${value.length} bytes with flags`, await client.set(key, Buffer.from(value)), ['STORED']);
  check(`get of ${value.length} bytes with flags`, (await valueAt(key)).equals(Buffer.from(value)), true);
  await checkRejected('set of one byte too many with flags', client.set(key, Buffer.from(`${value}+`)), /too large/);
}

async function expiration() {
  check('set with a time to live', await client.set('brief', 'x', { lifetime: 1 }), ['STORED']);
  check('set to be touched', await client.set('touched', 'x', { lifetime: 1 }), ['STORED']);
  check('touch', await client.touch('touched', 1000), ['TOUCHED']);
  await checkRejected('touch of a miss', client.touch('nokey', 1000), /NOT_FOUND/);
  await sleep(2.2);
  check('get after the time to live', await client.get('brief'), undefined);
  check('get after touch', await valueAt('touched'), 'x');
}

async function administration() {
  const [, version] = await client.version();
  check(`version (${version})`, /^1\.6\.\d+/.test(version), true);
  const { STAT } = await client.cmd('stats');
  check('stats', Number(Object.fromEntries(STAT.map((line) => line.slice(0, 2))).curr_items) > 0, true);
  check('flush_all', await client.cmd('flush_all'), ['OK']);
  check('get after flush_all', await client.get('added'), undefined);
  check('send', await client.send('set added 0 0 5\r\nagain\r\n'), ['STORED']);
  check('get of what was sent', await valueAt('added'), 'again');
  client.shutdown();
}

run('memcache-client', async () => {
  for (const part of [storage, compareAndSwap, numbers, manyKeys, sizes, expiration, administration]) await part();
});
