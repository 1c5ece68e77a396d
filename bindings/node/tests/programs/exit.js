'use strict';
// Ends the process in the midst of generations: `node exit.js HOW CODE`. Nothing may be printed but "running".

const { PROMPT, TINY, endless, mullama } = require('../model');

const [, , how, code] = process.argv;
const model = new mullama.Model(TINY);
const contexts = [1, 2].map(() => model.createContext({ nCtx: 256, nThreads: 1 }));

(async () => {
  const stream = contexts[0].stream(PROMPT, endless);
  await stream.next();
  if (how === 'leave') return void process.stdout.write('running\n'); // nothing but a stream that nobody reads
  contexts[0].generate(PROMPT, endless).catch(() => {}); // waits for its turn
  contexts[1].generate(PROMPT, endless).catch(() => {});
  const log = mullama.openLog();
  log.next({ timeout: 60_000 }).catch(() => {});
  process.stdout.write('running\n');
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
  if (how === 'exit') process.exit(Number(code));
  if (how === 'throw') throw new Error('on purpose');
  if (how === 'callback') {
    const progress = () => process.exit(Number(code));
    if (Number(code) % 2) new mullama.Model(TINY, { progress });
    else mullama.Model.load(TINY, { progress });
  }
})();
