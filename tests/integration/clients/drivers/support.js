// What the drivers of the Node.js clients share: checks, values, the arguments HOST PORT.
'use strict';

const assert = require('assert');

const ITEM_BYTES_MAX = 1048576;
const ITEM_OVERHEAD = 48 + 8 + 1 + 2; // header, unique, the key's end, the value's end
const FLAGS_BYTES = 4; // only an item whose flags are not 0 has them

const [host, port] = process.argv.slice(2);

function shown(value) {
  const text = Buffer.isBuffer(value) ? `bytes ${value.toString('latin1')}` : JSON.stringify(value) || 'undefined';
  return text.slice(0, 200);
}

function check(what, actual, expected) {
  try {
    assert.deepStrictEqual(actual, expected);
  } catch (difference) {
    throw new Error(`${what}: got ${shown(actual)} instead of ${shown(expected)}`);
  }
}

async function checkRejected(what, promise, pattern) {
  let result;
  try {
    result = await promise;
  } catch (error) {
    if (pattern.test(String(error.message))) return;
    throw new Error(`${what}: failed with "${error.message}" instead of ${pattern}`);
  }
  throw new Error(`${what}: got ${shown(result)} instead of a failure like ${pattern}`);
}

// A value says which key it belongs to and which of its parts is where.
function valueOf(key, bytes) {
  const parts = [];
  for (let length = 0, number = 0; length < bytes; number++) {
    parts.push(`${key}/${bytes}/${number};`);
    length += parts[number].length;
  }
  return parts.join('').slice(0, bytes);
}

// One value of each size that matters; the last is the largest that fits the server's default item limit.
function valuesOfEverySize(flagsBytes = 0) {
  const largest = ITEM_BYTES_MAX - ITEM_OVERHEAD - flagsBytes - 'size3'.length;
  return [1, 1024, 102400, largest].map((bytes, number) => [`size${number}`, valueOf(`size${number}`, bytes)]);
}

function sleep(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

// Runs the driver's function: status 1 and one readable line at the first wrong result, or after too long a wait.
async function run(name, operations) {
  const wait = setTimeout(() => {
    console.error(`${name}: an answer never came`);
    process.exit(1);
  }, 45000);
  process.on('unhandledRejection', (error) => {
    console.error(`${name}, unhandled: ${error && (error.message || error)}`);
    process.exit(1);
  });
  try {
    await operations();
  } catch (error) {
    console.error(`${name} ${error.message || error}`);
    process.exit(1);
  }
  clearTimeout(wait);
  console.log(`${name} ${require(`${name}/package.json`).version}: every operation`);
  process.exit(0);
}

module.exports = { host, port: Number(port), FLAGS_BYTES, check, checkRejected, valueOf, valuesOfEverySize, sleep, run };
