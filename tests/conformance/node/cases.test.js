'use strict';
// Every conformance case through the Node binding: the expanded ones that MULLAMA_TEST_CASES names.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { CaseFailed, readCases, runCase } = require('./runner');

const folder = process.env.MULLAMA_TEST_CASES;
const results = process.env.MULLAMA_CONFORMANCE_RESULTS;

let report = () => {};
if (results) {
  const file = path.join(results, 'node.jsonl');
  fs.mkdirSync(results, { recursive: true });
  fs.writeFileSync(file, '');
  report = (line) => fs.appendFileSync(file, `${JSON.stringify(line)}\n`);
}

/** What the case's run counts as. */
function settled(testCase, failure) {
  const line = { case: testCase.case, language: 'node' };
  if (testCase.gap === undefined)
    return failure === null ? { ...line, result: 'pass' } : { ...line, result: 'fail', message: failure };
  if (failure !== null) return { ...line, result: 'gap', reason: testCase.gap };
  return { ...line, result: 'fail', message: `is listed as a gap (${testCase.gap}), but passes` };
}

for (const testCase of readCases(path.join(folder, 'cases.jsonl'))) {
  test(testCase.case, async () => {
    let failure = null;
    try {
      await runCase(testCase);
    } catch (error) {
      failure = error instanceof CaseFailed ? error.message : `${error.stack}`;
    }
    const line = settled(testCase, failure);
    report(line);
    if (line.result === 'fail') assert.fail(line.message);
  });
}

test('no case passes with its last expectation turned around', async () => {
  const passed = [];
  for (const testCase of readCases(path.join(folder, 'negated.jsonl'))) {
    try {
      await runCase(testCase);
    } catch (error) {
      if (!(error instanceof CaseFailed)) throw error;
      continue;
    }
    passed.push(testCase.case);
  }
  assert.deepEqual(passed, []);
});
