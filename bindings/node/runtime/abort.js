'use strict';
// AbortSignal: an aborted call ends in the library too, and its promise rejects with the signal's reason, as fetch does.

const { setMaxListeners } = require('node:events');

const RETRY_MS = 20;

/**
 * The promise of a call that `options.signal` can end.
 *
 * @param {object} native the addon
 * @param {object | undefined} options those of the caller
 * @param {(control: unknown) => Promise<unknown>} start begins the call
 */
async function abortable(native, options, start) {
  const signal = signalOf(options);
  if (signal === undefined) return start(undefined);
  signal.throwIfAborted();
  const control = native.control();
  const cancel = () => native.cancel(control);
  const stopListening = onAbort(signal, cancel);
  try {
    return await start(control);
  } finally {
    stopListening();
    // However the library has ended: the caller has said that it does not want to know.
    signal.throwIfAborted(); // eslint-disable-line no-unsafe-finally
  }
}

/** The signal of some options; a TypeError if it is none. */
function signalOf(options) {
  if (typeof options !== 'object' || options === null || options.signal === undefined) return undefined;
  if (!(options.signal instanceof AbortSignal)) {
    throw Object.assign(new TypeError('signal must be an AbortSignal'), { code: 'INVALID_ARGUMENT' });
  }
  return options.signal;
}

/** Hears of an abort, once. Returns what ends that. Any number of calls may share a signal, which is no leak. */
function listen(signal, heard) {
  setMaxListeners(0, signal);
  signal.addEventListener('abort', heard, { once: true });
  return () => signal.removeEventListener('abort', heard);
}

/**
 * Cancels when a signal aborts: again and again, since a call that has not reached the library yet has nothing to
 * cancel there. Returns what ends that.
 */
function onAbort(signal, cancel) {
  let again;
  const abort = () => {
    cancel();
    again = setInterval(cancel, RETRY_MS);
  };
  const stopListening = listen(signal, abort);
  return () => {
    clearInterval(again);
    stopListening();
  };
}

module.exports = { abortable, listen, onAbort, signalOf };
