'use strict';
// The binding of the test API, and a check that a file's tests leave no object of the library behind.

const assert = require('node:assert/strict');
const path = require('node:path');
const { after } = require('node:test');

process.env.FIXTURE_LIBRARY ??= path.join(process.env.MULLAMA_TEST_FIXTURE ?? '.', 'libfixture.so');
const fixture = require('./fixture_binding/generated');

const FOREVER = 2 ** 30;

/** Waits for a condition. */
async function until(condition, ms = 5000) {
  const end = Date.now() + ms;
  while (!condition()) {
    assert.ok(Date.now() < end, 'the time is over');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Lets the garbage collector take what nobody reaches, until `count` objects of a library are left. */
async function collected(count = 0, binding = fixture) {
  await until(() => {
    global.gc();
    return binding.liveObjects() <= count;
  });
}

/** Number of objects that somebody reaches. */
async function reached(binding = fixture) {
  for (let i = 0; i < 3; ++i) {
    global.gc();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return binding.liveObjects();
}

/** Stands at the end of a file: its tests leave nothing of the library behind. */
function nothingIsLeft(binding = fixture) {
  after(() => collected(0, binding));
}

module.exports = { FOREVER, collected, fixture, nothingIsLeft, reached, until };
