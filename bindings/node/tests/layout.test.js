'use strict';
// Sizes and offsets of structs as the addons were compiled are those of the C target's own tables.

const assert = require('node:assert/strict');
const { readFileSync } = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
require('./fixture');

const abi = path.join(__dirname, '..', '..', '..', 'abi');

function table(file) {
  const lines = readFileSync(path.join(abi, file), 'utf8').trimEnd().split('\n');
  const rows = lines.filter((line) => !line.startsWith('#')).map((line) => line.split('\t'));
  return Object.fromEntries(rows.map(([name, bytes]) => [name, Number(bytes)]));
}

for (const [binding, file] of [
  ['./fixture_binding/generated/binding', 'fixture/libfixture.layout.tsv'],
  ['../generated/binding', 'libmullama.layout.tsv'],
]) {
  test(`${file} is what ${binding} was compiled to`, () => {
    const expected = table(file);
    assert.ok(Object.keys(expected).length > 40);
    assert.deepEqual(require(binding).native.layout(), expected);
  });
}
