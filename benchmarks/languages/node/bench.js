'use strict';
// The Node side of benchmarks/languages.py: `node bench.js MODEL N_THREADS`; see ../README.md.

const path = require('node:path');
const readline = require('node:readline');
const { Engine, Model } = require(path.join(__dirname, '..', '..', '..', 'bindings', 'node'));

const [, , file, threads] = process.argv;
const model = new Model(file);
const context = model.createContext({ nCtx: 1024, nThreads: Number(threads) });
const options = { tokens: [model.specialTokens.bos], maxTokens: 128, temperature: 0, ignoreEos: true };

let engine; // opened when it is asked for
const seconds = (since) => Number(process.hrtime.bigint() - since) / 1e9;
const now = () => process.hrtime.bigint();

const measures = {
  async generate() {
    context.memoryClear();
    const start = now();
    await context.generate(options);
    return seconds(start);
  },

  async stream() {
    context.memoryClear();
    const start = now();
    let length = 0;
    for await (const piece of context.stream(options)) length += piece.length;
    return length > 0 ? seconds(start) : NaN;
  },

  async engine() {
    engine ??= new Engine(file, { nCtx: 1024, nSlots: 1, nThreads: Number(threads) });
    const messages = [{ role: 'user', content: 'Say hello.' }];
    const start = now();
    let length = 0;
    const answer = engine.chat(messages, { maxTokens: 64, temperature: 0, ignoreEos: true, stream: true });
    for await (const piece of answer) length += piece.text.length;
    return length > 0 ? seconds(start) : NaN;
  },

  async call() {
    const n = 500_000;
    const round = (body) => {
      const start = now();
      const sum = body();
      return sum > 0 ? seconds(start) / n : NaN;
    };
    const calling = () => {
      let sum = 0;
      for (let i = 0; i < n; ++i) sum |= model.nVocab; // a sum would outgrow V8's small integers
      return sum;
    };
    const plain = { nVocab: 5 };
    const looping = () => {
      let sum = 0;
      for (let i = 0; i < n; ++i) sum |= plain.nVocab;
      return sum;
    };
    const best = (body) => Math.min(...Array.from({ length: 7 }, () => round(body)));
    return best(calling) - best(looping);
  },

  async tokenize() {
    const n = 5000;
    const rounds = Array.from({ length: 5 }, () => {
      const start = now();
      for (let i = 0; i < n; ++i) model.tokenize('Hello world');
      return seconds(start) / n;
    });
    return Math.min(...rounds);
  },
};

(async () => {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (line.trim()) console.log((await measures[line.trim()]()).toFixed(12));
  }
})();
