'use strict';
// Puts a binding together: the loaded addon, and what its generated classes stand on.

const { fileURLToPath } = require('node:url');
const { abortable } = require('./abort');
const { Answer, answering, made } = require('./answers');
const { handleClass, ADOPT, HANDLE, PARENT } = require('./handle');
const { load } = require('./load');
const { READ, named, pumpedStreamClass } = require('./pump');
const { Completion, textClasses } = require('./text');
const { stringifyJson } = require('./values');

const warned = new Set();

/**
 * @param {object} description
 * @param {string} description.name of the API, such as mullama
 * @param {number} description.major version of its ABI
 * @param {string} description.folder the binding's own folder
 * @param {Function} description.makeError (errno, code, message) => Error
 * @param {Function} description.ownError (code, message) => Error, of what the runtime itself finds wrong
 */
function bind({ name, major, folder, makeError, ownError }) {
  const scratch = new ArrayBuffer(64);
  const native = load({
    name,
    major,
    folder,
    runtime: { handleKey: HANDLE, makeError, parseJson: JSON.parse, stringifyJson, scratch },
  });
  // process.exit() runs no clean-up hook of the addon. A Worker that is terminated emits no `exit`, but has its hook run.
  process.on('exit', () => native.shutDown());
  const Handle = handleClass(native);
  return {
    native,
    HANDLE,
    PARENT,
    ADOPT,
    READ,
    Completion,
    Handle,
    PumpedStream: pumpedStreamClass(Handle),
    ...textClasses(native),
    Answer,
    made,
    ...answering(ownError),
    abortable: (given, start) => abortable(native, given, start),
    named,
    optionsOf,
    pathOf,
    pathsIn,
    within,
    copiedFloat32Array: copier(new Float32Array(scratch)),
    copiedInt32Array: copier(new Int32Array(scratch)),
    copiedUint8Array: copier(new Uint8Array(scratch)),
    deprecated: (what, message) => deprecated(`${name}.${what}`, message),
  };
}

/** Gives arrays as they are; of a small one there is only the length, and its items lie in the scratch buffer. */
function copier(scratch) {
  const TypedArray = scratch.constructor;
  return (given) => {
    if (typeof given !== 'number') return given;
    const array = new TypedArray(given);
    for (let i = 0; i < given; ++i) array[i] = scratch[i];
    return array;
  };
}

/** The options of a call whose only positional parameter may be left out. */
function optionsOf(first, options) {
  return options === undefined && typeof first === 'object' && first !== null ? first : options;
}

/** A file may be named by a `file:` URL. */
function pathOf(path) {
  return path instanceof URL ? fileURLToPath(path) : path;
}

/** The same for options, of which some name several. */
function pathsIn(options) {
  const named = (value) => (Array.isArray(value) ? value.some(named) : value instanceof URL);
  const files = Object.entries(options ?? {}).filter(([, value]) => named(value));
  const pathsOf = (value) => (Array.isArray(value) ? value.map(pathOf) : pathOf(value));
  return files.length === 0
    ? options
    : { ...options, ...Object.fromEntries(files.map(([name, value]) => [name, pathsOf(value)])) };
}

/** The answer of a stream: `undefined` from the addon says that the time is over. */
function within(answer) {
  if (answer === undefined) throw new DOMException('the time is over', 'TimeoutError');
  return answer;
}

function deprecated(what, message) {
  if (warned.has(what)) return;
  warned.add(what);
  process.emitWarning(`${what} is deprecated: ${message}`, 'DeprecationWarning');
}

module.exports = { bind };
