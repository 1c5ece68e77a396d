'use strict';
// Schemas of a tool's arguments: those of zod and its kin, and JSON Schema itself.

const { shown, wrong } = require('./values');

const STANDARD = '~standard';

/** Whether it is a schema of a library: of zod, or of any that follows Standard Schema. */
function isSchema(value) {
  return typeof value === 'object' && value !== null && (STANDARD in value || '_zod' in value || '_def' in value);
}

/** The JSON Schema of a library's schema; undefined for any other value. */
function jsonSchemaOf(value) {
  if (!isSchema(value)) return undefined;
  const standard = value[STANDARD]?.jsonSchema?.input;
  if (typeof standard === 'function') return standard({ target: 'draft-2020-12' });
  if (typeof value.toJSONSchema === 'function') return value.toJSONSchema({ io: 'input' });
  const vendor = value[STANDARD]?.vendor ?? 'zod';
  throw wrong(
    `a schema of ${vendor} does not tell its JSON Schema here; give that itself (z.toJSONSchema(schema) in zod 4), ` +
      'or use zod 4.2 or newer',
  );
}

/** The arguments as a schema takes them: its defaults and conversions applied. Throws an Error that says what does not fit. */
async function fitted(schema, value) {
  if (schema === undefined || schema === null) return value;
  if (!isSchema(schema)) {
    const problem = mismatch(value, schema, schema, '');
    if (problem) throw new TypeError(problem);
    return value;
  }
  if (!schema[STANDARD]?.validate) return schema.parseAsync(value);
  const { issues, value: taken } = await schema[STANDARD].validate(value);
  if (!issues) return taken;
  const where = (path) => (path ?? []).map((step) => step?.key ?? step).join('.');
  throw new TypeError(issues.map(({ path, message }) => [where(path), message].filter(Boolean).join(': ')).join('; '));
}

const kinds = {
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

const LIMITS = [
  ['minimum', (value, limit) => value >= limit, 'at least'],
  ['maximum', (value, limit) => value <= limit, 'at most'],
  ['exclusiveMinimum', (value, limit) => value > limit, 'more than'],
  ['exclusiveMaximum', (value, limit) => value < limit, 'less than'],
];
const SIZES = [
  ['minLength', 'maxLength', 'characters', (value) => (kinds.string(value) ? [...value].length : undefined)],
  ['minItems', 'maxItems', 'items', (value) => (kinds.array(value) ? value.length : undefined)],
];

/**
 * Why a value does not follow a JSON Schema; '' if it does. What says nothing about a value's shape (format, title, ...)
 * is not looked at. `at` is where in the arguments it stands.
 */
function mismatch(value, schema, root, at) {
  if (schema === false) return `${at} must not be there`;
  if (!kinds.object(schema)) return '';
  const referred = schema.$ref === undefined ? '' : mismatch(value, resolved(schema.$ref, root), root, at);
  return (
    referred ||
    kindProblem(value, schema, at || 'what is given') ||
    sizeProblem(value, schema, at) ||
    (kinds.object(value) ? memberProblem(value, schema, root, at) : '') ||
    (kinds.array(value) ? itemProblem(value, schema, root, at) : '') ||
    choiceProblem(value, schema, root, at)
  );
}

function kindProblem(value, schema, at) {
  const types = [schema.type ?? []].flat();
  if (types.length > 0 && !types.some((type) => kinds[type]?.(value)))
    return `${at} must be ${types.join(' or ')}, not ${shown(value)}`;
  const isSame = (one) => JSON.stringify(one) === JSON.stringify(value);
  const allowed = 'const' in schema ? [schema.const] : schema.enum;
  if (allowed === undefined || allowed.some(isSame)) return '';
  return `${at} must be one of ${allowed.map((one) => JSON.stringify(one)).join(', ')}, not ${shown(value)}`;
}

function sizeProblem(value, schema, at) {
  for (const [name, holds, words] of LIMITS) {
    if (name in schema && kinds.number(value) && !holds(value, schema[name]))
      return `${at} must be ${words} ${schema[name]}, not ${value}`;
  }
  for (const [least, most, unit, sizeOf] of SIZES) {
    const size = sizeOf(value);
    if (size < schema[least]) return `${at} has ${size} ${unit}; it must have at least ${schema[least]}`;
    if (size > schema[most]) return `${at} has ${size} ${unit}; it must have at most ${schema[most]}`;
  }
  if (schema.pattern !== undefined && kinds.string(value) && !new RegExp(schema.pattern, 'u').test(value))
    return `${at} must match ${schema.pattern}, not ${shown(value)}`;
  return '';
}

function memberProblem(value, schema, root, at) {
  const place = (name) => (at ? `${at}.${name}` : name);
  const missing = (schema.required ?? []).find((name) => !Object.hasOwn(value, name));
  if (missing !== undefined) return `${place(missing)} is missing`;
  const properties = schema.properties ?? {};
  for (const [name, one] of Object.entries(value)) {
    const isKnown = Object.hasOwn(properties, name);
    if (!isKnown && schema.additionalProperties === false)
      return `there is no ${place(name)}; there is ${Object.keys(properties).join(', ') || 'nothing'}`;
    const problem = mismatch(one, isKnown ? properties[name] : schema.additionalProperties, root, place(name));
    if (problem) return problem;
  }
  return '';
}

function itemProblem(value, schema, root, at) {
  const first = schema.prefixItems ?? [];
  const problems = value.map((one, i) => mismatch(one, first[i] ?? schema.items, root, `${at}[${i}]`));
  return problems.find(Boolean) ?? '';
}

function choiceProblem(value, schema, root, at) {
  const problems = (schemas) => schemas.map((one) => mismatch(value, one, root, at));
  const all = problems(schema.allOf ?? []).find(Boolean);
  if (all) return all;
  const choices = [schema.anyOf, schema.oneOf].filter(Boolean).map(problems);
  return choices.find((some) => some.every(Boolean))?.join(', or ') ?? '';
}

/** What `#/$defs/name` points at. */
function resolved(reference, root) {
  if (!reference.startsWith('#')) return undefined;
  const steps = reference.split('/').slice(1);
  const plain = (step) => decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  return steps.reduce((place, step) => place?.[plain(step)], root);
}

module.exports = { fitted, jsonSchemaOf };
