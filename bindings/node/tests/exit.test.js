'use strict';
// A process that ends in the midst of a generation ends at once, with its exit code, and says nothing.

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');

const TIMES = 50;

function run(how, code, program = 'exit.js') {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(__dirname, 'programs', program), how, `${code}`],
      { timeout: 60_000 },
      (error, stdout, stderr) => {
        resolve({ code: error ? (error.signal ?? error.code) : 0, stdout, stderr });
      },
    );
  });
}

test(`process.exit, ${TIMES} times`, async () => {
  for (let i = 0; i < TIMES; ++i) {
    const code = i % 7;
    assert.deepEqual(await run('exit', code), { code, stdout: 'running\n', stderr: '' });
  }
});

test('process.exit in a callback of the library', async () => {
  for (let i = 0; i < 10; ++i) assert.deepEqual(await run('callback', i), { code: i, stdout: 'running\n', stderr: '' });
});

test('an uncaught error', async () => {
  for (let i = 0; i < 10; ++i) {
    const { code, stdout, stderr } = await run('throw', 0);
    assert.deepEqual([code, stdout], [1, 'running\n']);
    assert.match(stderr, /Error: on purpose\n/);
  }
});

test('the end of the program, while a stream is ahead of nobody', async () => {
  for (let i = 0; i < 10; ++i) assert.deepEqual(await run('leave', 0), { code: 0, stdout: 'running\n', stderr: '' });
});

test(`process.exit while an engine works, ${TIMES} times`, async () => {
  for (let i = 0; i < TIMES; ++i) {
    const code = i % 7;
    assert.deepEqual(await run('exit', code, 'engine.js'), { code, stdout: 'running\nclosed\n', stderr: '' });
  }
});

test('an uncaught error while an engine works', async () => {
  for (let i = 0; i < 10; ++i) {
    const { code, stdout, stderr } = await run('throw', 0, 'engine.js');
    assert.deepEqual([code, stdout], [1, 'running\nclosed\n']);
    assert.match(stderr, /Error: on purpose\n/);
  }
});

test('a stream that is read keeps the process alive; an engine, and what nobody reads, do not', async () => {
  assert.deepEqual(await run('read', 0, 'engine.js'), { code: 0, stdout: 'running\nread\nclosed\n', stderr: '' });
  for (let i = 0; i < 10; ++i) assert.deepEqual(await run('idle', 0, 'engine.js'), { code: 0, stdout: 'running\nclosed\n', stderr: '' }); // prettier-ignore
});
