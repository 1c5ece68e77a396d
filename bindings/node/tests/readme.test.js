'use strict';
// Every JavaScript example of the README runs as printed, as a user's program in a folder with a model.

const assert = require('node:assert/strict');
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { after, before, test } = require('node:test');

const root = path.dirname(__dirname);
const readme = fs.readFileSync(path.join(root, 'README.md'), 'utf8');
const blocks = [...readme.matchAll(/^```javascript\n(.*?)^```/gms)].map((match) => match[1]);

let folder;
before(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), 'mullama-readme-'));
  fs.symlinkSync(process.env.MULLAMA_TEST_MODEL, path.join(folder, 'model.gguf'));
  fs.mkdirSync(path.join(folder, 'node_modules'));
  fs.symlinkSync(root, path.join(folder, 'node_modules', 'mullama'), 'junction');
});
after(() => fs.rmSync(folder, { recursive: true }));

/** Runs an example; what its comments promise about a line's output must come, in order. */
function run(name, code) {
  fs.writeFileSync(path.join(folder, name), code);
  const output = execFileSync(process.execPath, [name], { cwd: folder, encoding: 'utf8' });
  const promised = [...code.matchAll(/^ *console\.log\(.*\); \/\/ (?!a |its )(.*)$/gm)].map((match) => match[1]);
  let from = 0;
  for (const line of promised) {
    const at = output.indexOf(`${line}\n`, from);
    assert.ok(at >= 0, `${line} is not in\n${output}`);
    from = at + line.length;
  }
  return output;
}

test('there are examples', () => assert.ok(blocks.length >= 5));

for (const [index, code] of blocks.entries()) {
  test(`example ${index + 1}`, () => {
    if (code.includes('import ')) return void run(`example-${index}.mjs`, code);
    assert.ok(run(`example-${index}.js`, `(async () => {\n${code}})();\n`).length > 200);
  });
}
