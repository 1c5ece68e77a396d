'use strict';
// Streams: iteration, waiting, cancelling, failing, and the texts that are made of them.

const assert = require('node:assert/strict');
const { after, before, describe, test } = require('node:test');
const { FOREVER, collected, fixture, nothingIsLeft, reached, until } = require('./fixture');

let store;
before(() => {
  store = new fixture.Store('numbers');
});
after(() => {
  store.close();
  store = undefined;
});

/** Everything that an async iterable gives. */
async function listed(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Runs a body, after which as many objects live as before. */
async function leavesNothing(body) {
  const count = await reached();
  await body();
  assert.equal(fixture.liveObjects(), count);
}

describe('a stream', () => {
  test('is an async iterable', async () => {
    const countdown = store.startCount(3);
    assert.equal(countdown.store, store);
    assert.deepEqual(
      (await listed(countdown)).map((tick) => tick.number),
      [3, 2, 1, 0],
    );
    assert.deepEqual(await listed(countdown), []);
    assert.equal(await countdown.next(), null);
    assert.equal(countdown.text(), '3 2 1 0 ');
    assert.deepEqual(countdown.result, { nTicks: 4, cancelled: false });
    countdown.close();
  });

  test('gives events that stay as they were, also to calls that do not wait for each other', async () => {
    const countdown = store.startCount(300);
    const ticks = await Promise.all(Array.from({ length: 301 }, () => countdown.next()));
    assert.deepEqual(
      ticks.map((tick) => tick.text),
      Array.from({ length: 301 }, (_, i) => `${300 - i} `),
    );
    countdown.close();
  });

  test('may be waited for with a limit', async () => {
    const countdown = store.startCount(3, { delayMs: 1000 });
    const start = Date.now();
    await assert.rejects(countdown.next({ timeout: 100 }), { name: 'TimeoutError' });
    assert.ok(Date.now() - start >= 95 && Date.now() - start < 900);
    await assert.rejects(countdown.next({ timeout: 0 }), { name: 'TimeoutError' });
    assert.equal(await countdown.run({ timeout: 10 }), 'waiting');
    assert.equal((await countdown.next({ timeout: Infinity })).number, 3);
    for (const wrong of [NaN, '5', 5n])
      await assert.rejects(countdown.next({ timeout: wrong }), { name: 'TypeError', message: /^timeout/ });
    countdown.close();
  });

  test('runs to its end', async () => {
    const countdown = store.startCount(2);
    assert.equal(await countdown.run(), 'done');
    assert.equal(countdown.text(), '2 1 0 ');
    countdown.close();
  });

  test('ends when it is cancelled', async () => {
    const countdown = store.startCount(FOREVER, { delayMs: 1 });
    setTimeout(() => countdown.cancel(), 30);
    assert.ok((await listed(countdown)).length < 1000);
    assert.equal(countdown.result.cancelled, true);
    assert.equal(await countdown.run(), 'cancelled');
    countdown.close();
  });

  test('ends by a signal, whose reason comes out', async () => {
    const countdown = store.startCount(FOREVER, { delayMs: 60_000 });
    await assert.rejects(countdown.next({ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });
    assert.equal(countdown.result.cancelled, true);
    countdown.close();
  });

  test('that fails rejects, and the store goes on', async () => {
    const countdown = store.startCount(5, { failAt: 3 });
    const seen = [];
    await assert.rejects(
      async () => {
        for await (const tick of countdown) seen.push(tick.number);
      },
      { name: 'InferenceError', code: 'STREAM_FAILED' },
    );
    assert.deepEqual(seen, [5, 4]);
    countdown.close();
    assert.equal(await store.countText(1), '1 0 ');
  });

  test('is over when it is closed', async () => {
    const countdown = store.startCount(2);
    countdown.close();
    await assert.rejects(countdown.next(), { code: 'CLOSED' });
    await assert.rejects(countdown.run(), { code: 'CLOSED' });
    countdown.cancel();
  });

  test('that is closed meanwhile ends', async () => {
    const countdown = store.startCount(FOREVER, { delayMs: 60_000 });
    const next = countdown.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    countdown.close();
    const [{ value, reason }] = await Promise.allSettled([next]);
    assert.ok(value === null || reason.code === 'CLOSED');
  });
});

describe('a whole text', () => {
  test('is a string, and its promise has the figures', () =>
    leavesNothing(async () => {
      const completion = store.countText(3);
      assert.ok(completion instanceof Promise && completion instanceof fixture.Completion);
      assert.equal(completion.then(() => {}).constructor, Promise);
      assert.equal(await completion, '3 2 1 0 ');
      assert.deepEqual(await completion.result, { nTicks: 4, cancelled: false });
      assert.equal(await store.countText(0), '0 ');
    }));

  test('that fails leaves nothing, and one rejection', () =>
    leavesNothing(async () => {
      const completion = store.countText(3, { failAt: 1 });
      await assert.rejects(completion, { code: 'STREAM_FAILED' });
      await assert.rejects(completion.result, { code: 'STREAM_FAILED' });
      await assert.rejects(store.countText(-1), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(store.countText('3'), { name: 'TypeError', message: /^start must be a number/ });
      await assert.rejects(store.countText(3, { delay: 3 }), {
        name: 'TypeError',
        message: /^there is no option delay/,
      });
    }));

  test('ends by a signal', () =>
    leavesNothing(async () => {
      for (const delayMs of [0, 1, 60_000]) {
        const start = Date.now();
        await assert.rejects(store.countText(FOREVER, { delayMs, signal: AbortSignal.timeout(20) }), {
          name: 'TimeoutError',
        });
        assert.ok(Date.now() - start < 2000);
      }
      await assert.rejects(store.countText(3, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    }));

  test('takes its signal away when it ends', async () => {
    const { getEventListeners } = require('node:events');
    const { signal } = new AbortController();
    await store.countText(3, { signal });
    await listed(store.countPieces(3, { signal }));
    assert.equal(getEventListeners(signal, 'abort').length, 0);
  });
});

describe('pieces of a text', () => {
  test('come one by one', () =>
    leavesNothing(async () => {
      const stream = store.countPieces(3);
      assert.equal(stream.result, null);
      assert.deepEqual(await listed(stream), ['3 ', '2 ', '1 ', '0 ']);
      assert.deepEqual(stream.result, { nTicks: 4, cancelled: false });
      assert.deepEqual(await listed(stream), []);
      await stream.close();
      assert.deepEqual(stream.result, { nTicks: 4, cancelled: false });
    }));

  test('are all there when there are many, whatever the pace of the reader', async () => {
    const expected = Array.from({ length: 3001 }, (_, i) => `${3000 - i} `);
    assert.deepEqual(await listed(store.countPieces(3000)), expected);
    const slow = [];
    for await (const piece of store.countPieces(3000)) {
      slow.push(piece);
      if (slow.length % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.deepEqual(slow, expected);
  });

  test('come in order to calls that do not wait for each other', async () => {
    const stream = store.countPieces(5);
    const answers = await Promise.all(Array.from({ length: 8 }, () => stream.next()));
    assert.deepEqual(
      answers.map((one) => one.value),
      ['5 ', '4 ', '3 ', '2 ', '1 ', '0 ', undefined, undefined],
    );
    assert.deepEqual(
      answers.map((one) => one.done),
      [false, false, false, false, false, false, true, true],
    );
  });

  test('leaving the loop early frees the generation', () =>
    leavesNothing(async () => {
      for (const delayMs of [0, 1]) {
        const stream = store.countPieces(FOREVER, { delayMs });
        for await (const piece of stream) {
          assert.equal(piece, `${FOREVER} `);
          break;
        }
        assert.equal(stream.result.cancelled, true);
        assert.deepEqual(await stream.next(), { done: true, value: undefined });
      }
    }));

  test('throwing in the loop frees the generation', () =>
    leavesNothing(async () => {
      const own = new Error('mine');
      await assert.rejects(async () => {
        for await (const piece of store.countPieces(FOREVER)) throw Object.assign(own, { piece });
      }, own);
    }));

  test('a thread stops when it is far enough ahead of its reader', async () => {
    const stream = store.countPieces(FOREVER);
    await stream.next();
    await new Promise((resolve) => setTimeout(resolve, 50));
    await stream.close();
    assert.ok(stream.result.nTicks > 1 && stream.result.nTicks < 1024, `${stream.result.nTicks}`);
  });

  test('cancelled pieces end as usual', async () => {
    const stream = store.countPieces(FOREVER, { delayMs: 1 });
    await stream.next();
    stream.cancel();
    assert.ok((await listed(stream)).length < 100);
    assert.equal(stream.result.cancelled, true);
  });

  test('cancelling works before the first piece, and when the thread has stopped ahead', () =>
    leavesNothing(async () => {
      const unread = store.countPieces(FOREVER);
      unread.cancel();
      assert.deepEqual(await listed(unread), []);
      const ahead = store.countPieces(FOREVER);
      await ahead.next();
      await new Promise((resolve) => setTimeout(resolve, 30));
      ahead.cancel();
      assert.ok((await listed(ahead)).length <= 1024);
      assert.equal(ahead.result.cancelled, true);
    }));

  test('closing an unread stream leaves nothing', () =>
    leavesNothing(async () => {
      const stream = store.countPieces(FOREVER);
      await stream.close();
      await stream.close();
      assert.deepEqual(await listed(stream), []);
      assert.equal(stream.result, null);
    }));

  test('disposing frees the generation', () =>
    leavesNothing(async () => {
      const { asyncDispose, dispose } = require('../runtime/handle');
      const stream = store.countPieces(FOREVER);
      await stream.next();
      await stream[asyncDispose]();
      assert.equal(stream.result.cancelled, true);
      const other = store.countPieces(FOREVER);
      await other.next();
      const count = fixture.liveObjects();
      other[dispose]();
      await until(() => fixture.liveObjects() < count);
    }));

  test('a signal ends the loop with its reason', () =>
    leavesNothing(async () => {
      const own = new Error('mine');
      for (const delayMs of [0, 1, 60_000]) {
        const controller = new AbortController();
        setTimeout(() => controller.abort(own), 20);
        await assert.rejects(listed(store.countPieces(FOREVER, { delayMs, signal: controller.signal })), own);
      }
      await assert.rejects(listed(store.countPieces(3, { signal: AbortSignal.abort(own) })), own);
      assert.throws(() => store.countPieces(3, { signal: 5 }), { name: 'TypeError', message: /^signal must be/ });
    }));

  test('an error comes after the pieces before it', () =>
    leavesNothing(async () => {
      const seen = [];
      const stream = store.countPieces(5, { failAt: 2 });
      await assert.rejects(
        async () => {
          for await (const piece of stream) seen.push(piece);
        },
        { code: 'STREAM_FAILED' },
      );
      assert.deepEqual(seen, ['5 ', '4 ', '3 ']);
      assert.deepEqual(await listed(stream), []);
      await assert.rejects(listed(store.countPieces(-1)), { code: 'INVALID_ARGUMENT' });
      assert.throws(() => store.countPieces('3'), { name: 'TypeError', message: /^start must be a number/ });
    }));

  test('a forgotten stream ends and is freed', async () => {
    const count = fixture.liveObjects();
    await (async () => {
      await store.countPieces(FOREVER, { delayMs: 1 }).next();
      await store.countPieces(FOREVER).next();
    })();
    await collected(count);
  });

  test('a store that is closed meanwhile does no harm', async () => {
    const own = new fixture.Store('own');
    const stream = own.countPieces(1000);
    await stream.next();
    own.close();
    assert.equal((await listed(stream)).length, 1000);
    await assert.rejects(listed(own.countPieces(3)), { code: 'CLOSED' });
    await assert.rejects(own.countText(3), { code: 'CLOSED' });
  });
});

test('the event loop is never blocked', async () => {
  let longest = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - last);
    last = performance.now();
  }, 5);
  await Promise.all(Array.from({ length: 60 }, () => store.countText(20, { delayMs: 10 })));
  clearInterval(timer);
  assert.ok(longest < 1000, `${longest} ms without a timer`);
});

nothingIsLeft();
