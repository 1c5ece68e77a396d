'use strict';
// A Worker that generates: it answers with a text, or ends in the midst of a generation.

const { parentPort, workerData } = require('node:worker_threads');
const { PROMPT, TINY, endless, greedy, mullama } = require('../model');

const model = new mullama.Model(TINY);
const context = model.createContext({ nCtx: 256, nThreads: 1 });

/** An engine's work: an answer, or streams in whose midst the Worker ends. */
async function serve(how) {
  const engine = new mullama.Engine(TINY, { nCtx: 256, nSlots: 2, nThreads: 1, contextShift: true });
  const prompt = { prompt: [5], temperature: 0, ignore_eos: true, stream: true };
  if (how === 'answer') {
    const events = [];
    for await (const event of engine.request('completions', { ...prompt, max_tokens: 8 })) events.push(event.data);
    parentPort.postMessage(events.at(-1).usage.completion_tokens);
    return;
  }
  const streams = Array.from({ length: 6 }, () => engine.request('completions', { ...prompt, max_tokens: -1 }));
  await streams[0].next();
  if (how !== 'leave') for (const stream of streams) stream.next().catch(() => {});
  parentPort.postMessage('running');
  if (how === 'exit') setTimeout(() => process.exit(5), 10);
}

(async () => {
  if (workerData.engine) return serve(workerData.how);
  if (workerData.how === 'answer') {
    parentPort.postMessage(await context.generate(PROMPT, greedy));
    return;
  }
  const stream = context.stream(PROMPT, endless);
  await stream.next();
  if (workerData.how !== 'leave') context.generate(PROMPT, endless).catch(() => {});
  parentPort.postMessage('running');
  if (workerData.how === 'exit') setTimeout(() => process.exit(5), 10);
})();
