'use strict';
// Ends the process in the midst of an engine's work: `node engine.js HOW CODE`.

const { TINY, mullama } = require('../model');

const [, , how, code] = process.argv;
const engine = new mullama.Engine(TINY, { nCtx: 256, nSlots: 2, nThreads: 1, contextShift: true });
const endless = { prompt: 'of of', max_tokens: -1, ignore_eos: true, stream: true };

// Nothing of the library computes any more while the process takes itself apart.
process.on('exit', () => process.stdout.write(engine.closed ? 'closed\n' : 'open\n'));

async function read(stream) {
  for await (const event of stream) void event;
}

(async () => {
  if (how === 'idle') {
    await read(engine.request('tokenize', { content: 'of' }));
    await engine.request('completions', endless).next();
    await engine
      .request('completions', endless)
      .next({ timeout: 1 })
      .catch(() => {}); // waits for a slot
    return void process.stdout.write('running\n');
  }
  const limited = how === 'read' ? { ...endless, max_tokens: 40 } : endless;
  const streams = Array.from({ length: 8 }, () => engine.request('completions', limited));
  await streams[0].next();
  process.stdout.write('running\n');
  if (how === 'read') {
    await Promise.all(streams.map(read));
    return void process.stdout.write('read\n');
  }
  for (const stream of streams) stream.next().catch(() => {});
  for (let i = 0; i < 8; ++i) engine.requestAsync('completions', endless).catch(() => {});
  engine.drain().catch(() => {}); // the streams never end
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  if (how === 'exit') process.exit(Number(code));
  if (how === 'throw') throw new Error('on purpose');
})();
