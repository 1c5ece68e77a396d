'use strict';
// Streams that share one thread: it sits in the wait of what they belong to, which names those that have something, and
// the event loop polls these. So a thousand open streams cost no more threads than one.

const { listen, signalOf } = require('./abort');
const { HANDLE, PARENT, asyncDispose } = require('./handle');

/** The next item of a stream: null at the end, undefined when the time is over. */
const READ = Symbol('read');
const LINE = Symbol('line');
const SERVE = Symbol('serve');
const PUMP = Symbol('pump');
const ID = Symbol('id');
const LONGEST_TIMER = 2 ** 31 - 1;

/** Waits for the streams of one owner, while somebody waits for one of them. */
class Pump {
  #wait;
  #wake;
  #streams = new Map(); // by their ids, those that somebody waits for
  #isRunning = false;
  #isWaiting = false;

  /**
   * @param {() => Promise<Iterable<number>>} wait gives the ids of streams that have something
   * @param {() => void} wake makes it return
   */
  constructor(wait, wake) {
    this.#wait = wait;
    this.#wake = wake;
  }

  add(id, stream) {
    this.#streams.set(id, stream);
    if (!this.#isRunning) this.#run();
  }

  remove(id) {
    const isLast = this.#streams.delete(id) && this.#streams.size === 0;
    // A pending wait keeps the process alive, and nobody needs this one.
    if (isLast && this.#isWaiting) this.#wake();
  }

  named(ids) {
    for (const id of ids) this.#streams.get(id)?.[SERVE]();
  }

  async #run() {
    this.#isRunning = true;
    try {
      while (this.#streams.size > 0) {
        this.#isWaiting = true;
        const ids = await this.#wait();
        this.#isWaiting = false;
        this.named(ids);
      }
    } catch (error) {
      // The owner was closed: its streams have ended, and say so.
      this.#isWaiting = false;
      for (const stream of [...this.#streams.values()]) stream[SERVE](error);
    } finally {
      this.#isRunning = false;
    }
  }
}

/** One call that waits for a stream's next item. */
class Reader {
  #stream;
  #options;
  #resolve;
  #reject;
  #timer;
  #stopListening = () => {};

  constructor(stream, options, signal, resolve, reject) {
    this.#stream = stream;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    if (signal === undefined) return;
    this.#stopListening = listen(signal, () => {
      stream.cancel();
      this.#leave(() => reject(signal.reason));
    });
  }

  /** Whether the stream had something, or never will. */
  answer(poll, error) {
    try {
      const item = poll(this.#stream[HANDLE], this.#options);
      if (item !== undefined || this.#options?.timeout === 0) this.#resolve(item);
      else if (error !== undefined) throw error;
      else return this.#startTimer();
    } catch (reason) {
      this.#reject(reason);
    }
    this.#end();
    return true;
  }

  #startTimer() {
    const timeout = this.#options?.timeout;
    if (this.#timer === undefined && timeout > 0 && timeout <= LONGEST_TIMER) {
      this.#timer = setTimeout(() => this.#leave(this.#resolve), timeout);
    }
    return false;
  }

  /** Goes without an item. */
  #leave(settle) {
    settle();
    this.#end();
    const line = this.#stream[LINE];
    line.splice(line.indexOf(this), 1);
    this.#stream[SERVE]();
  }

  #end() {
    clearTimeout(this.#timer);
    this.#stopListening();
  }
}

/** The class `PumpedStream` of one binding; `operations` of a subclass are those of the addon. */
function pumpedStreamClass(Handle) {
  return class PumpedStream extends Handle {
    [READ](options) {
      return new Promise((resolve, reject) => {
        const signal = signalOf(options);
        signal?.throwIfAborted();
        this[LINE] ??= [];
        if (this[LINE].push(new Reader(this, options, signal, resolve, reject)) === 1) this[SERVE]();
      });
    }

    /** Answers those who stand in line, as long as there is something. `error`: nothing will come any more. */
    [SERVE](error) {
      const { operations } = this.constructor;
      const line = this[LINE];
      while (line.length > 0 && line[0].answer(operations.next, error)) line.shift();
      if (line.length > 0) pumpOf(this).add(this[ID] ?? (this[ID] = operations.id(this[HANDLE])), this);
      else if (this[ID] !== undefined) pumpOf(this).remove(this[ID]);
    }

    close() {
      super.close();
      if (this[LINE]) this[SERVE]();
    }

    async [asyncDispose]() {
      await super[asyncDispose]();
      if (this[LINE]) this[SERVE]();
    }

    /** Leaving the loop early cancels what is read. */
    async *[Symbol.asyncIterator]() {
      try {
        let item;
        while ((item = await this.next()) !== null) yield item;
      } finally {
        this.cancel();
      }
    }
  };
}

function pumpOf(stream) {
  const owner = stream[PARENT];
  const { wait, wake } = stream.constructor.operations;
  owner[PUMP] ??= new Pump(
    () => wait(owner[HANDLE], undefined, undefined, undefined),
    () => wake(owner[HANDLE]),
  );
  return owner[PUMP];
}

/** Ids that a caller's own wait has got: readers hear of them as well. */
function named(owner, ids) {
  owner[PUMP]?.named(ids);
  return ids;
}

module.exports = { READ, named, pumpedStreamClass };
