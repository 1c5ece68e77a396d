'use strict';
// From a case's arguments to those of the Node binding, and from its results to what cases write.

const path = require('node:path');

const binding = require(path.join(__dirname, '..', '..', '..', 'bindings', 'node'));

/** Numbers that JSON cannot write stand as texts: inf, -inf, nan. */
const NUMBERS = { inf: Infinity, '-inf': -Infinity, nan: NaN };

function number(value) {
  if (Array.isArray(value)) return value.map(number);
  return typeof value === 'string' && value in NUMBERS ? NUMBERS[value] : value;
}

/** A text or several, also one that is not UTF-8: JavaScript has half a surrogate pair for that. */
function text(value) {
  if (Array.isArray(value) && value.some((one) => one instanceof Uint8Array)) return value.map(text);
  if (!(value instanceof Uint8Array)) return value;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(value);
  } catch {
    return `${Buffer.from(value).toString('latin1')}\udcff`;
  }
}

/** Notes each call under `calls` and gives the answers in turn, the last one again and again. */
function callback(given, parameters) {
  if (!given) return given;
  const { answers, calls } = given;
  return (...values) => {
    calls.push(Object.fromEntries(parameters.map((name, index) => [name, values[index]])));
    return answers[Math.min(calls.length, answers.length) - 1];
  };
}

/** Everything that an async iterable gives. */
async function listed(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

/** A result as cases write it; structs have functions of their own. */
function plain(value) {
  if (value instanceof Int32Array || value instanceof Float32Array) return Array.from(value);
  return value;
}

module.exports = { NUMBERS, binding, callback, listed, number, plain, text };
