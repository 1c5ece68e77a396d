'use strict';
// Whether a result is what a case expects; the matchers are those of ../README.md.

const { inspect } = require('node:util');
const { NUMBERS } = require('./arguments');

const isNumber = (value) => typeof value === 'number' || typeof value === 'bigint';
const isObject = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
const shown = (value) => inspect(value, { depth: 4, breakLength: Infinity }).slice(0, 400);

/** null if the result is as expected, otherwise where and how it differs. */
function mismatch(expected, found) {
  const words = isObject(expected) ? Object.keys(expected) : [];
  if (words.length > 0 && words.every((word) => word in MATCHERS || word === 'tolerance')) {
    for (const word of words) {
      if (word === 'tolerance') continue;
      const reason = MATCHERS[word](expected[word], found, expected.tolerance ?? 1e-4);
      if (reason) return reason;
    }
    return null;
  }
  return notEqual(expected, found, false);
}

function notEqual(expected, found, exactly) {
  if (isNumber(found) && (isNumber(expected) || expected in NUMBERS)) {
    const wanted = isNumber(expected) ? expected : NUMBERS[expected];
    // == and not ===: a bigint may equal a number, and minus zero is zero.
    return wanted == found || (Number.isNaN(wanted) && Number.isNaN(found))
      ? null
      : `${found} is not ${shown(expected)}`; // eslint-disable-line eqeqeq
  }
  let pairs;
  if (found instanceof Uint8Array && expected instanceof Uint8Array) {
    return Buffer.compare(found, expected) === 0 ? null : `${shown(found)} is not ${shown(expected)}`;
  }
  if (Array.isArray(found) && Array.isArray(expected)) {
    if (found.length !== expected.length)
      return `${shown(found)} has ${found.length} items, not ${expected.length}: ${shown(expected)}`;
    pairs = expected.map((one, index) => [`[${index}]`, one, found[index]]);
  } else if (isObject(found) && isObject(expected)) {
    const [keys, wanted] = [Object.keys(found).sort(), Object.keys(expected).sort()];
    if (exactly && keys.join() !== wanted.join()) return `the keys are ${keys}, not ${wanted}`;
    pairs = wanted.map((name) => [name, expected[name], Object.hasOwn(found, name) ? found[name] : null]);
  } else {
    return expected === found ? null : `${shown(found)} is not ${shown(expected)}`;
  }
  for (const [place, one, other] of pairs) {
    const reason = exactly ? notEqual(one, other, true) : mismatch(one, other);
    if (reason) return `${place}: ${reason}`;
  }
  return null;
}

function notClose(expected, found, tolerance) {
  if (Array.isArray(expected) && Array.isArray(found)) {
    if (expected.length !== found.length) return `${found.length} items, not ${expected.length}`;
    for (const [index, one] of expected.entries()) {
      const reason = notClose(one, found[index], tolerance);
      if (reason) return `[${index}]: ${reason}`;
    }
    return null;
  }
  if (!isNumber(found) || !(isNumber(expected) || expected in NUMBERS))
    return `${shown(found)} is no number near ${shown(expected)}`;
  const wanted = isNumber(expected) ? expected : NUMBERS[expected];
  if (!Number.isFinite(wanted) || !Number.isFinite(found)) return notEqual(expected, found, false);
  return Math.abs(wanted - found) <= tolerance ? null : `${found} is not within ${tolerance} of ${wanted}`;
}

function lacks(parts, found) {
  for (const part of Array.isArray(parts) ? parts : [parts]) {
    const has = Array.isArray(found)
      ? found.some((item) => mismatch(part, item) === null)
      : typeof found === 'string' && typeof part === 'string' && found.includes(part);
    if (!has) return `${shown(found)} does not contain ${shown(part)}`;
  }
  return null;
}

function lengthOf(found) {
  if (found === null) return 0;
  if (typeof found === 'string') return Buffer.byteLength(found);
  return isObject(found) ? Object.keys(found).length : found.length;
}

const named = (what, reason) => (reason ? `${what}: ${reason}` : null);

const MATCHERS = {
  close: notClose,
  exactly: (expected, found) => notEqual(expected, found, true),
  contains: lacks,
  not: (expected, found) => (mismatch(expected, found) ? null : `${shown(found)} is not wanted`),
  at(expected, found) {
    for (const [place, one] of Object.entries(expected)) {
      const item = found.at(Number(place));
      if (item === undefined) return `[${place}] is not there`;
      const reason = mismatch(one, item);
      if (reason) return `[${place}]: ${reason}`;
    }
    return null;
  },
  length: (expected, found) => named('length', mismatch(expected, lengthOf(found))),
  argmax: (expected, found) =>
    named('argmax', mismatch(expected, found.indexOf(found.reduce((a, b) => Math.max(a, b))))),
  begins: (start, found) =>
    typeof found === 'string' && found.startsWith(start) ? null : `${shown(found)} does not begin with ${start}`,
  at_least: (limit, found) => (isNumber(found) && found >= limit ? null : `${shown(found)} is not at least ${limit}`),
  at_most: (limit, found) => (isNumber(found) && found <= limit ? null : `${shown(found)} is not at most ${limit}`),
  one_of: (choices, found) =>
    choices.some((one) => mismatch(one, found) === null) ? null : `${shown(found)} is none of ${shown(choices)}`,
  every(expected, found) {
    for (const [index, item] of found.entries()) {
      const reason = mismatch(expected, item);
      if (reason) return `[${index}]: ${reason}`;
    }
    return null;
  },
};

module.exports = { mismatch, shown };
