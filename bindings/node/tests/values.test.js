'use strict';
// Numbers, texts, arrays, enums, options and words: every shape there and back.

const assert = require('node:assert/strict');
const { describe, test } = require('node:test');
const { fixture, nothingIsLeft } = require('./fixture');

const LLAMA = 'naïve 🦙\0end';

/** A TypeError that names the parameter. */
const refused = (pattern) => (error) => {
  assert.ok(error instanceof TypeError, `${error}`);
  assert.match(error.message, pattern);
  return true;
};

/** An error of the library. */
const failed =
  (code, pattern = /./) =>
  (error) => {
    assert.ok(error instanceof fixture.FixtureError, `${error}`);
    assert.equal(error.code, code);
    assert.match(error.message, pattern);
    return true;
  };

function detached(array) {
  structuredClone(array.buffer, { transfer: [array.buffer] });
  return array;
}

describe('numbers', () => {
  const limits = {
    I32: [-(2 ** 31), 2 ** 31 - 1],
    U32: [0, 2 ** 32 - 1],
    I64: [-(2n ** 63n), 2n ** 63n - 1n],
    U64: [0, 2n ** 64n - 1n],
    Size: [0, 2n ** 64n - 1n],
  };
  for (const [kind, [low, high]] of Object.entries(limits)) {
    const echo = fixture[`echo${kind}`];
    test(`${kind} keeps its limits and refuses what is beyond`, () => {
      assert.deepEqual([echo(low), echo(high), echo(0), echo(1)], [low, high, 0, 1]);
      const one = typeof high === 'bigint' ? 1n : 1;
      assert.throws(() => echo(high + one), refused(/^value must be from/));
      assert.throws(() => echo(typeof low === 'bigint' ? low - 1n : low - 1), refused(/^value must be from/));
    });
    test(`${kind} refuses what is no integer`, () => {
      for (const wrong of ['7', null, undefined, {}, [7], true]) {
        assert.throws(() => echo(wrong), refused(/^value must be a number, not /));
      }
      for (const wrong of [7.5, NaN, Infinity])
        assert.throws(() => echo(wrong), refused(/^value must be an integer, not /));
    });
  }

  test('64 bits are a number where that is exact, and a bigint beyond', () => {
    assert.equal(fixture.echoI64(2 ** 53 - 1), 2 ** 53 - 1);
    assert.equal(fixture.echoI64(5n), 5);
    assert.equal(fixture.echoI64(2n ** 53n), 2n ** 53n);
    assert.equal(fixture.echoI64(-(2n ** 53n)), -(2n ** 53n));
  });

  test('a number that may have lost digits is refused', () => {
    assert.throws(() => fixture.echoI64(2 ** 53), refused(/9007199254740992/));
    assert.throws(() => fixture.echoU64(2 ** 63), refused(/^value must be from 0/));
    assert.throws(() => fixture.echoI32(5n), refused(/must be a number, not bigint/));
  });

  test('a negative size is refused', () => assert.throws(() => fixture.echoSize(-1), refused(/^value must be from 0/)));

  test('NaN, infinities and minus zero survive', () => {
    for (const echo of [fixture.echoF32, fixture.echoF64]) {
      assert.deepEqual([NaN, Infinity, -Infinity, -0].map(echo), [NaN, Infinity, -Infinity, -0]);
    }
    assert.equal(fixture.echoF32(0.1), Math.fround(0.1));
    assert.equal(fixture.echoF64(Number.MIN_VALUE), Number.MIN_VALUE);
    for (const wrong of ['1', null, undefined, 1n])
      assert.throws(() => fixture.echoF64(wrong), refused(/must be a number/));
  });

  test('booleans are booleans', () => {
    assert.deepEqual([fixture.echoBool(true), fixture.echoBool(false)], [true, false]);
    for (const wrong of [0, 1, 'true', null, undefined]) {
      assert.throws(() => fixture.echoBool(wrong), refused(/^value must be a boolean/));
    }
  });

  test('unset is null', () => {
    assert.deepEqual([fixture.echoUnset(), fixture.echoUnset(null), fixture.echoUnset(undefined)], [null, null, null]);
    assert.deepEqual([fixture.echoUnset(7), fixture.echoUnset({ value: 7 })], [7, 7]);
  });

  test('a range is checked by the library', () => {
    assert.equal(fixture.half(50), 25);
    for (const wrong of [101, NaN]) assert.throws(() => fixture.half(wrong), failed('INVALID_ARGUMENT', /percent/));
  });

  test('a struct has one field of each kind', () => {
    assert.deepEqual(fixture.getNumbers(), {
      yes: true,
      lowestI64: -(2n ** 63n),
      lowestI32: -(2 ** 31),
      highestU64: 2n ** 64n - 1n,
      highestU32: 2 ** 32 - 1,
      notANumber: NaN,
      infinite: Infinity,
      highestSize: 2n ** 64n - 1n,
      unsetNumber: null,
      no: false,
    });
  });

  test('nothing gives undefined', () => assert.equal(fixture.nothing(), undefined));
});

describe('texts', () => {
  const long = 'é🦙x\0'.repeat(20_000);
  const texts = ['', 'a', LLAMA, '\0', '\uFFFD', 'a\uFFFDb', 'x'.repeat(251), 'x'.repeat(252), 'é'.repeat(126), long];
  for (const text of texts) {
    test(`${JSON.stringify(text.slice(0, 20))} of ${text.length} survives`, () => {
      assert.equal(fixture.echoText(text), text);
      assert.equal(fixture.echoTextOrNone(text), text);
      assert.equal(fixture.textSize(text), Buffer.byteLength(text));
    });
  }

  test('every length around the size of a short text survives', () => {
    for (let n = 240; n < 270; ++n) {
      for (const unit of ['x', 'é', '€', '🦙']) assert.equal(fixture.echoText(unit.repeat(n)), unit.repeat(n));
      assert.equal(fixture.echoText('x'.repeat(n) + '🦙'), 'x'.repeat(n) + '🦙');
    }
  });

  test('texts that live as long as the library', () => {
    assert.equal(fixture.sampleText(), LLAMA);
    assert.equal(fixture.emptyText(), '');
    assert.deepEqual(fixture.sampleTexts(), ['one', '', LLAMA]);
  });

  test('half of a surrogate pair is refused', () => {
    for (const wrong of ['\ud800', 'a\udc00b', '\uFFFD\ud800', 'x'.repeat(300) + '\ud83e', '\udc00\ud800']) {
      assert.throws(
        () => fixture.echoText(wrong),
        (error) => refused(/^text has half of a surrogate pair/)(error) && error.code === 'INVALID_UTF8',
      );
      assert.throws(() => fixture.echoTexts(['a', wrong]), refused(/^texts\[1\] has half/));
    }
  });

  test('what is no text is refused by name', () => {
    for (const wrong of [5, null, undefined, {}, ['a'], Buffer.from('a'), Symbol('a'), () => 'a', new String('a')]) {
      assert.throws(() => fixture.echoText(wrong), refused(/^text must be a string, not /));
    }
    assert.throws(() => fixture.echoTexts([1]), refused(/^texts\[0\] must be a string, not number/));
    assert.throws(() => fixture.echoTexts(new Set(['a'])), refused(/^texts must be an array of strings, not object/));
    assert.throws(() => fixture.echoTexts([,'a']), refused(/^texts\[0\] must be a string, not undefined/)); // prettier-ignore
  });

  test('none stays none, and empty stays empty', () => {
    assert.equal(fixture.echoTextOrNone(), null);
    assert.equal(fixture.echoTextOrNone(null), null);
    assert.equal(fixture.echoTextOrNone(''), '');
    assert.equal(fixture.echoTextOrNone({ text: '' }), '');
  });

  test('lists', () => {
    assert.deepEqual(fixture.echoTexts([]), []);
    assert.deepEqual(fixture.echoTexts([LLAMA, '', 'c']), [LLAMA, '', 'c']);
    assert.deepEqual(fixture.echoTexts('one'), ['one']);
    assert.equal(fixture.join(), '');
    assert.equal(fixture.join(['a', 'b']), 'a, b');
    assert.equal(fixture.join(['a', 'b'], { separator: LLAMA }), `a${LLAMA}b`);
    assert.equal(fixture.join({ texts: ['a', 'b'], separator: '' }), 'ab');
  });

  test('maps', () => {
    assert.deepEqual(
      fixture.pairs(['a', '', '__proto__'], [LLAMA, 'b', 'c']),
      JSON.parse(`{"a":"${'naïve 🦙\\u0000end'}","":"b","__proto__":"c"}`),
    );
    assert.deepEqual(fixture.pairs([], []), {});
    assert.throws(() => fixture.pairs(['a'], []), failed('INVALID_ARGUMENT'));
  });
});

describe('JSON', () => {
  test('takes and gives values', () => {
    for (const value of [{ a: [1, 'é', null, true] }, [], 5, null, false, { deep: { er: LLAMA } }]) {
      assert.deepEqual(fixture.echoJson(value), value);
    }
  });

  test('a string is JSON text already', () => {
    assert.deepEqual(fixture.echoJson('{"a": 1}'), { a: 1 });
    assert.equal(fixture.echoJson('"text"'), 'text');
    assert.throws(() => fixture.echoJson('{'), failed('INVALID_JSON'));
  });

  test('none is not the value null', () => {
    assert.equal(fixture.echoJsonOrNone(), null);
    assert.equal(fixture.echoJsonOrNone('null'), null);
    assert.deepEqual(fixture.echoJsonOrNone({ value: 1 }), { value: 1 });
  });

  test('what cannot be written is refused by name', () => {
    const circle = {};
    circle.self = circle;
    for (const wrong of [undefined, circle, 1n, () => 1, Symbol('a')]) {
      assert.throws(() => fixture.echoJson(wrong), refused(/^value cannot be written as JSON/));
    }
    const own = new RangeError('mine');
    assert.throws(() => fixture.echoJson({ toJSON() { throw own; } }), (error) => error.cause === own); // prettier-ignore
  });
});

describe('arrays', () => {
  test('bytes come from every kind of buffer', () => {
    const bytes = new Uint8Array([0, 1, 255]);
    for (const given of [
      bytes,
      Buffer.from(bytes),
      bytes.buffer,
      new DataView(bytes.buffer),
      new Uint8ClampedArray(bytes),
    ]) {
      assert.deepEqual(fixture.echoBytes(given), bytes);
    }
    assert.deepEqual(fixture.echoBytes(new Float64Array([1])), new Uint8Array(new Float64Array([1]).buffer));
    assert.deepEqual(fixture.echoBytes(bytes.subarray(1)), new Uint8Array([1, 255]));
    assert.deepEqual(fixture.echoBytes(new Uint8Array(0)), new Uint8Array(0));
    assert.deepEqual(fixture.echoBytes(new Uint8Array(new SharedArrayBuffer(2))), new Uint8Array(2));
    for (const wrong of ['a', [1], null, undefined, 5, {}])
      assert.throws(() => fixture.echoBytes(wrong), refused(/^data must be a Uint8Array/));
  });

  test('a detached buffer is no empty one', () => {
    assert.throws(() => fixture.echoBytes(detached(new Uint8Array(4))), refused(/^data has a detached buffer/));
    assert.throws(() => fixture.echoInts(detached(new Int32Array(4))), refused(/^numbers has a detached buffer/));
    const buffer = detached(new Uint8Array(4)).buffer;
    assert.throws(() => fixture.echoBytes(buffer), refused(/^data has a detached buffer/));
  });

  test('integers come from arrays of any kind that fits', () => {
    const numbers = new Int32Array([-(2 ** 31), 0, 2 ** 31 - 1]);
    assert.deepEqual(fixture.echoInts(numbers), numbers);
    assert.deepEqual(fixture.echoInts([...numbers]), numbers);
    assert.deepEqual(fixture.echoInts(new Float64Array(numbers)), numbers);
    assert.deepEqual(fixture.echoInts(BigInt64Array.from(numbers, BigInt)), numbers);
    assert.deepEqual(fixture.echoInts(numbers.subarray(1, 2)), new Int32Array([0]));
    assert.deepEqual(fixture.echoInts([]), new Int32Array(0));
    assert.deepEqual(fixture.echoInts(new Int32Array(0)), new Int32Array(0));
  });

  test('integers that do not fit are refused by index', () => {
    for (const wrong of [
      [0, 2 ** 31],
      [0, 1.5],
      [0, NaN],
      [0, '1'],
      [0, null],
      [0, undefined],
      [0, 1n],
      new Uint32Array([0, 2 ** 31]),
      new Float32Array([0, 0.5]),
    ]) {
      assert.throws(() => fixture.echoInts(wrong), refused(/^numbers\[1\] must be an integer of 32 bits, not /));
    }
    for (const wrong of [
      '12',
      null,
      undefined,
      5,
      {},
      new Set([1]),
      new ArrayBuffer(4),
      new DataView(new ArrayBuffer(4)),
    ]) {
      assert.throws(
        () => fixture.echoInts(wrong),
        refused(/^numbers must be an Int32Array or an array of numbers, not /),
      );
    }
  });

  test('floats', () => {
    const numbers = new Float32Array([NaN, Infinity, -Infinity, -0, 0.1]);
    assert.deepEqual(fixture.echoFloats(numbers), numbers);
    assert.deepEqual(fixture.echoFloats([...numbers]), numbers);
    assert.deepEqual(fixture.echoFloats(new Float64Array(numbers)), numbers);
    assert.throws(() => fixture.echoFloats(['1']), refused(/^numbers\[0\] must be a number, not string/));
    const [nan, infinity, minus, zero, largest, smallest] = fixture.sampleFloats();
    assert.deepEqual([nan, infinity, minus, zero], [NaN, Infinity, -Infinity, -0]);
    assert.ok(largest > 3e38 && smallest > 0 && smallest < 1e-44);
  });

  test('octets', () => {
    assert.deepEqual(fixture.echoOctets([0, 255]), new Uint8Array([0, 255]));
    assert.deepEqual(fixture.echoOctets(Buffer.from([1, 2])), new Uint8Array([1, 2]));
    for (const wrong of [[256], [-1], [0.5]])
      assert.throws(() => fixture.echoOctets(wrong), refused(/^numbers\[0\] must be an integer from 0 to 255/));
  });

  test('results are copies', () => {
    const first = fixture.sampleFloats();
    first[1] = 5;
    assert.equal(fixture.sampleFloats()[1], Infinity);
  });

  test('an array that may be left out', () => {
    assert.deepEqual(
      [fixture.sum(), fixture.sum(null), fixture.sum([]), fixture.sum([1, 2]), fixture.sum({ numbers: [3] })],
      [-1, -1, 0, 3, 3],
    );
  });

  test('an array that changes while it is read does no harm', () => {
    const numbers = [1, 2, 3];
    Object.defineProperty(numbers, 0, { get() { numbers.length = 1; return 1; } }); // prettier-ignore
    assert.throws(
      () => fixture.echoInts(numbers),
      refused(/^numbers\[1\] must be an integer of 32 bits, not undefined/),
    );
    const own = new Error('mine');
    Object.defineProperty(numbers, 0, { get() { throw own; } }); // prettier-ignore
    assert.throws(() => fixture.echoInts(numbers), own);
  });
});

describe('enums and flags', () => {
  test('names, also of negative values', () => {
    for (const name of ['infrared', 'red', 'green', 'blue']) assert.equal(fixture.echoColor(name), name);
    assert.equal(fixture.echoColor(-1), 'infrared');
  });

  test('a value that this version does not know is a number', () => {
    assert.equal(fixture.unknownColor(), 77);
    assert.equal(fixture.echoColor(77), 77);
    assert.throws(() => fixture.describeChoice(77), failed('INVALID_ARGUMENT', /color/));
  });

  test('a name that does not exist is refused with those that do', () => {
    assert.throws(
      () => fixture.echoColor('pink'),
      refused(/^value must be one of 'infrared', 'red', 'green', 'blue', not 'pink'/),
    );
    for (const wrong of [null, undefined, {}, true, 1n])
      assert.throws(() => fixture.echoColor(wrong), refused(/^value must be/));
    assert.throws(() => fixture.echoColor('red\0'), refused(/^value must be one of/));
  });

  test('flags are arrays of names', () => {
    assert.deepEqual(fixture.echoAccess([]), []);
    assert.deepEqual(fixture.echoAccess(['share', 'read']), ['read', 'share']);
    assert.deepEqual(fixture.echoAccess('read_write'), ['read', 'write']);
    assert.deepEqual(fixture.echoAccess(['write', 1]), ['read', 'write']);
    assert.deepEqual(fixture.echoAccess(2n ** 40n), ['share']);
    assert.deepEqual(fixture.unknownAccess(), ['read', 2 ** 50]);
    assert.deepEqual(fixture.echoAccess(fixture.unknownAccess()), ['read', 2 ** 50]);
    assert.deepEqual(fixture.echoAccess(2n ** 63n), [2n ** 63n]);
    assert.throws(() => fixture.echoAccess(['fly']), refused(/^value\[0\] must be one of 'read'/));
    for (const wrong of [null, undefined, {}, [['read']], [null], -1, 0.5])
      assert.throws(() => fixture.echoAccess(wrong), refused(/^value/));
  });

  test('defaults', () => {
    assert.equal(fixture.describeChoice(), 'green read share');
    assert.equal(fixture.describeChoice('red', { access: [] }), 'red');
    assert.equal(fixture.describeChoice({ color: 'blue', access: 'write' }), 'blue write');
  });
});

describe('options', () => {
  const defaults = {
    enabled: true, little: -3, wide: 5000000000, count: 7, ratio: 0.5, scale: 1e-5, bias: '-inf', length: 0, seed: null, level: null,
    title: 'naïve 🦙', note: null, extra: null, last: false,
  }; // prettier-ignore

  test('defaults are those of the library', () => {
    const given = fixture.describeSettings();
    for (const [name, value] of Object.entries(defaults)) assert.deepEqual(given[name], value, name);
    assert.deepEqual(fixture.describeSettings({}), given);
    assert.deepEqual(fixture.describeSettings({ little: undefined }), given);
  });

  test('every field arrives', () => {
    const given = fixture.describeSettings({
      enabled: false, little: 10, wide: -(2n ** 63n), count: 2 ** 32 - 1, mask: 2n ** 64n - 2n, ratio: 1, scale: -2.5, bias: Infinity, length: 4096,
      seed: 5, level: 0.25, color: 'blue', access: ['write'], title: LLAMA, note: '', extra: { a: [1] }, blob: new Uint8Array([1, 2]),
      ids: [1, -2], weights: new Float32Array([0.5]), maskBytes: [7, 255], words: ['a', ''], inner: { depth: 9, label: 'deep' }, last: true,
    }); // prettier-ignore
    assert.equal(given.enabled, false);
    assert.equal(given.little, 10);
    assert.deepEqual([given.ratio, given.scale, given.bias, given.length], [1, -2.5, 'inf', 4096]);
    assert.deepEqual([given.seed, given.level, given.title, given.note, given.extra], [5, 0.25, LLAMA, '', { a: [1] }]);
    assert.deepEqual([given.ids, given.weights, given.words, given.last], [[1, -2], [0.5], ['a', ''], true]);
    assert.deepEqual(given.inner, { depth: 9, label: 'deep' });
    assert.deepEqual([given.color, given.access, given.blob, given.mask_bytes], [5, 2, [1, 2], [7, 255]]);
  });

  test('null is none where there is none, and refused elsewhere', () => {
    const given = fixture.describeSettings({ seed: null, level: null, note: null, extra: null });
    assert.deepEqual([given.seed, given.level, given.note, given.extra], [null, null, null, null]);
    for (const name of ['enabled', 'little', 'title', 'words', 'ids', 'blob', 'inner', 'color']) {
      assert.throws(() => fixture.describeSettings({ [name]: null }), refused(new RegExp(`^${name} must be`)));
    }
  });

  test('a value outside its range is refused by the library, by name', () => {
    for (const [name, value] of [
      ['little', 11],
      ['count', 0],
      ['ratio', 1.5],
      ['ratio', NaN],
      ['length', 4097],
      ['level', 2],
    ]) {
      assert.throws(() => fixture.describeSettings({ [name]: value }), failed('INVALID_ARGUMENT', new RegExp(name)));
    }
    assert.throws(() => fixture.describeSettings({ inner: { depth: 10 } }), failed('INVALID_ARGUMENT', /depth/));
  });

  test('an option of a wrong type is refused by name', () => {
    assert.throws(() => fixture.describeSettings({ words: [1] }), refused(/^words\[0\] must be a string/));
    assert.throws(() => fixture.describeSettings({ inner: { label: 5 } }), refused(/^inner\.label must be a string/));
    assert.throws(() => fixture.describeSettings({ inner: 5 }), refused(/^inner must be an object/));
  });

  test('an option that does not exist is refused', () => {
    assert.throws(() => fixture.describeSettings({ colour: 'red' }), refused(/^there is no option colour/));
    assert.throws(() => fixture.describeSettings({ inner: { deep: 1 } }), refused(/^there is no option inner\.deep/));
    assert.throws(
      () => fixture.describeSettings({ signal: AbortSignal.abort() }),
      refused(/^there is no option signal/),
    );
  });

  test('what is no object is refused', () => {
    for (const wrong of [5, 'a', null, [], true])
      assert.throws(() => fixture.describeSettings(wrong), refused(/^the options must be an object, not /));
    assert.throws(() => fixture.describeChoice('red', 'write'), refused(/^the options must be an object, not string/));
  });

  test('options may come from a class, with getters', () => {
    class Base {
      get little() {
        return 4;
      }
    }
    class Own extends Base {
      count = 8;
    }
    const given = fixture.describeSettings(new Own());
    assert.deepEqual([given.little, given.count], [4, 8]);
    const own = new Error('mine');
    assert.throws(() => fixture.describeSettings({ get little() { throw own; } }), own); // prettier-ignore
  });

  test('two sets of options stand in one object', () => {
    assert.equal(fixture.multiply(5), 10);
    assert.equal(fixture.multiply(5, { depth: 3, factor: 4 }), 60);
  });
});

test('reserved words', () => {
  assert.equal(fixture.sayWords('class'), 'class 3 default 1 2 tea');
  assert.equal(
    fixture.sayWords('a', { fallback: 4, type: 'none', func: 5, lambda: 6, template: 'b' }),
    'a 4 none 5 6 b',
  );
  assert.deepEqual(fixture.getWordInfo(), { import: 7, operator: 'plus' });
  assert.equal(fixture.remove(), 4);
});

nothingIsLeft();
