'use strict';
// The library's own binding and the models of the tests: a tiny one, whose text is known, and the real one.

const path = require('node:path');

const mullama = require('..');

const TINY = path.join(process.env.MULLAMA_TEST_CASES ?? '.', 'tiny', 'llama.gguf');
const REAL = process.env.MULLAMA_TEST_MODEL;
/** A prompt for the tiny model, and what it greedily goes on with (tests/conformance/reference_llama.py). */
const PROMPT = 'of of';
const TEXT = '! the other an or like we by€ the into€€€ him was';

/** How to get that text, with an end. */
const greedy = { maxTokens: 24, temperature: 0 };
/** How to get a text without an end. */
const endless = { maxTokens: -1, overflow: 'shift', ignoreEos: true, temperature: 0 };

module.exports = { PROMPT, REAL, TEXT, TINY, endless, greedy, mullama };
