'use strict';
// Handles: closing, freeing, lifetimes, threads and callbacks.

const assert = require('node:assert/strict');
const { afterEach, beforeEach, test } = require('node:test');
const { inspect } = require('node:util');
const { collected, fixture, nothingIsLeft, reached, until } = require('./fixture');

let store;

beforeEach(() => {
  store = new fixture.Store('numbers', { note: 'a note' });
  store.put('one', { text: '1' });
  store.put('three');
  store.put('two', { text: 'zwei' });
});

afterEach(() => {
  store.close();
  store = undefined;
});

test('a class has methods, properties and a short representation', () => {
  assert.deepEqual([store.name, store.count, store.find('two'), store.find('four')], ['numbers', 3, 'zwei', null]);
  assert.deepEqual(store.info, { name: 'numbers', note: 'a note', count: 3, sizes: new Int32Array([1, 0, 4]) });
});

test('static methods make objects', () => {
  const other = fixture.Store.fromKeys(['a', 'b']);
  assert.ok(other instanceof fixture.Store);
  assert.deepEqual([other.count, other.info.note], [2, null]);
  other.close();
});

test('closing twice is fine, and use afterwards fails', () => {
  const cursor = store.openCursor();
  store.close();
  store.close();
  assert.equal(store.closed, true);
  assert.equal(inspect(store), 'Store { closed: true }');
  for (const use of [
    () => store.find('one'),
    () => store.info,
    () => store.put('a'),
    () => store.import(store),
    () => store.openCursor(),
  ]) {
    assert.throws(use, { name: 'ArgumentError', code: 'CLOSED' });
  }
  assert.equal(cursor.step(), 'one', 'what was made from it lives on');
  cursor.close();
});

test('functions that cannot fail say that the object is closed', () => {
  const cursor = store.openCursor();
  store.close();
  cursor.close();
  for (const use of [() => store.count, () => store.name, () => cursor.isWaiting()]) {
    assert.throws(use, { code: 'CLOSED', message: /was closed/ });
  }
  cursor.cancel();
});

test('zero from an open object is zero', () => {
  const empty = new fixture.Store('empty');
  assert.deepEqual([empty.count, empty.find('a')], [0, null]);
  empty.close();
});

test('an object keeps its parent', async () => {
  let parent = new fixture.Store('parent');
  parent.put('key');
  const cursor = parent.openCursor();
  assert.equal(cursor.store, parent);
  const clone = cursor.clone();
  assert.equal(clone.store, parent);
  parent = undefined;
  await collected(4);
  assert.equal(clone.step(), 'key');
  cursor.close();
  clone.close();
});

test('forgotten objects are freed', async () => {
  const before = await reached();
  (() => new fixture.Store('a').openCursor())();
  await collected(before);
  assert.equal(fixture.liveObjects(), before);
});

test('a failed constructor leaves nothing', async () => {
  const before = await reached();
  for (const wrong of ['\ud800', 5, undefined]) assert.throws(() => new fixture.Store(wrong), TypeError);
  assert.throws(() => new fixture.Store('a', { notes: 'b' }), /no option notes/);
  await collected(before);
  assert.equal(fixture.liveObjects(), before);
});

test('a result that may be absent', () => {
  assert.equal(store.findCursor('four'), null);
  const cursor = store.findCursor('one');
  assert.deepEqual([cursor.step(), cursor.step(), cursor.step()], ['three', 'two', null]);
  cursor.close();
});

test('handles as arguments', () => {
  const other = fixture.Store.fromKeys(['four']);
  const third = fixture.Store.fromKeys(['five']);
  store.import(other);
  assert.equal(store.count, 4);
  store.import(other, { third });
  store.import(other, { third: null });
  assert.equal(store.count, 5);
  const cursor = store.openCursor();
  for (const wrong of ['four', 5, {}, null, undefined, cursor, fixture.Store, fixture.Store.prototype]) {
    assert.throws(() => store.import(wrong), { name: 'TypeError', message: /^other must be a Store, not / });
  }
  assert.throws(() => store.import(other, { third: cursor }), {
    name: 'TypeError',
    message: /^third must be a Store, not object/,
  });
  cursor.close();
  other.close();
  assert.throws(() => store.import(other), { code: 'CLOSED' });
  third.close();
});

test('a method on an object of another class is a TypeError', () => {
  const cursor = store.openCursor();
  for (const wrong of [cursor, {}, undefined, null, 5, 'a', fixture.Cursor.prototype]) {
    assert.throws(() => fixture.Store.prototype.find.call(wrong, 'one'), TypeError);
  }
  cursor.close();
});

test('what the library makes cannot be made from nothing', () => {
  assert.throws(() => new fixture.Cursor(), {
    name: 'TypeError',
    message: /a Cursor comes from store\.openCursor\(\)/,
  });
  assert.throws(() => fixture.Store('a'), TypeError);
});

test('a class may be extended', () => {
  class Own extends fixture.Store {
    get double() {
      return 2 * this.count;
    }
  }
  const own = new Own('own');
  const made = Own.fromKeys(['a']);
  assert.ok(made instanceof Own);
  assert.deepEqual([own.double, made.double], [0, 2]);
  own.close();
  made.close();
});

test('a deprecated function warns once', async () => {
  const warnings = [];
  const note = (warning) => warnings.push(warning);
  process.on('warning', note);
  assert.deepEqual([store.size(), store.size()], [3, 3]);
  await new Promise(setImmediate);
  process.off('warning', note);
  assert.deepEqual(
    warnings.map((one) => one.name),
    ['DeprecationWarning'],
  );
  assert.match(warnings[0].message, /store\.size\(\) is deprecated: Use `store\.count`/);
});

test('borrowed numbers are copied', () => {
  const cursor = store.openCursor();
  const own = cursor.floats(4);
  assert.deepEqual(cursor.floats(2), new Float32Array([0, 1]));
  assert.deepEqual(own, new Float32Array([0, 1, 2, 3]));
  assert.deepEqual(cursor.floats(0), new Float32Array(0));
  assert.throws(() => cursor.floats(1_000_001), { code: 'INVALID_ARGUMENT' });
  cursor.close();
});

// Disposing

test('Symbol.dispose closes, and Symbol.asyncDispose waits on another thread', async () => {
  const { asyncDispose, dispose } = require('../runtime/handle');
  assert.equal(dispose, Symbol.dispose ?? Symbol.for('nodejs.dispose'));
  const cursor = store.openCursor();
  cursor[dispose]();
  assert.ok(cursor.closed);
  const other = store.openCursor();
  const waiting = assert.rejects(other.wait(), fixture.FixtureError);
  await until(() => other.isWaiting());
  assert.equal(await other[asyncDispose](), undefined);
  await waiting;
  assert.ok(other.closed);
});

// Callbacks

test('a callback sees each entry', () => {
  const seen = [];
  assert.equal(
    store.visit((...one) => void seen.push(one)),
    3,
  );
  assert.deepEqual(seen, [
    [0, 'one', 'plain'],
    [1, 'three', 'empty'],
    [2, 'two', 'plain'],
  ]);
});

for (const [answer, goesOn] of [
  [undefined, true],
  [true, true],
  [1, true],
  ['', true],
  [null, true],
  [false, false],
  [0, false],
]) {
  test(`a callback that answers ${JSON.stringify(answer)} ${goesOn ? 'goes on' : 'stops'}`, () => {
    if (goesOn)
      assert.equal(
        store.visit(() => answer),
        3,
      );
    else assert.throws(() => store.visit(() => answer), { name: 'CancelledError', message: /stopped at entry 0/ });
  });
}

test('what a callback throws comes out, whatever it is', () => {
  for (const thrown of [new RangeError('mine'), 'text', null, undefined, 0, false, {}]) {
    let calls = 0;
    const visitor = (index) => {
      ++calls;
      if (index === 1) throw thrown;
    };
    try {
      store.visit(visitor);
      assert.fail('succeeded');
    } catch (error) {
      assert.equal(error, thrown);
    }
    assert.equal(calls, 2);
  }
  assert.equal(store.count, 3);
});

test('a callback may call the library', () => {
  const found = [];
  store.visit((index, key) => void found.push(store.find(key)));
  assert.deepEqual(found, ['1', '', 'zwei']);
});

test('a callback may close its object', () => {
  store.visit(() => store.close());
  assert.ok(store.closed);
});

test('a callback of a constructor', async () => {
  const before = await reached();
  const parts = [];
  new fixture.Store('a', { listener: (part) => parts.push(part) }).close();
  assert.deepEqual(parts, [0, 1]);
  const own = new Error('mine');
  assert.throws(() => new fixture.Store('a', { listener: () => { throw own; } }), own); // prettier-ignore
  new fixture.Store('a', { listener: null }).close();
  assert.throws(() => new fixture.Store('a', { listener: 5 }), {
    name: 'TypeError',
    message: /^listener must be a function, not number/,
  });
  await collected(before);
  assert.equal(fixture.liveObjects(), before);
});

// Threads

test('calls on an exclusive object wait their turn in order', async () => {
  const cursor = store.openCursor();
  const order = [];
  const calls = [1, 2, 3].map((number) => cursor.wait().then(() => order.push(number)));
  for (let i = 0; i < 3; ++i) {
    await until(() => cursor.isWaiting());
    cursor.release();
    await calls[i];
  }
  assert.deepEqual(order, [1, 2, 3]);
  cursor.close();
});

test('a synchronous call on an object at work fails at once', async () => {
  const cursor = store.openCursor();
  const waiting = cursor.wait();
  await until(() => cursor.isWaiting());
  assert.throws(() => cursor.step(), { name: 'ResourceError', code: 'BUSY' });
  cursor.release();
  await waiting;
  assert.equal(cursor.step(), 'one');
  cursor.close();
});

test('closing ends what runs, and what waits behind it', async () => {
  const cursor = store.openCursor();
  const calls = [cursor.wait(), cursor.wait()];
  await until(() => cursor.isWaiting());
  cursor.close();
  const codes = (await Promise.allSettled(calls)).map((one) => one.reason.code);
  assert.ok(['CANCELLED', 'CLOSED'].includes(codes[0]), codes[0]);
  assert.equal(codes[1], 'CLOSED');
});

test('a promise keeps what it works on', async () => {
  const before = await reached();
  const controller = new AbortController();
  let cursor = store.openCursor();
  const waiting = cursor.wait({ signal: controller.signal });
  await until(() => cursor.isWaiting());
  cursor = undefined;
  assert.equal(await reached(), before + 1);
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  await collected(before);
});

test('many objects work at once, on threads of their own', async () => {
  const cursors = Array.from({ length: 40 }, () => store.openCursor());
  const calls = cursors.map((cursor) => cursor.wait());
  for (const cursor of cursors) await until(() => cursor.isWaiting());
  for (const cursor of cursors) cursor.release();
  await Promise.all(calls);
  for (const cursor of cursors) cursor.close();
});

// AbortSignal

test('a signal ends a call, which rejects with its reason', async () => {
  const cursor = store.openCursor();
  const controller = new AbortController();
  const waiting = cursor.wait({ signal: controller.signal });
  await until(() => cursor.isWaiting());
  controller.abort();
  await assert.rejects(waiting, { name: 'AbortError' });
  assert.equal(cursor.isWaiting(), false);
  const own = new Error('mine');
  await assert.rejects(cursor.wait({ signal: AbortSignal.abort(own) }), own);
  await assert.rejects(cursor.wait({ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
  assert.equal(cursor.step(), 'one');
  cursor.close();
});

test('a signal ends a call that waits for its turn, at once', async () => {
  const cursor = store.openCursor();
  const first = cursor.wait();
  await until(() => cursor.isWaiting());
  const controller = new AbortController();
  const second = cursor.wait({ signal: controller.signal });
  const third = cursor.wait();
  controller.abort();
  await assert.rejects(second, { name: 'AbortError' });
  assert.ok(cursor.isWaiting(), 'the first goes on');
  cursor.release();
  await first;
  await until(() => cursor.isWaiting());
  cursor.release();
  await third;
  cursor.close();
});

test('a signal that comes at any moment ends its call', async () => {
  const cursor = store.openCursor();
  for (let i = 0; i < 200; ++i) {
    const controller = new AbortController();
    const waiting = cursor.wait({ signal: controller.signal });
    if (i % 2) await new Promise(setImmediate);
    controller.abort();
    await assert.rejects(waiting, { name: 'AbortError' });
  }
  cursor.close();
});

test('what is no signal is refused', async () => {
  const cursor = store.openCursor();
  for (const wrong of [5, {}, 'a', null]) {
    await assert.rejects(cursor.wait({ signal: wrong }), {
      name: 'TypeError',
      message: /^signal must be an AbortSignal/,
    });
  }
  await assert.rejects(cursor.wait({ signals: 5 }), { name: 'TypeError', message: /no option signals/ });
  cursor.close();
});

test('a promise rejects where a function would throw', async () => {
  const wait = fixture.Cursor.prototype.wait;
  await assert.rejects(wait.call({}), { name: 'TypeError', message: /^this is not a Cursor/ });
  await assert.rejects(wait.call(store), { name: 'TypeError', message: /^this is not a Cursor/ });
});

nothingIsLeft();
