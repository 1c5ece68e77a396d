'use strict';
// Functions as tools: what the model is told of them, and the rounds in which it calls them.

const { fitted } = require('./schema');
const { stringifyJson, wrong } = require('./values');

const MAX_ROUNDS = 8;

/** The functions of a request. They are called one after the other, in the order of the model's calls. */
class Tools {
  /** The calls so far: id, name, arguments, result and error of each. */
  runs = [];
  /** Whether this round is the last one that `maxRounds` allows, so that the model cannot call. */
  reachedMaxRounds = false;
  #functions;
  #body;
  #maxRounds;
  #throws;
  #round = 1;

  constructor(body, { maxRounds = MAX_ROUNDS, toolErrors = 'tell' }, makeError) {
    if (!Number.isInteger(maxRounds) || maxRounds < 1)
      throw wrong('maxRounds must be an integer of at least 1', maxRounds);
    if (!['tell', 'throw'].includes(toolErrors)) throw wrong("toolErrors must be one of 'tell', 'throw'", toolErrors);
    this.#functions = new Map(body.tools.filter(isFunction).map((tool) => [tool.name, tool]));
    this.#body = Object.assign(body, { messages: [...body.messages], tools: body.tools.map(definition) });
    this.#maxRounds = maxRounds;
    this.#throws = toolErrors === 'throw';
    const { tool_choice: choice } = body;
    if (maxRounds === 1 && (choice === 'required' || (typeof choice === 'object' && choice !== null))) {
      const reason = 'it must be at least 2: one to call, one to answer';
      throw makeError('INVALID_ARGUMENT', `maxRounds is 1, but toolChoice requires a call; ${reason}`);
    }
    if (![undefined, null, 1].includes(body.n))
      throw makeError('INVALID_ARGUMENT', `n is ${body.n}; where tools are functions it must be 1`);
    this.#endCalls();
  }

  /** null where a request has no functions among its tools. */
  static among(body, options, makeError) {
    if (!Array.isArray(body.tools) || !body.tools.some(isFunction)) return null;
    if (!Array.isArray(body.messages)) throw wrong('messages must be an array', body.messages);
    return new Tools(body, options, makeError);
  }

  /** The calls that an answer asks for; none where it is the last one, or holds calls that are the caller's to make. */
  callsOf(answer) {
    const { message, finish_reason: reason } = answer.choices[0];
    const isLast = reason === 'length' || this.#round === this.#maxRounds; // a call that was cut off is none
    const calls = isLast ? [] : (message.tool_calls ?? []);
    const names = new Set(calls.map((call) => call.function.name));
    const declared = this.#body.tools.map((tool) => tool.function?.name);
    const isTheirs = (name) => declared.includes(name) && !this.#functions.has(name);
    if (calls.length === 0 || [...names].some(isTheirs)) return [];
    this.#body.messages.push({ ...message, tool_calls: calls.map(readable) });
    return calls;
  }

  /** Makes the calls, and of their results the next request. */
  async run(calls, signal) {
    for (const call of calls) {
      const run = await this.#call(call, signal);
      if (run.error !== null && this.#throws) throw run.error;
      this.#body.messages.push({ role: 'tool', tool_call_id: run.id, content: told(run) });
      this.runs.push(run);
    }
    ++this.#round;
    // A call that is required each time would never end.
    if (![undefined, null, 'none'].includes(this.#body.tool_choice)) this.#body.tool_choice = 'auto';
    this.#endCalls();
  }

  /** In the last round the model has to answer. */
  #endCalls() {
    if (this.#round !== this.#maxRounds || ![undefined, null, 'auto'].includes(this.#body.tool_choice)) return;
    this.#body.tool_choice = 'none';
    this.reachedMaxRounds = true;
  }

  async #call({ id = '', function: { name, arguments: text } }, signal) {
    const run = { id, name, arguments: text, result: null, error: null };
    try {
      run.arguments = parsed(name, text);
      const tool = this.#functions.get(name);
      if (!tool)
        throw new ReferenceError(`there is no function ${name}; there is ${[...this.#functions.keys()].join(', ')}`);
      const given = await fitted(tool.parameters, run.arguments);
      run.result = (await tool.run(given, { signal })) ?? null;
    } catch (error) {
      run.error = error instanceof Error ? error : new Error(String(error), { cause: error });
    }
    return Object.freeze(run);
  }
}

function isFunction(tool) {
  return typeof tool?.run === 'function';
}

/** What the library is given for a tool. */
function definition(tool) {
  if (!isFunction(tool)) return tool;
  const { name, description, parameters = { type: 'object', properties: {} } } = tool;
  if (typeof name !== 'string' || name === '') throw wrong('the name of a tool must be a string', name);
  return { type: 'function', function: { name, description, parameters } };
}

/** A call as it may be sent back: templates read the arguments, so what is no JSON is left out. */
function readable(call) {
  try {
    JSON.parse(call.function.arguments);
    return call;
  } catch {
    return { ...call, function: { ...call.function, arguments: '{}' } };
  }
}

function parsed(name, text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`the arguments of ${name} are no JSON: ${error.message}`, { cause: error });
  }
}

/** What the model is told of a call. */
function told({ name, result, error }) {
  if (error !== null) return `error: ${error.message}`;
  return typeof result === 'string' ? result : stringifyJson(result, `what ${name} has returned`);
}

module.exports = { Tools };
