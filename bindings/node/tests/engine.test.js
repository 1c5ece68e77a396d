'use strict';
// The engine in an event loop: any number of requests at once, one thread for all of them, and every way to end.

const assert = require('node:assert/strict');
const fs = require('node:fs');
const { after, before, describe, test } = require('node:test');
const { TINY, mullama } = require('./model');
const { collected, nothingIsLeft, reached, until } = require('./fixture');

const { Engine, liveObjects } = mullama;
const settings = { nCtx: 256, nSlots: 4, nThreads: 1, contextShift: true };
const endless = { prompt: 'of of', max_tokens: -1, ignore_eos: true, stream: true };
const short = (n) => ({ prompt: [5 + (n % 100)], max_tokens: n, temperature: 0, ignore_eos: true });

let engine;
before(() => {
  engine = new Engine(TINY, settings);
});
after(() => {
  engine.close();
  engine = undefined;
});

/** Runs a body with an engine of its own, after which as many objects live as before. */
async function withEngine(options, body) {
  const count = await reached(mullama);
  await (async () => {
    const own = await Engine.open(TINY, { ...settings, ...options });
    try {
      await body(own);
    } finally {
      own.close();
    }
  })();
  await collected(count, mullama);
}

test('files are named by texts and by URLs, in options too', async () => {
  const { pathToFileURL } = require('node:url');
  const path = require('node:path');
  const adapter = path.join(path.dirname(TINY), 'lora.gguf');
  const url = pathToFileURL(adapter);
  for (const lora of [adapter, url, [url], [adapter]]) {
    const options = Object.freeze({ ...settings, nSlots: 1, lora, draftModel: pathToFileURL(TINY) });
    const [own, other] = [new Engine(pathToFileURL(TINY), options), await Engine.open(TINY, options)];
    for (const one of [own, other]) {
      const stream = await one.requestAsync('lora-adapters');
      assert.deepEqual((await listed(stream)).map(({ data }) => data[0].path), [adapter]); // prettier-ignore
      one.close();
    }
  }
  assert.throws(() => new Engine(TINY, { ...settings, lora: [new URL('https://a.org/b')] }), { name: 'TypeError' });
});

async function listed(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

/** The only event of an answer that is not streamed. */
async function answer(on, route, body) {
  const stream = await on.requestAsync(route, body);
  try {
    const event = await stream.next();
    assert.equal(await stream.next(), null);
    return event.data;
  } finally {
    stream.close();
  }
}

/** A stream that has its slot and does not go on, because nobody reads it. */
async function holder(on) {
  const stream = on.request('completions', endless);
  await until(() => stream.info.paused, 20_000);
  return stream;
}

const text = (events) => events.map((event) => event.data.choices.map((one) => one.text).join('')).join('');

describe('a request', () => {
  test('is answered whole, or event by event', async () => {
    const whole = await answer(engine, 'completions', short(20));
    const events = await listed(engine.request('completions', { ...short(20), stream: true }));
    assert.ok(events.length > 5);
    assert.equal(text(events), whole.choices[0].text);
    assert.equal(events.at(-1).data.usage.completion_tokens, 20);
  });

  test('may be JSON text, and has no body where it needs none', async () => {
    assert.deepEqual((await answer(engine, 'tokenize', '{"content": "of"}')).tokens, [414]);
    assert.equal((await answer(engine, 'props')).n_ctx, 256);
    assert.equal((await answer(engine, 'props', null)).n_ctx, 256);
  });

  test('that is wrong is refused at once, by its family', async () => {
    const wrong = [
      ['nowhere', {}, 'ArgumentError', 'INVALID_ARGUMENT'],
      ['completions', '{', 'ArgumentError', 'INVALID_JSON'],
      ['completions', { prompt: 'of', temprature: 1 }, 'ArgumentError', 'INVALID_ARGUMENT'],
      ['completions', { prompt: 'of', grammar: 'root ::= (' }, 'GrammarError', 'INVALID_GRAMMAR'],
      ['completions', { prompt: Array(257).fill(5) }, 'ResourceError', 'CONTEXT_FULL'],
      ['completions', { prompt: [100_000] }, 'VocabularyError', 'INVALID_TOKEN'],
    ];
    for (const [route, body, name, code] of wrong) {
      assert.throws(() => engine.request(route, body), { name, code });
      await assert.rejects(engine.requestAsync(route, body), { name, code });
    }
    assert.throws(() => engine.request('props', { it: 5n }), { name: 'TypeError', message: /^body cannot be written/ });
    assert.throws(() => engine.request(5), { name: 'TypeError', message: /^route must be a string/ });
  });

  test('32 at once are answered, each with its own', async () => {
    const lengths = Array.from({ length: 32 }, (_, i) => i + 1);
    const answers = await Promise.all(lengths.map((n) => answer(engine, 'completions', short(n))));
    assert.deepEqual(
      answers.map((one) => one.usage.completion_tokens),
      lengths,
    );
    const streamed = await Promise.all(
      lengths.map((n) => listed(engine.request('completions', { ...short(n), stream: true }))),
    );
    assert.deepEqual(
      streamed.map((events) => events.at(-1).data.usage.completion_tokens),
      lengths,
    );
  });
});

describe('threads', { skip: process.platform !== 'linux' && 'they are counted in /proc' }, () => {
  const count = () => fs.readdirSync('/proc/self/task').length;

  test('1,000 open streams cost two at most', () =>
    withEngine({ maxQueued: 1000 }, async (engine) => {
      const before = count();
      let most = 0;
      const done = new Set();
      const streams = await Promise.all(
        Array.from({ length: 1000 }, () => engine.requestAsync('completions', { ...short(4), stream: true })),
      );
      await Promise.all(
        streams.map(async (stream, i) => {
          for await (const event of stream) {
            if (event.data.choices[0]?.finish_reason === 'length') done.add(i);
            most = Math.max(most, count());
          }
          stream.close();
        }),
      );
      assert.equal(done.size, 1000);
      assert.ok(most > 0 && most - before <= 2, `${before} threads before, ${most} with the streams`);
    }));

  test('1,000 streams that wait cost two at most', () =>
    withEngine({ nSlots: 1, maxQueued: 1000 }, async (engine) => {
      const before = count();
      const first = await holder(engine);
      const streams = Array.from({ length: 1000 }, () => engine.request('completions', endless));
      const reading = streams.map((stream) => stream.next());
      assert.ok(count() - before <= 2, `${before} threads before, ${count()} with the streams`);
      assert.equal(engine.info.nStreams, 1001);
      for (const stream of streams) stream.cancel();
      assert.deepEqual(new Set(await Promise.all(reading)), new Set([null]));
      for (const stream of [first, ...streams]) stream.close();
    }));
});

describe('a stream', () => {
  test('that is left early is cancelled, and frees its slot', () =>
    withEngine({ nSlots: 1 }, async (engine) => {
      const stream = engine.request('completions', endless);
      for await (const event of stream) {
        assert.equal(event.data.object, 'text_completion');
        break;
      }
      assert.equal(stream.info.state, 'cancelled');
      assert.equal(await stream.next(), null);
      await assert.rejects(
        async () => {
          for await (const event of engine.request('completions', endless))
            throw Object.assign(new Error('mine'), event);
        },
        { message: 'mine' },
      );
      assert.equal((await answer(engine, 'completions', short(3))).usage.completion_tokens, 3);
      stream.close();
    }));

  test('ends by a signal with its reason, while generating and while queued', () =>
    withEngine({ nSlots: 1 }, async (engine) => {
      const own = new Error('mine');
      const controller = new AbortController();
      const running = engine.request('completions', endless);
      const queued = Array.from({ length: 3 }, () => engine.request('completions', endless));
      const reading = queued.map((one) => assert.rejects(one.next({ signal: controller.signal }), own));
      await running.next();
      controller.abort(own);
      await Promise.all(reading);
      assert.deepEqual(
        queued.map((one) => one.info.state),
        ['cancelled', 'cancelled', 'cancelled'],
      );
      await assert.rejects(running.next({ signal: AbortSignal.abort(own) }), own);
      assert.equal(running.info.state, 'generating', 'nobody has called it');
      await assert.rejects(running.next({ signal: 5 }), { name: 'TypeError', message: /^signal must be/ });
      for (const stream of [running, ...queued]) stream.close();
    }));

  test('may be waited for with a limit', () =>
    withEngine({ nSlots: 1 }, async (engine) => {
      const first = await holder(engine);
      const stream = engine.request('completions', { ...short(2), stream: true });
      await assert.rejects(stream.next({ timeout: 0 }), { name: 'TimeoutError' });
      await assert.rejects(stream.next({ timeout: 10 }), { name: 'TimeoutError' });
      const together = [stream.next({ timeout: 5 }), stream.next(), stream.next({ timeout: 5 })];
      await assert.rejects(together[0], { name: 'TimeoutError' });
      for (const wrong of [NaN, '5', 5n, null]) {
        await assert.rejects(engine.request('props').next({ timeout: wrong }), {
          name: 'TypeError',
          message: /^timeout/,
        });
      }
      await assert.rejects(engine.request('props').next({ limit: 5 }), {
        name: 'TypeError',
        message: /no option limit/,
      });
      first.close();
      assert.equal((await together[1]).data.choices[0].finish_reason, null);
      await together[2].catch((error) => assert.equal(error.name, 'TimeoutError'));
      stream.close();
    }));

  test('answers calls that do not wait for each other in order', async () => {
    const stream = engine.request('completions', { ...short(12), stream: true });
    const events = await Promise.all(Array.from({ length: 20 }, () => stream.next()));
    const expected = await answer(engine, 'completions', short(12));
    assert.equal(text(events.filter((event) => event !== null)), expected.choices[0].text);
    assert.equal(events.at(-1), null);
    stream.close();
  });

  test('that is closed meanwhile answers its readers', async () => {
    for (const close of [(one) => one.close(), (one) => one[Symbol.asyncDispose]?.() ?? one.close()]) {
      await withEngine({ nSlots: 1 }, async (engine) => {
        const first = await holder(engine);
        const stream = engine.request('completions', endless);
        const reading = [stream.next(), stream.next()];
        const closing = close(stream);
        for (const one of reading) await assert.rejects(one, { name: 'ArgumentError', code: 'CLOSED' });
        await closing;
        await assert.rejects(stream.next(), { code: 'CLOSED' });
        first.close();
      });
    }
  });

  test('that nobody can reach any more frees its slot', () =>
    withEngine({ nSlots: 1 }, async (engine) => {
      await (async () => void (await engine.request('completions', endless).next()))();
      await collected(liveObjects() - 1, mullama);
      assert.equal((await answer(engine, 'completions', short(3))).usage.completion_tokens, 3);
    }));

  test('keeps its engine', async () => {
    const count = await reached(mullama);
    await (async () => {
      const stream = (() => new Engine(TINY, settings).request('completions', { ...short(3), stream: true }))();
      await reached(mullama);
      assert.equal((await listed(stream)).at(-1).data.usage.completion_tokens, 3);
      assert.ok(stream.engine instanceof Engine);
    })();
    await collected(count, mullama);
  });
});

describe('an engine', () => {
  test('that is closed ends the streams, also those that are waited for', async () => {
    for (const close of [(one) => one.close(), (one) => one[Symbol.asyncDispose]?.() ?? one.close()]) {
      const own = new Engine(TINY, { ...settings, nSlots: 1 });
      const streams = Array.from({ length: 5 }, () => own.request('completions', endless));
      const reading = streams.map(listed);
      await streams[0].next();
      await close(own);
      const lists = await Promise.all(reading);
      assert.deepEqual(
        lists.slice(1).map((one) => one.length),
        [0, 0, 0, 0],
      );
      assert.throws(() => own.request('props'), { name: 'ArgumentError', code: 'CLOSED' });
      await assert.rejects(own.requestAsync('props'), { name: 'ArgumentError', code: 'CLOSED' });
      await assert.rejects(own.wait(), { code: 'CLOSED' });
    }
  });

  test('refuses one request more than may wait', () =>
    withEngine({ nSlots: 1, maxQueued: 2 }, async (engine) => {
      const streams = Array.from({ length: 4 }, () => engine.request('completions', endless)); // 1 runs, 1 is next, 2 wait
      await assert.rejects(engine.requestAsync('completions', endless), { name: 'ResourceError', code: 'BUSY' });
      for (const stream of streams) stream.close();
    }));

  test('names streams to whoever asks, and readers get theirs all the same', () =>
    withEngine({}, async (engine) => {
      const stop = new AbortController();
      const waiting = assert.rejects(
        async () => {
          for (;;) await engine.wait(-1, { signal: stop.signal });
        },
        { name: 'AbortError' },
      );
      const streams = Array.from({ length: 8 }, () => engine.request('completions', { ...short(30), stream: true }));
      const lists = await Promise.all(streams.map(listed));
      assert.deepEqual(
        lists.map((events) => events.at(-1).data.usage.completion_tokens),
        Array(8).fill(30),
      );
      stop.abort();
      await waiting;
      for (const stream of streams) stream.close();
    }));

  test('leaves the event loop its turns', async () => {
    let turns = 0;
    const timer = setInterval(() => ++turns, 1);
    await Promise.all(Array.from({ length: 64 }, () => answer(engine, 'completions', short(60))));
    clearInterval(timer);
    assert.ok(turns > 10, `${turns} turns`);
  });

  test('can be drained', () =>
    withEngine({ nSlots: 1 }, async (engine) => {
      const streams = [1, 2, 3].map((n) => engine.request('completions', short(n)));
      assert.equal(await engine.drain(), true);
      assert.throws(() => engine.request('completions', short(1)), { code: 'CLOSED', message: /drained/ });
      const answers = await Promise.all(streams.map((stream) => stream.next()));
      assert.deepEqual(
        answers.map((event) => event.data.usage.completion_tokens),
        [1, 2, 3],
      );
      for (const stream of streams) stream.close();
    }));
});

nothingIsLeft(mullama);
