'use strict';
// Errors: a class for each family, with the library's code, number and sentence.

const assert = require('node:assert/strict');
const { test } = require('node:test');
const { fixture, nothingIsLeft } = require('./fixture');

const families = {
  FILE_NOT_FOUND: [1001, 'FileError'],
  OUT_OF_RANGE: [2002, 'ArgumentError'],
  INVALID_UTF8: [2003, 'ArgumentError'],
  INVALID_JSON: [2004, 'ArgumentError'],
  CLOSED: [2005, 'ArgumentError'],
  OUT_OF_MEMORY: [3001, 'ResourceError'],
  BUSY: [3002, 'ResourceError'],
  UNKNOWN_WORD: [4001, 'VocabularyError'],
  STREAM_FAILED: [5001, 'InferenceError'],
  INVALID_GRAMMAR: [6001, 'GrammarError'],
  INVALID_IMAGE: [7001, 'MediaError'],
  INTERNAL: [8001, 'InternalError'],
  CANCELLED: [9001, 'CancelledError'],
};

for (const [code, [errno, name]] of Object.entries(families)) {
  test(`${code} is a ${name}`, () => {
    assert.throws(
      () => fixture.fail(errno, { message: 'naïve 🦙' }),
      (error) => {
        assert.ok(error instanceof fixture[name] && error instanceof fixture.FixtureError && error instanceof Error);
        assert.deepEqual([error.code, error.errno, error.message, error.name], [code, errno, 'naïve 🦙', name]);
        assert.match(error.stack, /failures\.test\.js/);
        return true;
      },
    );
  });
}

test('a code of a newer library keeps its number, and its family where that is known', () => {
  assert.throws(() => fixture.fail(2999), { name: 'ArgumentError', code: 'UNKNOWN_2999', errno: 2999 });
  assert.throws(() => fixture.fail(99999), { name: 'FixtureError', code: 'UNKNOWN_99999', errno: 99999 });
});

const mishaps = {
  out_of_memory: 'OUT_OF_MEMORY',
  exception: 'INTERNAL',
  unknown_exception: 'INTERNAL',
  backend_abort: 'INTERNAL',
};
for (const [how, code] of Object.entries(mishaps)) {
  test(`${how} is an error, not the end`, () => assert.throws(() => fixture.failUnexpectedly(how), { code }));
}

test('a size beyond every limit is an error', () => {
  assert.throws(() => fixture.failUnexpectedly('too_large'), fixture.FixtureError);
});

test('an error survives structuredClone as an Error, and is found by its code', () => {
  try {
    fixture.fail(1001, { message: 'gone' });
    assert.fail('succeeded');
  } catch (error) {
    assert.equal(structuredClone(error).message, 'gone');
    assert.equal(JSON.parse(JSON.stringify(error)).code, 'FILE_NOT_FOUND');
  }
});

nothingIsLeft();
