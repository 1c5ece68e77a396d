'use strict';
// What a JavaScript developer expects of it: promises, AbortSignal, `for await`, disposing, Workers, an event loop that turns.

const assert = require('node:assert/strict');
const { once } = require('node:events');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { pathToFileURL } = require('node:url');
const { Worker } = require('node:worker_threads');
const { PROMPT, REAL, TEXT, TINY, endless, greedy, mullama } = require('./model');
const { nothingIsLeft, reached } = require('./fixture');

const { Model, liveObjects } = mullama;

let model;
let context;
before(() => {
  model = new Model(TINY);
  context = model.createContext({ nCtx: 256, nThreads: 1 });
});
after(() => {
  context.close();
  model.close();
  context = model = undefined;
});

/** Runs a body, after which as many objects live as before. */
async function leavesNothing(body) {
  const count = await reached(mullama);
  await body();
  assert.equal(liveObjects(), count);
}

async function listed(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

test('the example of the front page', async () => {
  const written = [];
  const model = new Model(REAL);
  const context = model.createContext({ nCtx: 4096 });
  const answer = await context.generate('Explain quantum computing.', { maxTokens: 16 });
  for await (const piece of context.stream('Once upon a time', { maxTokens: 16 })) written.push(piece);
  assert.ok(answer.length > 10 && written.length > 5);
  context.close();
  model.close();
});

describe('promises', () => {
  test('Model.load stands beside the constructor', async () => {
    const parts = [];
    const loaded = await Model.load(pathToFileURL(TINY), { progress: (fraction) => void parts.push(fraction) });
    assert.ok(loaded instanceof Model);
    assert.equal(loaded.nVocab, model.nVocab);
    assert.equal(parts.at(-1), 1);
    const made = await loaded.createContextAsync({ nCtx: 256, nThreads: 1 });
    assert.equal(made.model, loaded);
    assert.equal(await made.generate(PROMPT, greedy), TEXT);
    made.close();
    loaded.close();
  });

  test('a load that fails rejects, and one that is stopped too', async () => {
    await assert.rejects(Model.load('/missing.gguf'), { name: 'FileError', code: 'FILE_NOT_FOUND', errno: 1001 });
    await assert.rejects(Model.load(TINY, { progress: () => false }), { name: 'CancelledError', code: 'CANCELLED' });
    const own = new Error('mine');
    await assert.rejects(Model.load(TINY, { progress() { throw own; } }), own); // prettier-ignore
    await assert.rejects(Model.load(5), { name: 'TypeError', message: /^path must be a string, not number/ });
    await assert.rejects(Model.load(TINY, { vocabOnl: true }), { name: 'TypeError', message: /no option vocabOnl/ });
    assert.throws(() => new Model(TINY, { signal: AbortSignal.abort() }), {
      name: 'TypeError',
      message: /no option signal/,
    });
  });

  test('a load ends by a signal', async () => {
    await assert.rejects(Model.load(TINY, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    const controller = new AbortController();
    const progress = () => controller.abort();
    await assert.rejects(Model.load(TINY, { signal: controller.signal, progress }), { name: 'AbortError' });
  });

  test('a whole text has its figures beside it', () =>
    leavesNothing(async () => {
      const completion = context.generate(PROMPT, greedy);
      assert.equal(await completion, TEXT);
      const result = await completion.result;
      assert.deepEqual([result.finishReason, result.nGenerated, result.stopText], ['length', 24, null]);
    }));

  test('a prompt may be text, tokens or messages', async () => {
    const tokens = model.tokenize(PROMPT);
    assert.equal(await context.generate({ ...greedy, tokens }), TEXT);
    assert.equal(await context.generate({ ...greedy, prompt: PROMPT }), TEXT);
    assert.equal(await context.generate(undefined, { ...greedy, tokens: [...tokens] }), TEXT);
    const messages = [{ role: 'user', content: 'the of' }];
    assert.equal(typeof (await context.generate({ ...greedy, messages })), 'string');
    await assert.rejects(context.generate(PROMPT, { tokens }), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(context.generate(), { code: 'INVALID_ARGUMENT' });
  });

  test("a sampler of one's own", async () => {
    const sampler = model.createSamplerChain();
    sampler.addGreedy();
    assert.equal(await context.generate(PROMPT, { maxTokens: 24, sampler }), TEXT);
    await assert.rejects(context.generate(PROMPT, { sampler: model }), {
      name: 'TypeError',
      message: /^sampler must be a Sampler/,
    });
    sampler.close();
  });
});

describe('AbortSignal', () => {
  test('ends a generation with its reason', () =>
    leavesNothing(async () => {
      await assert.rejects(context.generate(PROMPT, { ...endless, signal: AbortSignal.timeout(30) }), {
        name: 'TimeoutError',
      });
      const own = new Error('mine');
      const controller = new AbortController();
      setTimeout(() => controller.abort(own), 30);
      await assert.rejects(listed(context.stream(PROMPT, { ...endless, signal: controller.signal })), own);
      await assert.rejects(context.generate(PROMPT, { signal: AbortSignal.abort() }), { name: 'AbortError' });
    }));

  test('ends a decode, which leaves the sequence as it was', async () => {
    const model = new Model(REAL);
    const context = model.createContext({ nCtx: 1024 });
    await context.decode([1, 414]);
    const decode = context.decode(new Int32Array(1000).fill(414), { signal: AbortSignal.timeout(50) });
    await assert.rejects(decode, { name: 'TimeoutError' });
    assert.equal(context.memoryMax(), 1);
    context.close();
    model.close();
  });

  test('the context goes on afterwards', async () => assert.equal(await context.generate(PROMPT, greedy), TEXT));
});

describe('for await', () => {
  test('gives the text in pieces', () =>
    leavesNothing(async () => {
      const stream = context.stream(PROMPT, greedy);
      assert.equal((await listed(stream)).join(''), TEXT);
      assert.equal(stream.result.finishReason, 'length');
    }));

  test('that is left early frees everything', () =>
    leavesNothing(async () => {
      let stream;
      for await (const piece of (stream = context.stream(PROMPT, endless))) {
        assert.equal(piece, '!');
        break;
      }
      assert.equal(stream.result.finishReason, 'cancelled');
    }));

  test('over a generation gives its events', async () => {
    const generation = context.startGeneration(PROMPT, { ...greedy, logprobs: 2 });
    const events = await listed(generation);
    assert.equal(events.map((event) => event.text).join(''), TEXT);
    assert.ok(events[0].logprob < 0 && events[0].topTokens instanceof Int32Array && events[0].topTokens.length === 2);
    assert.deepEqual(
      generation.tokens(),
      new Int32Array(events.map((event) => event.token).filter((token) => token >= 0)),
    );
    generation.close();
  });

  test('loops on one context take turns', async () => {
    const streams = Array.from({ length: 4 }, () => context.stream(PROMPT, greedy));
    const texts = await Promise.all(streams.map(listed));
    assert.deepEqual(
      texts.map((pieces) => pieces.join('')),
      Array(4).fill(TEXT),
    );
  });

  test('a generation in the midst of a loop waits for its turn', async () => {
    const pieces = [];
    for await (const piece of context.stream(PROMPT, greedy)) {
      if (pieces.push(piece) === 2) assert.equal(await context.generate(PROMPT, greedy), TEXT);
    }
    assert.equal(pieces.join(''), TEXT);
  });

  test('the order in which streams are read does not matter', async () => {
    const first = context.stream(PROMPT, greedy);
    const second = context.stream(PROMPT, greedy);
    const start = await first.next();
    assert.equal((await listed(second)).join(''), TEXT);
    assert.equal(start.value + (await listed(first)).join(''), TEXT);
  });

  test("a stream that is left alone stands in nobody's way", async () => {
    const stream = context.stream(PROMPT, endless);
    await stream.next();
    assert.equal(await context.generate(PROMPT, greedy), TEXT);
    await stream.close();
  });
});

test('tokens chosen by hand', async () => {
  const generation = context.startGeneration(PROMPT, { maxTokens: 4 });
  while ((await generation.prepare()) === 'item') {
    const logits = generation.logits();
    generation.accept(logits.indexOf(Math.max(...logits)));
  }
  assert.ok(TEXT.startsWith(generation.text()) && generation.text().length > 5);
  generation.close();
});

test('the log is an async iterable', async () => {
  const log = mullama.openLog();
  mullama.logMessage('warning', 'naïve 🦙');
  for await (const entry of log) {
    assert.deepEqual([entry.level, entry.text], ['warning', 'naïve 🦙']);
    break;
  }
  await assert.rejects(log.next({ timeout: 10 }), { name: 'TimeoutError' });
  const next = log.next();
  log.cancel();
  assert.equal(await next, null);
  log.close();
});

test('a state may be saved and loaded', async () => {
  context.memoryClear();
  await context.decode(model.tokenize(PROMPT));
  const logits = context.logits();
  const state = await context.saveState();
  context.memoryClear();
  await context.loadState(state);
  assert.equal(context.memoryMax(), 2);
  assert.ok(logits instanceof Float32Array && logits.length === model.nVocab);
  state[state.length >> 1] ^= 1;
  await assert.rejects(context.loadState(state), { name: 'FileError', code: 'STATE_INVALID' });
});

test('200 generations on 8 contexts neither deadlock nor starve the event loop', async () => {
  const contexts = Array.from({ length: 8 }, () => model.createContext({ nCtx: 256, nThreads: 1 }));
  let longest = 0;
  let turns = 0;
  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
    ++turns;
  }, 5);
  const texts = await Promise.all(
    Array.from({ length: 200 }, async (_, i) => {
      const on = contexts[i % 8];
      return i % 2 ? on.generate(PROMPT, greedy) : (await listed(on.stream(PROMPT, greedy))).join('');
    }),
  );
  clearInterval(timer);
  assert.deepEqual(new Set(texts), new Set([TEXT]));
  assert.ok(turns > 3, `${turns} turns of the timer`);
  assert.ok(longest < 1000, `${longest} ms without a turn`);
  for (const one of contexts) one.close();
});

test('`using` and `await using` release, where the runtime knows them', async (t) => {
  let run;
  try {
    run = new Function('model', 'greedy', `return (async () => {
      let text, seen;
      {
        await using context = await model.createContextAsync({ nCtx: 256, nThreads: 1 });
        await using stream = context.stream('of of', greedy);
        for await (const piece of stream) { text = piece; break; }
        using generation = context.startGeneration('of of');
        seen = [context, generation];
      }
      return seen.map((one) => one.closed).concat(text);
    })()`); // prettier-ignore
  } catch {
    t.diagnostic(`Node ${process.version} has no \`using\`: the symbols are called as it would call them`);
    run = async () => {
      const context = await model.createContextAsync({ nCtx: 256, nThreads: 1 });
      // Before the stream begins: from then on a thread of its own works on the context.
      const generation = context.startGeneration('of of');
      generation[Symbol.dispose]();
      const stream = context.stream('of of', greedy);
      const { value } = await stream.next();
      await stream[Symbol.asyncDispose]();
      await context[Symbol.asyncDispose]();
      return [context.closed, generation.closed, value];
    };
  }
  assert.deepEqual(await run(model, greedy), [true, true, '!']);
});

describe('Workers', () => {
  const program = path.join(__dirname, 'programs', 'worker.js');
  const run = async (how, engine = false) => {
    const worker = new Worker(program, { workerData: { how, engine } });
    const exited = once(worker, 'exit');
    const [message] = await once(worker, 'message');
    return { exited, message, worker };
  };

  test('each loads the binding', async () => {
    const results = await Promise.all(Array.from({ length: 4 }, () => run('answer')));
    assert.deepEqual(
      results.map(({ message }) => message),
      Array(4).fill(TEXT),
    );
    await Promise.all(results.map(({ exited }) => exited));
  });

  test('each may have an engine', async () => {
    const results = await Promise.all(Array.from({ length: 3 }, () => run('answer', true)));
    assert.deepEqual(
      results.map(({ message }) => message),
      Array(3).fill(8),
    );
    await Promise.all(results.map(({ exited }) => exited));
  });

  for (const engine of [false, true]) {
    for (const how of ['terminate', 'exit', 'leave']) {
      test(`that end in the midst of ${engine ? "an engine's work" : 'a generation'} (${how}) leave nothing`, async () => {
        const count = await reached(mullama);
        const { exited, worker } = await run(how, engine);
        if (how === 'terminate') await worker.terminate();
        const [code] = await exited;
        assert.equal(code, { terminate: 1, exit: 5, leave: 0 }[how]);
        assert.equal(liveObjects(), count);
      });
    }
  }

  test('may come and go while the main thread works', async () => {
    const controller = new AbortController();
    const aborted = assert.rejects(context.generate(PROMPT, { ...endless, signal: controller.signal }), {
      name: 'AbortError',
    });
    for (let i = 0; i < 6; ++i) {
      const { worker } = await run('terminate');
      await worker.terminate();
    }
    controller.abort();
    await aborted;
    assert.equal(await context.generate(PROMPT, greedy), TEXT);
  });
});

test('CommonJS and ES modules give the same objects', async () => {
  const module = await import('../generated/index.mjs');
  assert.equal(module.Model, Model);
  assert.equal(module.default, mullama);
  assert.deepEqual(
    Object.keys(module)
      .filter((name) => name !== 'default')
      .sort(),
    Object.keys(mullama).sort(),
  );
});

nothingIsLeft(mullama);
