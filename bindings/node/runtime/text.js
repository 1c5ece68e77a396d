'use strict';
// Text of a running generation: whole (`Completion`) or piece by piece (`TextStream`).

const { abortable, onAbort, signalOf } = require('./abort');
const { asyncDispose, dispose } = require('./handle');

/** The promise of a whole text; `result` is a promise of the figures of its generation. */
class Completion extends Promise {
  /** `then` gives a plain promise. */
  static get [Symbol.species]() {
    return Promise;
  }

  static of(answer) {
    const completion = new Completion((resolve, reject) => {
      answer.then(({ text }) => resolve(text), reject);
    });
    completion.result = answer.then(({ result }) => result);
    completion.result.catch(() => {}); // whoever looks at the text sees the error there
    return completion;
  }
}

/** The text conveniences of one binding. */
function textClasses(native) {
  /**
   * Pieces of a text as they become certain, for one `for await`.
   *
   * The generation begins with the first piece that is asked for, and a thread keeps it a little ahead of its reader.
   * Leaving the loop early, `close()` or `await using` ends it and frees it.
   */
  class TextStream {
    #external;
    #pieces = [];
    #at = 0;
    #reading = Promise.resolve();
    #over = false;
    #result = null;
    #signal;
    #stopListening = () => {};

    constructor(external, signal) {
      this.#external = external;
      this.#signal = signal;
      if (signal !== undefined && !signal.aborted) {
        // Not from here on only: a stream that nobody reads must not keep its signal's listener.
        const self = new WeakRef(this);
        this.#stopListening = onAbort(signal, () => self.deref()?.cancel());
      }
    }

    /** The figures of the generation, once the text has ended or was closed; null before. */
    get result() {
      return this.#result;
    }

    /** The next piece. Calls that do not wait for each other are answered in order. */
    next() {
      if (this.#at < this.#pieces.length && !this.#signal?.aborted) {
        return Promise.resolve({ done: false, value: this.#pieces[this.#at++] });
      }
      const answer = this.#reading.then(() => this.#next());
      this.#reading = answer.catch(() => {});
      return answer;
    }

    async #next() {
      if (this.#signal?.aborted && !this.#over) {
        await this.close();
        throw this.#signal.reason;
      }
      if (this.#at === this.#pieces.length && !this.#over) await this.#take();
      if (this.#at < this.#pieces.length) return { done: false, value: this.#pieces[this.#at++] };
      return { done: true, value: undefined };
    }

    async #take() {
      try {
        const { pieces, result } = await native.takePieces(this.#external);
        this.#pieces = pieces;
        this.#at = 0;
        if (pieces.length === 0) this.#end(result);
      } catch (error) {
        this.#end(null);
        throw error;
      }
      if (this.#signal?.aborted) {
        await this.close();
        throw this.#signal.reason;
      }
    }

    #end(result) {
      this.#over = true;
      this.#result ??= result;
      this.#stopListening();
    }

    /** Ends the generation; the loop over the pieces then ends as usual. */
    cancel() {
      native.cancelPieces(this.#external);
    }

    /** Ends the generation and waits until it is freed. `result` stays. */
    async close() {
      this.#pieces = [];
      this.#at = 0;
      this.#end(await native.closePieces(this.#external));
    }

    /** Leaving a `for await` early. */
    async return(value) {
      await this.close();
      return { done: true, value };
    }

    [Symbol.asyncIterator]() {
      return this;
    }

    /** `using` cannot wait: the generation ends soon after. */
    [dispose]() {
      this.close().catch(() => {});
    }

    /** `await using` */
    [asyncDispose]() {
      return this.close();
    }
  }

  return {
    TextStream,
    /** A whole text: `start` gets a control, and gives a promise of `{ text, result }`. */
    complete: (options, start) => Completion.of(abortable(native, options, start)),
    /** A stream: `open` gives the addon's External. */
    stream(options, open) {
      const signal = signalOf(options);
      return new TextStream(open(), signal);
    },
  };
}

module.exports = { Completion, textClasses };
