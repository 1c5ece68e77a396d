'use strict';
// Runs expanded conformance cases through the Node binding.

const fs = require('node:fs');
const { binding } = require('./arguments');
const { mismatch, shown } = require('./comparison');
const { calls } = require('./dispatch');

const EVERYTHING = '*';

/** A step did not do what its case expects. */
class CaseFailed extends Error {}

/** Rejects with CaseFailed, naming the step. */
async function runCase(testCase) {
  const before = binding.liveObjects();
  const bindings = new Map();
  const opened = [];
  try {
    for (const [index, step] of testCase.steps.entries()) {
      const reason = await runStep(withBytes(step), bindings, opened);
      if (reason) throw new CaseFailed(`step ${index + 1} ${step.call ?? ''}: ${reason}`);
    }
  } finally {
    bindings.clear();
    while (opened.length > 0) opened.pop().close();
  }
  await collected(before);
}

/** Handles are freed when nobody reaches them any more. */
async function collected(count) {
  for (let tries = 0; binding.liveObjects() > count; ++tries) {
    if (tries === 200) throw new CaseFailed(`${binding.liveObjects() - count} objects are left over`);
    global.gc();
    await new Promise((resolve) => (tries < 20 ? setImmediate(resolve) : setTimeout(resolve, 5)));
  }
}

async function runStep(step, bindings, opened) {
  if ('truncate_file' in step) {
    fs.truncateSync(step.truncate_file, step.length);
    return null;
  }
  if ('check' in step) return mismatch(resolved(step.expect, bindings), resolved(step.check, bindings));
  bindCalls(step.args ?? {}, bindings);
  const on = 'on' in step ? resolved(step.on, bindings) : undefined;
  const args = {
    ...resolved(step.args ?? {}, bindings),
    ...('timeout_ms' in step ? { timeout_ms: step.timeout_ms } : {}),
  };
  const expected = 'expect' in step ? resolved(step.expect, bindings) : undefined;
  const { call, result: written } = calls[step.call];
  let found = null;
  let status = 'end';
  try {
    if ('collect' in step) {
      [found, status] = await collect(calls[step.call], on, args, step);
    } else {
      const result = await call(on, args);
      if (result instanceof binding.Handle) opened.push(result);
      found = result === undefined ? null : written(result);
      status = found === null ? 'end' : 'item';
    }
  } catch (error) {
    if (error.name !== 'TimeoutError') return failure(step, error);
    status = 'waiting';
  }
  if ('as' in step) bindings.set(step.as, found);
  if ('error' in step) return `succeeded with ${shown(found)}, an error was expected`;
  if ('status' in step && step.status !== status) return `the status is ${status}`;
  return 'expect' in step ? mismatch(expected, found) : null;
}

/** An error of the library, or a TypeError with its code where a value cannot be given to it. */
function failure(step, error) {
  if (!(error instanceof binding.MullamaError) && !(error instanceof TypeError && error.code)) throw error;
  if (step.error !== error.code)
    return `${error.code}${step.error ? ` instead of ${step.error}` : ''}: ${error.message}`;
  return 'message' in step ? mismatch({ contains: step.message }, error.message) : null;
}

async function collect({ call, result }, on, args, step) {
  const items = [];
  while (items.length < (step.limit ?? 1e6)) {
    let item;
    try {
      item = await call(on, args);
    } catch (error) {
      if (error.name === 'TimeoutError') return [items, 'waiting'];
      throw error;
    }
    if (item === null) return [items, 'end'];
    item = result(item);
    items.push(step.collect === EVERYTHING ? item : item[step.collect]);
  }
  return [items, 'item'];
}

function bindCalls(args, bindings) {
  for (const argument of Object.values(args)) {
    if (argument?.answers) {
      argument.calls = [];
      bindings.set(argument.as ?? '', argument.calls);
    }
  }
}

/** The value with every reference replaced by what is bound, or a part of it. */
function resolved(value, bindings) {
  if (Array.isArray(value)) return value.map((item) => resolved(item, bindings));
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array || 'answers' in value) return value;
  if (!('ref' in value))
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, resolved(item, bindings)]));
  let found = bindings.get(value.ref);
  for (const part of value.path ?? []) found = typeof part === 'number' ? found.at(part) : (found[part] ?? null);
  if ('cut' in value) found = found.slice(0, value.cut);
  if ('flip' in value) {
    found = Uint8Array.from(found);
    found.set([found.at(value.flip) ^ 1], value.flip < 0 ? found.length + value.flip : value.flip);
  }
  return found;
}

function withBytes(value) {
  if (Array.isArray(value)) return value.map(withBytes);
  if (typeof value !== 'object' || value === null) return value;
  if (Object.keys(value).join() === 'hex' && typeof value.hex === 'string')
    return new Uint8Array(Buffer.from(value.hex, 'hex'));
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, withBytes(item)]));
}

function readCases(file) {
  return fs.readFileSync(file, 'ascii').trimEnd().split('\n').map((line) => JSON.parse(line)); // prettier-ignore
}

module.exports = { CaseFailed, readCases, runCase };
