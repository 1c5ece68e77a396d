<?php

declare(strict_types=1);

namespace Mullama\Runtime;

use FFI\CData;
use Mullama\Floats;

/**
 * PHP values on their way into C, refused by their argument's name where C would cut them off. Arrays travel as packed
 * strings: FFI takes a string wherever an array is read.
 *
 * @internal
 */
trait Inputs
{
    /** Numbers that `pack` is given at once, each of which is an argument. */
    private static int $atOnce = 10_000;

    public static function i32(int $value, string $name): int
    {
        if ($value < -0x80000000 || $value > 0x7fffffff) {
            throw static::invalid("$name must be from -2147483648 to 2147483647, not $value");
        }

        return $value;
    }

    public static function u32(int $value, string $name): int
    {
        if ($value < 0 || $value > 0xffffffff) {
            throw static::invalid("$name must be from 0 to 4294967295, not $value");
        }

        return $value;
    }

    public static function size(int $value, string $name): int
    {
        if ($value < 0) {
            throw static::invalid("$name must be at least 0, not $value");
        }

        return $value;
    }

    /** The bits of a number up to 2^64 - 1, which is a decimal text where PHP's integers end. */
    public static function u64(int|string $value, string $name): int
    {
        if (\is_int($value)) {
            return self::size($value, $name);
        }
        $digits = \ltrim($value, '0');
        $highest = '18446744073709551615';
        $isTooLarge = \strlen($digits) > 20 || (\strlen($digits) === 20 && \strcmp($digits, $highest) > 0);
        if ($value === '' || \strspn($value, '0123456789') !== \strlen($value) || $isTooLarge) {
            throw static::invalid("$name must be from 0 to $highest, not $value");
        }
        if (\strlen($digits) < 19) {
            return (int) $digits;
        }
        // The last digit apart: half of the number still fits, and shifting it does not become a float.
        [$rest, $last] = [(int) \substr($digits, 0, -1), (int) \substr($digits, -1)];

        return (($rest * 5 + ($last >> 1)) << 1) | ($last & 1);
    }

    public static function enum(\BackedEnum|int $value, string $name): int
    {
        return self::i32(\is_int($value) ? $value : (int) $value->value, $name);
    }

    /** @param array<mixed> $values */
    public static function fromInts(array $values, string $name): string
    {
        foreach ($values as $i => $value) {
            if (!\is_int($value)) {
                throw self::wrong($name, $i, 'int', $value);
            }
            if ($value < -0x80000000 || $value > 0x7fffffff) {
                throw static::invalid("{$name}[$i] must be from -2147483648 to 2147483647, not $value");
            }
        }

        return self::pack('l*', $values);
    }

    /** @param array<mixed>|Floats $values */
    public static function fromFloats(array|Floats $values, string $name): string
    {
        if ($values instanceof Floats) {
            return $values->packed;
        }
        foreach ($values as $i => $value) {
            if (!\is_float($value) && !\is_int($value)) {
                throw self::wrong($name, $i, 'float', $value);
            }
        }

        return self::pack('f*', $values);
    }

    /** @param array<mixed>|string $values */
    public static function fromOctets(array|string $values, string $name): string
    {
        if (\is_string($values)) {
            return $values;
        }
        foreach ($values as $i => $value) {
            if (!\is_int($value)) {
                throw self::wrong($name, $i, 'int', $value);
            }
            if ($value < 0 || $value > 255) {
                throw static::invalid("{$name}[$i] must be from 0 to 255, not $value");
            }
        }

        return self::pack('C*', $values);
    }

    /**
     * One block of memory: an array of C strings, and behind it what they point to.
     *
     * @param array<mixed> $texts
     */
    public static function fromTexts(array $texts, string $name): ?CData
    {
        foreach ($texts as $i => $text) {
            if (!\is_string($text)) {
                throw self::wrong($name, $i, 'string', $text);
            }
        }
        if ($texts === []) {
            return null;
        }
        $bytes = \implode('', $texts);
        $head = 16 * \count($texts);
        $ffi = static::ffi();
        $block = $ffi->new('uint8_t[' . $head + \strlen($bytes) . ']');
        $at = $ffi->cast('uintptr_t', \FFI::addr($block))->cdata + $head;
        $strings = '';
        foreach ($texts as $text) {
            $strings .= \pack('QQ', $at, \strlen($text));
            $at += \strlen($text);
        }
        \FFI::memcpy($block, $strings . $bytes, $head + \strlen($bytes));

        return $block;
    }

    public static function fromJson(mixed $value, string $name): string
    {
        return \is_string($value) ? $value : self::asJson($value, $name);
    }

    public static function asJson(mixed $value, string $name): string
    {
        $flags = \JSON_UNESCAPED_UNICODE | \JSON_UNESCAPED_SLASHES | \JSON_PRESERVE_ZERO_FRACTION;
        try {
            return \json_encode($value, $flags | \JSON_THROW_ON_ERROR);
        } catch (\JsonException $exception) {
            throw new \TypeError("$name cannot be written as JSON: {$exception->getMessage()}", 0, $exception);
        }
    }

    /**
     * A pointer for a field of a struct, to a copy that lives as long as `$keep`.
     *
     * @param list<CData> $keep
     */
    public static function keep(array &$keep, string|CData|null $data): ?CData
    {
        if ($data === null || $data === '') {
            // The fields of options that may be none are not set at all; behind this pointer nothing is read.
            return $data === null ? null : \FFI::addr(static::$size);
        }
        if (\is_string($data)) {
            $block = static::ffi()->new('uint8_t[' . \strlen($data) . ']');
            \FFI::memcpy($block, $data, \strlen($data));
            $data = $block;
        }
        $keep[] = $data;

        return \FFI::addr($data);
    }

    /** @param array<int|float> $values */
    private static function pack(string $format, array $values): string
    {
        $packed = '';
        foreach (\array_chunk($values, self::$atOnce) as $chunk) {
            $packed .= \pack($format, ...$chunk);
        }

        return $packed;
    }

    private static function wrong(string $name, int|string $index, string $wanted, mixed $given): \TypeError
    {
        return new \TypeError("{$name}[$index] must be of type $wanted, " . \get_debug_type($given) . ' given');
    }
}
