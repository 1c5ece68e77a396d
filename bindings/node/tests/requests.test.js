'use strict';
// The methods of an engine: answers as objects, streams that are promises of the whole as well, and functions as tools.

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const path = require('node:path');
const { after, before, describe, test } = require('node:test');
const { inspect } = require('node:util');
const { z } = require('zod');
const { TINY, mullama } = require('./model');
const { collected, nothingIsLeft, reached, until } = require('./fixture');
const { fitted, jsonSchemaOf } = require('../runtime/schema');
const { Tools } = require('../runtime/tools');

const { AnswerStream, Engine } = mullama;
const greedy = { maxTokens: 12, temperature: 0, ignoreEos: true };
const endless = { maxTokens: -1, ignoreEos: true };
const user = (content) => [{ role: 'user', content }];

let engine;
before(() => {
  // Definitions of tools take room: more than the model was trained with.
  const kvOverrides = ['llama.context_length=int:4096'];
  engine = new Engine(TINY, { nCtx: 4096, nSlots: 4, nThreads: 1, contextShift: true, kvOverrides });
});
after(() => {
  engine.close();
  engine = undefined;
});

async function listed(items) {
  const list = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Runs a body, after which as many objects live as before. */
async function leavesNothing(body) {
  const count = await reached(mullama);
  await body();
  await collected(count, mullama);
}

/** The answer of the route itself. */
async function rawAnswer(route, body) {
  const [event] = await listed(engine.request(route, body));
  return event.data;
}

describe('an answer', () => {
  test("has its fields in JavaScript's spelling, and shortcuts", async () => {
    const answer = await engine.chat(user('the of'), greedy);
    const body = { messages: user('the of'), max_tokens: 12, temperature: 0, ignore_eos: true };
    const raw = await rawAnswer('chat/completions', body);
    assert.ok(answer.text.length > 0);
    assert.equal(answer.text, raw.choices[0].message.content);
    assert.equal(answer.choices[0].message.content, answer.text);
    assert.equal(answer.finishReason, 'length');
    assert.deepEqual([answer.usage.completionTokens, answer.usage.totalTokens - answer.usage.promptTokens], [12, 12]);
    assert.deepEqual([answer.toolCalls, answer.reasoning, answer.truncation, answer.toolRuns], [[], '', null, []]);
    assert.equal(answer.raw.usage.completion_tokens, 12);
    assert.equal(JSON.parse(JSON.stringify(answer)).choices[0].finish_reason, 'length');
    assert.match(inspect(answer), /^ChatAnswer \{\n {2}id: 'chatcmpl/);
  });

  test('comes from every route', async () => {
    const { text } = await engine.complete('the of', greedy);
    assert.equal(text, (await rawAnswer('completions', { prompt: 'the of', max_tokens: 12, temperature: 0, ignore_eos: true })).choices[0].text); // prettier-ignore
    const message = await engine.message(user('the'), { ...greedy, stopSequences: ['never'] });
    assert.deepEqual([message.stopReason, message.usage.outputTokens], ['max_tokens', 12]);
    const response = await engine.respond('the', { maxOutputTokens: 12, temperature: 0, ignoreEos: true });
    assert.ok(response.output[0].content[0].text.length > 0);
    const { inputTokens } = await engine.countTokens(user('the'));
    const { prompt, tokens: written } = await engine.applyTemplate(user('the'));
    assert.ok(prompt.includes('the'));
    assert.equal(written.length, inputTokens);
    const { tokens } = await engine.tokenize('the of', { addSpecial: true });
    assert.equal(tokens[0], 1);
    assert.equal((await engine.detokenize(Int32Array.from(tokens.slice(1)))).content.trim(), 'the of');
    assert.deepEqual([(await engine.props()).totalSlots, (await engine.props({})).nCtx], [4, 4096]);
    assert.ok((await engine.metrics()).tokensPredictedTotal > 0);
    assert.equal((await engine.infill('the', 'of', greedy)).usage.completionTokens, 12);
  });

  test('may be vectors', async () => {
    const embedder = new Engine(path.join(path.dirname(TINY), 'bert.gguf'), { mode: 'embed', nCtx: 64, nSlots: 2 });
    const two = await embedder.embed(['the of', 'and'], { dimensions: 8 });
    assert.deepEqual(
      two.data.map((one) => [one.index, one.embedding.length]),
      [
        [0, 8],
        [1, 8],
      ],
    );
    assert.equal(two.first, two.data[0].embedding);
    await assert.rejects(embedder.chat(user('the')), { code: 'UNSUPPORTED' });
    embedder.close();
  });

  test('is about an image as well, which is 16 tokens of this projector', async () => {
    const sees = new Engine(TINY, { nCtx: 256, nThreads: 1, projector: path.join(path.dirname(TINY), 'sees.gguf') });
    const picture =
      'iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAP0lEQVR42gE0AMv/ACXrjEj/icuFT8CQ' +
      'gQDMR+38hhmyFP5lktQAi/zqnJ2OMkTX1+nxAPfeYFaN6YkHPz0WOewnG5m0+sZvAAAAAElFTkSuQmCC';
    const image = { type: 'image_url', imageUrl: { url: `data:image/png;base64,${picture}` } };
    const asked = (...parts) =>
      sees.chat([{ role: 'user', content: [{ type: 'text', text: 'how many ' }, ...parts] }], greedy);
    const [without, about] = [await asked(), await asked(image)];
    assert.equal(about.usage.promptTokens - without.usage.promptTokens, 16);
    await assert.rejects(asked({ ...image, imageUrl: { url: 'data:image/png;base64,AAAA' } }), {
      name: 'MediaError',
      code: 'MEDIA_INVALID',
    });
    sees.close();
  });

  test('goes back into a conversation', async () => {
    const first = await engine.chat(user('the'), greedy);
    const again = await engine.chat([...user('the'), first.choices[0].message, ...user('of')], greedy);
    assert.ok(again.usage.cachedTokens > 0);
  });

  test('that cannot be given rejects with what is wrong', async () => {
    const refused = (message) => ({ name: 'ArgumentError', code: 'INVALID_ARGUMENT', message });
    await assert.rejects(
      engine.chat(user('the'), { maxTokenz: 1 }),
      refused(/the field maxTokenz does not exist here/),
    );
    await assert.rejects(engine.chat(user('the'), { topP: 3 }), refused(/top_p is 3; it must be 0 to 1/));
    await assert.rejects(engine.embed('the', { stream: true }), { name: 'ArgumentError' });
    await assert.rejects(engine.tokenize('the', { maxRounds: 3 }), refused(/maxRounds/));
    await assert.rejects(engine.chat(5), refused(/messages/));
    for (const wrong of [null, 5, 'text', []]) {
      await assert.rejects(engine.chat(user('the'), wrong), {
        name: 'TypeError',
        message: /^the options must be an object/,
      });
    }
    await assert.rejects(engine.chat(user(5n)), {
      name: 'TypeError',
      message: /^the request cannot be written as JSON/,
    });
    await assert.rejects(engine.chat(user('\ud800')), { name: 'ArgumentError', code: 'INVALID_JSON' });
    await assert.rejects(engine.chat(user('the'), { signal: 5 }), { name: 'TypeError', message: /^signal must be/ });
  });

  test('JSON names are taken as well, and undefined is not given', async () => {
    const answer = await engine.chat(user('the'), { max_tokens: 3, ignoreEos: true, stop: undefined, seed: null });
    assert.equal(answer.usage.completionTokens, 3);
  });

  test('ends by a signal', () =>
    leavesNothing(async () => {
      const own = new Error('mine');
      const controller = new AbortController();
      const { signal } = controller;
      await engine.chat(user('the'), { ...greedy, signal });
      assert.equal(getEventListeners(signal, 'abort').length, 0);
      const answer = engine.chat(user('the'), { ...endless, signal });
      await until(() => engine.info.nRunning > 0);
      controller.abort(own);
      await assert.rejects(answer, own);
      await assert.rejects(engine.chat(user('the'), { signal }), own);
    }));

  test('32 at once are what they are alone, and may share a signal', async () => {
    const warnings = [];
    process.on('warning', (warning) => warnings.push(warning));
    const { signal } = new AbortController();
    const lengths = Array.from({ length: 32 }, (_, i) => i + 1);
    const asked = lengths.map((maxTokens) => engine.chat(user('of'), { ...greedy, maxTokens, signal }));
    const streams = lengths.map((maxTokens) => engine.chat(user('of'), { ...greedy, maxTokens, signal, stream: true }));
    const answers = await Promise.all(asked);
    assert.deepEqual(
      (await Promise.all(streams)).map((one) => one.usage.completionTokens),
      lengths,
    );
    assert.deepEqual(warnings, []);
    assert.deepEqual(
      answers.map((one) => one.usage.completionTokens),
      lengths,
    );
  });
});

describe('a stream of an answer', () => {
  test('gives pieces, and as a promise the whole', () =>
    leavesNothing(async () => {
      const stream = engine.chat(user('the of'), { ...greedy, stream: true });
      assert.ok(stream instanceof AnswerStream);
      const pieces = (await listed(stream)).map((piece) => piece.text);
      assert.ok(pieces.length > 3);
      const whole = await stream;
      assert.equal(pieces.join(''), whole.text);
      assert.equal(whole.usage.completionTokens, 12);
      assert.equal(await stream, whole);
    }));

  test('comes from every route that has one', async () => {
    const completion = engine.complete('the of', { ...greedy, stream: true });
    const pieces = await listed(completion);
    assert.equal(pieces.map((piece) => piece.text).join(''), (await completion).text);
    const message = engine.message(user('the'), { ...greedy, stream: true });
    assert.equal((await listed(message))[0].type, 'message_start');
    assert.equal((await message).stopReason, 'max_tokens');
    const response = engine.respond('the', { ...greedy, stream: true });
    assert.equal((await listed(response))[0].type, 'response.created');
    assert.ok((await response).output.length > 0);
  });

  test('may be awaited before, while and after it is looped over', () =>
    leavesNothing(async () => {
      const { text } = await engine.complete('the of', greedy);
      const before = engine.complete('the of', { ...greedy, stream: true });
      assert.equal((await before).text, text);
      assert.equal((await listed(before)).map((piece) => piece.text).join(''), text);
      const midst = engine.complete('the of', { ...greedy, stream: true });
      const first = await midst.next();
      assert.equal((await midst).text, text);
      assert.equal([first.value, ...(await listed(midst))].map((piece) => piece.text).join(''), text);
      const both = engine.complete('the of', { ...greedy, stream: true });
      const [pieces, whole] = await Promise.all([listed(both), both.then((answer) => answer.text)]);
      assert.equal(pieces.map((piece) => piece.text).join(''), text);
      assert.equal(whole, text);
    }));

  test('answers calls that do not wait for each other in order', async () => {
    const stream = engine.complete('the of', { ...greedy, stream: true });
    const answers = await Promise.all(Array.from({ length: 30 }, () => stream.next()));
    const text = answers.filter((one) => !one.done).map((one) => one.value.text).join(''); // prettier-ignore
    assert.equal(text, (await stream).text);
    assert.deepEqual(answers.at(-1), { done: true, value: undefined });
  });

  test('that is left early is cancelled', () =>
    leavesNothing(async () => {
      const stream = engine.complete('the', { ...endless, stream: true });
      for await (const piece of stream) {
        assert.equal(piece.object, 'text_completion');
        break;
      }
      assert.deepEqual(await stream.next(), { done: true, value: undefined });
      await assert.rejects(stream, {
        name: 'CancelledError',
        code: 'CANCELLED',
        message: /before its answer was complete/,
      });
      await until(() => engine.info.nRunning === 0);
    }));

  test('that is cancelled or closed ends as usual', () =>
    leavesNothing(async () => {
      const cancelled = engine.complete('the', { ...endless, stream: true });
      await cancelled.next();
      cancelled.cancel();
      assert.ok((await listed(cancelled)).length < 300);
      await assert.rejects(
        cancelled.catch((error) => Promise.reject(error)),
        { code: 'CANCELLED' },
      );
      const closed = engine.complete('the', { ...endless, stream: true });
      const loop = listed(closed);
      await closed.close();
      await closed.close();
      await loop;
      const complete = engine.complete('the', { ...greedy, stream: true });
      const { text } = await complete;
      await complete.close();
      assert.equal((await complete).text, text);
    }));

  test('ends by a signal with its reason', () =>
    leavesNothing(async () => {
      const own = new Error('mine');
      const controller = new AbortController();
      const stream = engine.complete('the', { ...endless, stream: true, signal: controller.signal });
      await assert.rejects(async () => {
        for await (const piece of stream) if (piece) controller.abort(own);
      }, own);
      await assert.rejects(stream, own);
      assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
      await assert.rejects(listed(engine.complete('the', { stream: true, signal: controller.signal })), own);
      assert.throws(() => engine.complete('the', { stream: true, signal: 5 }), { name: 'TypeError' });
    }));

  test('fails where it is read', () =>
    leavesNothing(async () => {
      const stream = engine.complete('the', { stream: true, topP: 3 });
      await new Promise((resolve) => setImmediate(resolve)); // an unread failure is no unhandled rejection
      await assert.rejects(listed(stream), { code: 'INVALID_ARGUMENT' });
      await assert.rejects(stream, { code: 'INVALID_ARGUMENT' });
      let isOver = false;
      await assert.rejects(
        stream.finally(() => (isOver = true)),
        { code: 'INVALID_ARGUMENT' },
      );
      assert.ok(isOver);
    }));

  test('that nobody can reach any more frees its slot', async () => {
    const count = await reached(mullama);
    const { signal } = new AbortController();
    await (async () => void (await engine.complete('the', { ...endless, stream: true, signal }).next()))();
    await collected(count, mullama);
    await until(() => engine.info.nRunning === 0);
  });

  test('ends with its engine', async () => {
    const own = new Engine(TINY, { nCtx: 256, nSlots: 2, nThreads: 1, contextShift: true });
    const stream = own.complete('the', { ...endless, stream: true });
    await stream.next();
    own.close();
    await listed(stream);
    await assert.rejects(stream, { code: 'CANCELLED' });
    await assert.rejects(own.complete('the'), { code: 'CLOSED' });
  });

  test('is disposed of', async () => {
    const { asyncDispose, dispose } = require('../runtime/handle');
    const stream = engine.complete('the', { ...endless, stream: true });
    await stream.next();
    await stream[asyncDispose]();
    const other = engine.complete('the', { ...endless, stream: true });
    await other.next();
    other[dispose]();
    await until(() => engine.info.nRunning === 0);
  });
});

describe('functions as tools', () => {
  const limits = { maxTokens: 200, temperature: 0, toolChoice: 'required', parallelToolCalls: false };
  const parameters = {
    type: 'object',
    properties: { on: { type: 'boolean' } },
    required: ['on'],
    additionalProperties: false,
  };

  /** A lamp whose switch the model has. */
  function lamp() {
    const states = [];
    const run = ({ on }) => {
      states.push(on);
      return `the lamp is ${on ? 'on' : 'off'}`;
    };
    return { states, turn: { name: 'turn', description: 'Turns the lamp on or off.', parameters, run } };
  }

  test('are called until the model answers', async () => {
    const { states, turn } = lamp();
    const answer = await engine.chat(user('the of'), { ...limits, tools: [turn] });
    assert.ok(states.length >= 1);
    const [run] = answer.toolRuns;
    assert.equal(answer.toolRuns.length, states.length);
    assert.deepEqual({ ...run, id: '' }, { id: '', name: 'turn', arguments: { on: states[0] }, result: `the lamp is ${states[0] ? 'on' : 'off'}`, error: null }); // prettier-ignore
    assert.notEqual(answer.finishReason, 'tool_calls');
  });

  test('are called between the pieces of a stream', async () => {
    const { states, turn } = lamp();
    const stream = engine.chat(user('the of'), { ...limits, tools: [turn], stream: true });
    const seen = [];
    for await (const piece of stream) seen.push([piece.object, stream.toolRuns.length]);
    assert.deepEqual(seen[0], ['chat.completion.chunk', 0]);
    assert.equal(seen.at(-1)[1], states.length);
    assert.ok(states.length >= 1);
    assert.deepEqual((await stream).toolRuns, stream.toolRuns);
  });

  test('may be asynchronous, and get the signal', async () => {
    const { signal } = new AbortController();
    const given = [];
    const run = async (arguments_, call) => {
      await new Promise((resolve) => setImmediate(resolve));
      given.push(call.signal);
      return { arguments_ };
    };
    const answer = await engine.chat(user('the of'), { ...limits, tools: [{ ...lamp().turn, run }], signal });
    assert.deepEqual(new Set(given), new Set([signal]));
    assert.deepEqual(answer.toolRuns[0].result, { arguments_: answer.toolRuns[0].arguments });
  });

  test('are called until the last round, in which a model that calls as often as it may has to answer', async () => {
    const { Tools } = require('../runtime/tools');
    const named = { type: 'function', function: { name: 'turn' } };
    const auto = Array(6).fill('auto');
    for (const [maxRounds, given, sent, reached] of [
      [3, undefined, [undefined, undefined, 'none'], true],
      [3, 'auto', ['auto', 'auto', 'none'], true],
      [3, 'required', ['required', 'auto', 'none'], true],
      [2, 'required', ['required', 'none'], true],
      [2, named, [named, 'none'], true],
      [1, undefined, ['none'], true],
      [1, 'auto', ['none'], true],
      [1, 'none', ['none'], false], // as the caller wanted it
      [8, 'none', ['none'], false],
      [undefined, 'required', ['required', ...auto, 'none'], true],
    ]) {
      const { states, turn } = lamp();
      const body = { messages: user('the'), tools: [turn], tool_choice: given };
      const tools = Tools.among(body, { maxRounds }, assert.fail);
      const call = { id: 'a', type: 'function', function: { name: 'turn', arguments: '{"on": true}' } };
      const choices = [];
      for (let calls = [call]; calls.length > 0; await tools.run(calls)) {
        choices.push(body.tool_choice);
        const isLast = body.tool_choice === 'none';
        assert.equal(tools.reachedMaxRounds, reached && isLast);
        const message = { role: 'assistant', ...(isLast ? { content: 'done' } : { tool_calls: [call] }) };
        calls = tools.callsOf({ choices: [{ message }] });
        if (calls.length === 0) break;
      }
      assert.deepEqual(choices, sent);
      assert.deepEqual([states.length, tools.runs.length], [sent.length - 1, sent.length - 1]);
    }
  });

  test('leave an answer that says so where the last round was reached', async () => {
    const { states, turn } = lamp();
    const bounded = { ...limits, tools: [turn], maxRounds: 2 };
    const answer = await engine.chat(user('the of'), bounded);
    assert.deepEqual([answer.reachedMaxRounds, answer.toolRuns.length, states.length], [true, 1, 1]);
    assert.deepEqual([answer.text.length > 0, answer.toolCalls], [true, []]);
    const stream = engine.chat(user('the of'), { ...bounded, stream: true });
    const seen = [];
    for await (const piece of stream) seen.push([piece.object, stream.reachedMaxRounds]);
    assert.deepEqual([seen[0][1], seen.at(-1)[1]], [false, true]);
    assert.deepEqual([(await stream).reachedMaxRounds, (await stream).text], [true, answer.text]);
    assert.equal((await engine.chat(user('the of'), { ...limits, tools: [turn] })).reachedMaxRounds, false);
    assert.equal((await engine.chat(user('the of'), { maxTokens: 2 })).reachedMaxRounds, false);
  });

  test('need rounds to be called in', async () => {
    const { states, turn } = lamp();
    const once = { ...limits, tools: [turn], maxRounds: 1 };
    const answer = await engine.chat(user('the of'), { ...once, toolChoice: 'auto' });
    assert.deepEqual([answer.reachedMaxRounds, answer.text.length > 0, states], [true, true, []]);
    for (const toolChoice of ['required', { type: 'function', function: { name: 'turn' } }]) {
      await assert.rejects(engine.chat(user('the of'), { ...once, toolChoice }), {
        name: 'ArgumentError',
        code: 'INVALID_ARGUMENT',
        message: /^maxRounds is 1, but toolChoice requires a call/,
      });
    }
    await assert.rejects(engine.chat(user('the of'), { ...limits, tools: [turn], n: 2 }), {
      code: 'INVALID_ARGUMENT',
      message: /^n is 2; where tools are functions it must be 1/,
    });
    for (const maxRounds of [0, 1.5, '3']) {
      await assert.rejects(engine.chat(user('the'), { tools: [turn], maxRounds }), {
        name: 'TypeError',
        message: /^maxRounds must be an integer of at least 1, not /,
      });
    }
  });

  test('tell the model what they throw, or throw it', async () => {
    const own = new Error('the lamp is broken');
    const broken = { ...lamp().turn, run: () => Promise.reject(own) };
    const answer = await engine.chat(user('the of'), { ...limits, tools: [broken] });
    assert.equal(answer.toolRuns[0].error, own);
    assert.equal(answer.toolRuns[0].result, null);
    await assert.rejects(engine.chat(user('the of'), { ...limits, tools: [broken], toolErrors: 'throw' }), own);
    await assert.rejects(engine.chat(user('the'), { tools: [broken], toolErrors: 'ignore' }), {
      name: 'TypeError',
      message: "toolErrors must be one of 'tell', 'throw', not 'ignore'",
    });
  });

  test('leave calls of plain definitions to the caller', async () => {
    const { states, turn } = lamp();
    const { name, description } = turn;
    const definition = { type: 'function', function: { name, description, parameters } };
    const answer = await engine.chat(user('the of'), { ...limits, tools: [definition] });
    assert.equal(answer.finishReason, 'tool_calls');
    assert.equal(answer.toolCalls[0].function.name, 'turn');
    assert.equal(typeof JSON.parse(answer.toolCalls[0].function.arguments).on, 'boolean');
    const other = { ...turn, name: 'other' };
    const mixed = {
      ...limits,
      tools: [definition, other],
      toolChoice: { type: 'function', function: { name: 'turn' } },
    };
    assert.equal((await engine.chat(user('the of'), mixed)).finishReason, 'tool_calls');
    assert.deepEqual(states, []);
  });

  test('are not called where a call was cut off', async () => {
    const { states, turn } = lamp();
    const answer = await engine.chat(user('the of'), { ...limits, maxTokens: 6, tools: [turn] });
    assert.deepEqual([answer.finishReason, answer.toolRuns, states], ['length', [], []]);
  });

  test('end with their signal', async () => {
    const controller = new AbortController();
    const own = new Error('mine');
    const run = () => controller.abort(own);
    const tools = [{ ...lamp().turn, run }];
    await assert.rejects(engine.chat(user('the of'), { ...limits, tools, signal: controller.signal }), own);
  });

  test('may stand beside a schema of the answer', async () => {
    const schema = z.object({ sure: z.boolean() });
    const answer = await engine.chat(user('the of'), {
      ...limits,
      tools: [lamp().turn],
      responseFormat: { type: 'json_schema', json_schema: { name: 'sure', schema } },
    });
    assert.ok(answer.toolRuns.length > 0);
    assert.deepEqual(Object.keys(JSON.parse(answer.text)), ['sure']);
    schema.parse(JSON.parse(answer.text));
    for (const [maxRounds, toolChoice] of Object.entries({ 2: 'required', 1: 'auto' })) {
      const last = await engine.chat(user('the of'), {
        ...limits,
        toolChoice,
        tools: [lamp().turn],
        maxRounds: Number(maxRounds),
        responseFormat: { type: 'json_schema', json_schema: { name: 'sure', schema } },
      });
      assert.deepEqual([last.reachedMaxRounds, last.toolRuns.length], [true, maxRounds - 1]);
      schema.parse(JSON.parse(last.text));
    }
  });

  test('may have a schema of zod', async () => {
    const given = [];
    const tool = {
      name: 'turn',
      parameters: z.object({ on: z.boolean(), room: z.string().max(3).default('hall') }),
      run: (arguments_) => void given.push(arguments_),
    };
    const answer = await engine.chat(user('the of'), { ...limits, tools: [tool] });
    assert.equal(answer.toolRuns[0].error, null);
    assert.deepEqual(Object.keys(given[0]).sort(), ['on', 'room']);
  });

  test('what the model is told', async () => {
    const { turn } = lamp();
    const makeError = (code) => Object.assign(new Error(code), { code });
    const body = {
      messages: user('the'),
      tools: [turn, { ...turn, name: 'odd', run: () => 5n }],
      tool_choice: 'required',
    };
    const tools = Tools.among(body, {}, makeError);
    const call = (id, name, text) => ({ id, type: 'function', function: { name, arguments: text } });
    const message = {
      role: 'assistant',
      tool_calls: [
        call('a', 'turn', '{"on": true}'),
        call('b', 'turn', '{"on": 1}'),
        call('c', 'twist', '{}'),
        call('d', 'turn', '{'),
        call('e', 'turn', '{"on": true, "off": 1}'),
      ],
    };
    await tools.run(tools.callsOf({ choices: [{ message }] }), undefined);
    assert.deepEqual(
      tools.runs.map((run) => run.error?.name ?? null),
      [null, 'TypeError', 'ReferenceError', 'SyntaxError', 'TypeError'],
    );
    assert.deepEqual(body.messages[1].tool_calls[0], message.tool_calls[0]);
    assert.equal(body.messages[1].tool_calls[3].function.arguments, '{}', 'templates read it');
    const told = Object.fromEntries(body.messages.slice(2).map((one) => [one.tool_call_id, one.content]));
    assert.equal(told.a, 'the lamp is on');
    assert.equal(told.b, 'error: on must be boolean, not 1');
    assert.equal(told.c, 'error: there is no function twist; there is turn, odd');
    assert.match(told.d, /^error: the arguments of turn are no JSON/);
    assert.equal(told.e, 'error: there is no off; there is on');
    assert.equal(body.tool_choice, 'auto');
    assert.deepEqual(tools.callsOf({ choices: [{ message: { role: 'assistant', content: 'done' } }] }), []);
    const odd = { role: 'assistant', tool_calls: [call('f', 'odd', '{"on": true}')] };
    await assert.rejects(tools.run(tools.callsOf({ choices: [{ message: odd }] })), {
      name: 'TypeError',
      message: /^what odd has returned cannot be written as JSON/,
    });
  });
});

describe('a schema of arguments', () => {
  test('says what does not fit', async () => {
    const point = { type: 'object', properties: { x: { type: 'number', minimum: 0 } }, required: ['x'] };
    const cases = [
      [{ type: 'object' }, [], 'what is given must be object, not an array'],
      [point, {}, 'x is missing'],
      [point, { x: '1' }, "x must be number, not '1'"],
      [point, { x: -1 }, 'x must be at least 0, not -1'],
      [{ properties: { p: point } }, { p: { x: null } }, 'p.x must be number, not null'],
      [{ properties: { n: { type: ['integer', 'null'] } } }, { n: 1.5 }, 'n must be integer or null, not 1.5'],
      [{ properties: { n: { exclusiveMaximum: 3 } } }, { n: 3 }, 'n must be less than 3, not 3'],
      [{ properties: { w: { enum: ['a', 2] } } }, { w: 'b' }, 'w must be one of "a", 2, not \'b\''],
      [{ properties: { w: { const: { a: 1 } } } }, { w: 1 }, 'w must be one of {"a":1}, not 1'],
      [{ properties: { w: { minLength: 2 } } }, { w: '🦙' }, 'w has 1 characters; it must have at least 2'],
      [{ properties: { w: { pattern: '^a+$' } } }, { w: 'ab' }, "w must match ^a+$, not 'ab'"],
      [{ properties: { l: { maxItems: 1, items: { type: 'string' } } } }, { l: ['a', 'b'] }, 'l has 2 items; it must have at most 1'],
      [{ properties: { l: { items: { type: 'string' } } } }, { l: ['a', 1] }, 'l[1] must be string, not 1'],
      [{ properties: { l: { prefixItems: [true, { type: 'null' }], items: false } } }, { l: [1, 2] }, 'l[1] must be null, not 2'],
      [{ properties: { v: { anyOf: [{ type: 'null' }, { type: 'string' }] } } }, { v: 1 }, 'v must be null, not 1, or v must be string, not 1'],
      [{ properties: { v: { allOf: [{ minimum: 1 }, { maximum: 2 }] } } }, { v: 3 }, 'v must be at most 2, not 3'],
      [{ $defs: { 'a/b': { type: 'null' } }, properties: { v: { $ref: '#/$defs/a~1b' } } }, { v: 3 }, 'v must be null, not 3'],
      [{ properties: { a: {} }, additionalProperties: false }, { b: 1 }, 'there is no b; there is a'],
      [{ additionalProperties: { type: 'string' } }, { b: 1 }, 'b must be string, not 1'],
    ]; // prettier-ignore
    for (const [schema, value, message] of cases)
      await assert.rejects(fitted(schema, value), { name: 'TypeError', message });
    const everything = { x: 0, p: { x: 1 }, n: null, w: 'a', l: ['a'], v: 2 };
    assert.equal(await fitted(point, everything), everything);
    assert.equal(await fitted(undefined, everything), everything);
    assert.equal(
      await fitted({ properties: { v: { oneOf: [{ type: 'null' }, { const: 2 }] } } }, everything),
      everything,
    );
  });

  test('may be one of zod', async () => {
    const schema = z.object({ on: z.boolean(), size: z.number().default(3) });
    assert.deepEqual(jsonSchemaOf(schema).properties.on, { type: 'boolean' });
    assert.deepEqual(jsonSchemaOf(schema).required, ['on']);
    assert.deepEqual(await fitted(schema, { on: true }), { on: true, size: 3 });
    await assert.rejects(fitted(schema, { on: 1 }), { name: 'TypeError', message: /^on: / });
    assert.equal(jsonSchemaOf({ type: 'object' }), undefined);
  });

  test('whose library cannot tell it is refused with what to do', () => {
    for (const old of [{ _zod: {} }, { _def: {}, '~standard': { vendor: 'zod', validate() {} } }]) {
      assert.throws(() => jsonSchemaOf(old), { name: 'TypeError', message: /z\.toJSONSchema\(schema\)/ });
    }
    assert.deepEqual(jsonSchemaOf({ _zod: {}, toJSONSchema: () => ({ type: 'object' }) }), { type: 'object' });
  });
});

nothingIsLeft(mullama);
