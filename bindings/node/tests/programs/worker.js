'use strict';
// A Worker that generates: it answers with a text, or ends in the midst of a generation.

const { parentPort, workerData } = require('node:worker_threads');
const { PROMPT, TINY, endless, greedy, mullama } = require('../model');

const model = new mullama.Model(TINY);
const context = model.createContext({ nCtx: 256, nThreads: 1 });

(async () => {
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
