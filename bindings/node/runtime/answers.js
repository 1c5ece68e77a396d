'use strict';
// Requests that are answered with objects: whole, in pieces, and in rounds in which the model calls functions.

const { listen, signalOf } = require('./abort');
const { asyncDispose, dispose } = require('./handle');
const { jsonSchemaOf } = require('./schema');
const { Tools } = require('./tools');
const { stringifyJson, wrong } = require('./values');

/** A JSON object of an answer, with its fields as properties in JavaScript's spelling. */
class Answer {
  #raw;

  constructor(raw) {
    this.#raw = raw;
  }

  /** All that came, as it came. */
  get raw() {
    return this.#raw;
  }

  /** What `JSON.stringify()` writes, and what a request sends that holds the object. */
  toJSON() {
    return this.#raw;
  }
}

/** A value of an answer as an object of a class, or as a list of them; null where there is none. */
function made(Class, value) {
  if (value === undefined || value === null) return null;
  return Array.isArray(value) ? value.map((one) => new Class(one)) : new Class(value);
}

/**
 * A value of a request with the names that JSON has. One that the description does not know stays as it is: the library
 * refuses it by name.
 *
 * @param {unknown} value
 * @param {Record<string, Record<string, { json?: string, object?: string }>>} objects the description
 * @param {string | undefined} name of the object that the value is, or is a list of
 */
function written(value, objects, name) {
  if (name === undefined || typeof value !== 'object' || value === null || value instanceof Answer) return value;
  if (Array.isArray(value)) return value.map((one) => written(one, objects, name));
  const renamed = Object.entries(value).map(([key, one]) => {
    const { json = key, object } = Object.hasOwn(objects[name], key) ? objects[name][key] : {};
    return [json, written(one, objects, object)];
  });
  return Object.fromEntries(renamed);
}

/** What JSON has no form for: schemas of zod and its kin, and typed arrays. */
function plain(_, value) {
  if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return Array.from(value);
  return jsonSchemaOf(value) ?? value;
}

/** A request and what comes of it; with functions among its tools, a request for each round. */
class Exchange {
  /** Once there are no more pieces; null where it was cancelled before. */
  answer = null;
  #engine;
  #kind;
  #body;
  #tools;
  #signal;
  #stream = null;
  #isCancelled = false;
  #stopListening = () => {};

  /**
   * @param {object} engine
   * @param {object} kind see `ask`
   * @param {object} body
   * @param {Tools | null} tools
   * @param {AbortSignal | undefined} signal
   */
  constructor(engine, kind, body, tools, signal) {
    this.#engine = engine;
    this.#kind = kind;
    this.#body = body;
    this.#tools = tools;
    this.#signal = signal;
    if (signal === undefined || signal.aborted) return;
    const self = new WeakRef(this); // a signal must not keep what nobody reads
    const cancel = () => self.deref()?.cancel();
    this.#stopListening = listen(signal, cancel);
  }

  get toolRuns() {
    return [...(this.#tools?.runs ?? [])];
  }

  get reachedMaxRounds() {
    return this.#tools?.reachedMaxRounds ?? false;
  }

  /** The next piece; undefined at the end. One call at a time. */
  async next() {
    let raw;
    try {
      do {
        const event = this.#isCancelled ? null : await (this.#stream ?? (await this.#send())).next();
        this.#signal?.throwIfAborted();
        if (event !== null && !event.whole) return new this.#kind.piece(event.data);
        this.#leave();
        raw = event?.data;
      } while (raw !== undefined && (await this.#goOn(raw)));
    } catch (error) {
      this.#leave();
      this.#stopListening();
      throw error;
    }
    this.#stopListening();
    if (raw !== undefined && !this.#isCancelled) {
      this.answer = new this.#kind.answer(raw, this.toolRuns, this.reachedMaxRounds);
    }
    return undefined;
  }

  async #send() {
    this.#signal?.throwIfAborted();
    const body = stringifyJson(this.#body, 'the request', plain);
    this.#stream = await this.#engine.requestAsync(this.#kind.route, body);
    if (this.#isCancelled) this.#stream.cancel();
    return this.#stream;
  }

  /** Makes the calls that an answer asks for; whether there were any. */
  async #goOn(raw) {
    const calls = this.#tools?.callsOf(raw) ?? [];
    if (calls.length === 0) return false;
    await this.#tools.run(calls, this.#signal);
    this.#signal?.throwIfAborted();
    return true;
  }

  cancel() {
    this.#isCancelled = true;
    this.#stream?.cancel();
  }

  #leave() {
    this.#stream?.close();
    this.#stream = null;
  }
}

/**
 * The requests of one binding.
 *
 * @param {(code: string, message: string) => Error} makeError
 */
function answering(makeError) {
  /**
   * An answer in pieces, for one `for await`. It is a promise of the whole answer as well: `await stream`. Both may be
   * mixed: what the loop has not taken is read by `await`, and stays for a loop that comes later.
   *
   * The request is sent at once. Leaving the loop early, `close()` or `await using` cancels it.
   */
  class AnswerStream {
    #exchange;
    #pieces = [];
    #reading;
    #whole;
    #isOver = false;
    #failure;

    constructor(exchange) {
      this.#exchange = exchange;
      this.#reading = this.#read();
    }

    /** The functions that were called so far, in order. */
    get toolRuns() {
      return this.#exchange.toolRuns;
    }

    /** Whether the last round that `maxRounds` allows has begun: the model cannot call any more, and has to answer. */
    get reachedMaxRounds() {
      return this.#exchange.reachedMaxRounds;
    }

    /** Takes one more piece, or the end. A failure is kept for those who ask. */
    async #read() {
      if (this.#isOver) return;
      try {
        const piece = await this.#exchange.next();
        if (piece !== undefined) return void this.#pieces.push(piece);
      } catch (error) {
        this.#failure = { error };
      }
      this.#isOver = true;
    }

    /** The next piece. Calls that do not wait for each other are answered in order. */
    next() {
      const piece = this.#reading.then(() => this.#next());
      this.#reading = piece.catch(() => {});
      return piece;
    }

    async #next() {
      if (this.#pieces.length === 0) await this.#read();
      if (this.#pieces.length > 0) return { done: false, value: this.#pieces.shift() };
      if (this.#failure !== undefined) throw this.#failure.error;
      return { done: true, value: undefined };
    }

    async #readToTheEnd() {
      while (!this.#isOver) {
        this.#reading = this.#reading.then(() => this.#read());
        await this.#reading;
      }
    }

    async #wholeAnswer() {
      await this.#readToTheEnd();
      if (this.#failure !== undefined) throw this.#failure.error;
      return answerOf(this.#exchange);
    }

    then(onAnswer, onError) {
      this.#whole ??= this.#wholeAnswer();
      return this.#whole.then(onAnswer, onError);
    }

    catch(onError) {
      return this.then(undefined, onError);
    }

    finally(onEnd) {
      return this.then().finally(onEnd);
    }

    /** Cancels the request; the loop over the pieces then ends as usual. */
    cancel() {
      this.#exchange.cancel();
    }

    /** Cancels the request, and waits until its slot is free. The answer stays, if it was complete. */
    async close() {
      this.#exchange.cancel();
      await this.#readToTheEnd();
      this.#pieces = [];
    }

    /** Leaving a `for await` early. */
    async return(value) {
      await this.close();
      return { done: true, value };
    }

    [Symbol.asyncIterator]() {
      return this;
    }

    /** `using` cannot wait: the request ends soon after. */
    [dispose]() {
      this.close().catch(() => {});
    }

    /** `await using` */
    [asyncDispose]() {
      return this.close();
    }
  }

  /** What is to be sent; throws a TypeError where the options are wrong. */
  function exchange(engine, kind, given, options, isStreamed) {
    if (typeof options !== 'object' || options === null || Array.isArray(options)) {
      throw wrong('the options must be an object', options);
    }
    const own = ['signal', ...(kind.piece ? ['stream'] : []), ...(kind.tools ? ['maxRounds', 'toolErrors'] : [])];
    const fields = Object.entries(options).filter(([name]) => !own.includes(name));
    const body = written({ ...given, ...Object.fromEntries(fields) }, kind.objects, kind.request);
    if (isStreamed) Object.assign(body, { stream: true, stream_options: { include_answer: true } });
    const tools = kind.tools ? Tools.among(body, options, makeError) : null;
    return new Exchange(engine, kind, body, tools, signalOf(options));
  }

  /**
   * Sends a request: gives a promise of its answer, or a stream where that is asked for.
   *
   * @param {object} engine whose `requestAsync` sends it
   * @param {object} kind `route`, `request` (its object among `objects`, where names differ from JSON's), `answer` and
   *   `piece` (classes), `tools` (whether functions may stand among them)
   * @param {object} given fields that stand before the options
   * @param {object} [options] the other fields, and how to answer
   */
  function ask(engine, kind, given, options = {}) {
    const isStreamed = Boolean(kind.piece && options?.stream);
    if (isStreamed) return new AnswerStream(exchange(engine, kind, given, options, true));
    return whole(engine, kind, given, options);
  }

  async function whole(engine, kind, given, options) {
    const whole = exchange(engine, kind, given, options, false);
    await whole.next();
    return answerOf(whole);
  }

  function answerOf({ answer }) {
    if (answer === null) throw makeError('CANCELLED', 'the request was cancelled before its answer was complete');
    return answer;
  }

  return { AnswerStream, ask };
}

module.exports = { Answer, answering, made };
