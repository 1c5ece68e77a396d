'use strict';
// Values that callers give, on their way to the library.

/** The error for an argument of the caller's; `what` says what it must be. */
function wrong(what, value, cause) {
  const error = new TypeError(value === undefined ? what : `${what}, not ${shown(value)}`, { cause });
  return Object.assign(error, { code: 'INVALID_ARGUMENT' });
}

function shown(value) {
  if (Array.isArray(value)) return 'an array';
  if (value === null || typeof value === 'number') return String(value);
  return typeof value === 'string' ? `'${value.length > 60 ? `${value.slice(0, 60)}...` : value}'` : typeof value;
}

/** JSON of a value that is no string; `name` is the parameter's. */
function stringifyJson(value, name, replacer) {
  let text;
  try {
    text = JSON.stringify(value, replacer);
  } catch (error) {
    if (error?.code === 'INVALID_ARGUMENT') throw error;
    throw wrong(`${name} cannot be written as JSON: ${error.message}`, undefined, error);
  }
  if (text === undefined) throw wrong(`${name} cannot be written as JSON: ${typeof value}`);
  return text;
}

module.exports = { shown, stringifyJson, wrong };
