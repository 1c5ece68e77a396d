'use strict';
// The base of every class that stands for an object of the library.

const { inspect } = require('node:util');

/** Where an object keeps its External; the addon checks that it is one of the right kind. */
const HANDLE = Symbol('handle');
const PARENT = Symbol('parent');
/** Makes an object of a class from an External. */
const ADOPT = Symbol('adopt');

const dispose = Symbol.dispose ?? Symbol.for('nodejs.dispose');
const asyncDispose = Symbol.asyncDispose ?? Symbol.for('nodejs.asyncDispose');

/** The class `Handle` of one binding. */
function handleClass(native) {
  return class Handle {
    constructor(external) {
      this[HANDLE] = external;
    }

    static [ADOPT](external, parent) {
      if (external === null) return null;
      const self = Object.create(this.prototype);
      self[HANDLE] = external;
      self[PARENT] = parent;
      return self;
    }

    /** Whether `close()` was called. */
    get closed() {
      return native.isClosed(this[HANDLE]);
    }

    /** Ends what runs, waits for it, and releases what the object holds. Later calls fail; closing twice is fine. */
    close() {
      native.close(this[HANDLE]);
    }

    /** `using` */
    [dispose]() {
      this.close();
    }

    /** `await using`: as `close()`, but what runs is waited for on another thread. */
    [asyncDispose]() {
      return native.closeAsync(this[HANDLE]);
    }

    [inspect.custom](depth, options) {
      const { name, shown = [] } = this.constructor;
      const facts = this.closed ? { closed: true } : Object.fromEntries(shown.map((one) => [one, this[one]]));
      return `${name} ${inspect(facts, options)}`;
    }
  };
}

module.exports = { ADOPT, HANDLE, PARENT, asyncDispose, dispose, handleClass };
