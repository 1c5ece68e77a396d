<?php

declare(strict_types=1);

namespace Conformance;

/** Whether a result is what a case expects; the matchers are those of ../README.md. Objects of JSON are stdClass. */
final class Comparison
{
    private const MATCHERS = [
        'close', 'exactly', 'contains', 'not', 'at', 'length', 'argmax', 'begins', 'at_least', 'at_most', 'one_of',
        'every',
    ];
    private const NUMBERS = ['inf' => \INF, '-inf' => -\INF, 'nan' => \NAN];

    /** Null if the result is as expected, otherwise where and how it differs. */
    public static function mismatch(mixed $expected, mixed $found): ?string
    {
        if (!$expected instanceof \stdClass) {
            return self::notEqual($expected, $found);
        }
        $words = \array_keys((array) $expected);
        if ($words === [] || \array_diff($words, self::MATCHERS, ['tolerance']) !== []) {
            return self::notEqual($expected, $found);
        }
        foreach ($words as $word) {
            $reason = self::matcher($word, $expected->$word, $found, $expected->tolerance ?? 1e-4);
            if ($reason !== null) {
                return $reason;
            }
        }

        return null;
    }

    private static function matcher(string $word, mixed $operand, mixed $found, float $tolerance): ?string
    {
        return match ($word) {
            'tolerance' => null,
            'close' => self::notClose($operand, $found, $tolerance),
            'exactly' => self::notEqual($operand, $found, true),
            'contains' => self::lacks($operand, $found),
            'not' => self::mismatch($operand, $found) === null ? self::shown($found) . ' is not wanted' : null,
            'at' => self::at($operand, $found),
            'length' => self::named('length', self::mismatch($operand, self::length($found))),
            'argmax' => self::named('argmax', self::mismatch($operand, \array_search(\max($found), $found, true))),
            'begins' => self::unless(\str_starts_with((string) $found, $operand), $found, 'begins with', $operand),
            'at_least' => self::unless(self::isNumber($found) && $found >= $operand, $found, 'is at least', $operand),
            'at_most' => self::unless(self::isNumber($found) && $found <= $operand, $found, 'is at most', $operand),
            'one_of' => self::any($operand, fn ($one) => self::mismatch($one, $found))
                ? null
                : self::shown($found) . ' is none of ' . self::shown($operand),
            'every' => self::each($found, \array_fill(0, \count($found), $operand)),
        };
    }

    private static function notEqual(mixed $expected, mixed $found, bool $exactly = false): ?string
    {
        if (self::isNumber($found) && (self::isNumber($expected) || self::isNamedNumber($expected))) {
            $number = self::NUMBERS[\is_string($expected) ? $expected : ''] ?? $expected;
            $same = $number == $found || (\is_nan((float) $number) && \is_nan((float) $found));

            return self::unless($same, $found, 'is', $expected);
        }
        if ($expected instanceof \stdClass) {
            return self::unlike((array) $expected, $found, $exactly);
        }
        if (!\is_array($expected)) {
            return self::unless($expected === $found, $found, 'is', $expected);
        }
        if (!\is_array($found) || !\array_is_list($found)) {
            return self::shown($found) . ' is not ' . self::shown($expected);
        }
        if (\count($expected) !== \count($found)) {
            return self::shown($found) . ' has ' . \count($found) . ' items, not ' . \count($expected);
        }

        return self::each($found, $expected, $exactly);
    }

    /** @param array<string, mixed> $expected */
    private static function unlike(array $expected, mixed $found, bool $exactly): ?string
    {
        $found = $found instanceof \ArrayObject ? (array) $found : $found; // as what would be a list comes
        // Maps of PHP may be empty, too.
        if (!\is_array($found) || ($found !== [] && \array_is_list($found))) {
            return self::shown($found) . ' is not ' . self::shown($expected);
        }
        if ($exactly && (\array_diff_key($expected, $found) !== [] || \array_diff_key($found, $expected) !== [])) {
            return 'the keys are ' . self::shown(\array_keys($found)) . ', not ' . self::shown(\array_keys($expected));
        }
        foreach ($expected as $key => $one) {
            $value = $found[$key] ?? null;
            $reason = $exactly ? self::notEqual($one, $value, true) : self::mismatch($one, $value);
            if ($reason !== null) {
                return "$key: $reason";
            }
        }

        return null;
    }

    private static function notClose(mixed $expected, mixed $found, float $tolerance): ?string
    {
        if (\is_array($expected) && \is_array($found)) {
            if (\count($expected) !== \count($found)) {
                return \count($found) . ' items, not ' . \count($expected);
            }
            foreach ($expected as $i => $one) {
                $reason = self::notClose($one, $found[$i], $tolerance);
                if ($reason !== null) {
                    return "[$i]: $reason";
                }
            }

            return null;
        }
        if (!self::isNumber($found) || !(self::isNumber($expected) || self::isNamedNumber($expected))) {
            return self::shown($found) . ' is no number near ' . self::shown($expected);
        }
        $wanted = (float) (self::NUMBERS[\is_string($expected) ? $expected : ''] ?? $expected);
        if (!\is_finite($wanted) || !\is_finite((float) $found)) {
            return self::notEqual($expected, $found);
        }

        return self::unless(\abs($wanted - $found) <= $tolerance, $found, "is within $tolerance of", $expected);
    }

    private static function lacks(mixed $parts, mixed $found): ?string
    {
        foreach (\is_array($parts) ? $parts : [$parts] as $part) {
            $has = \is_array($found)
                ? self::any($found, fn ($item) => self::mismatch($part, $item))
                : \is_string($found) && \is_string($part) && \str_contains($found, $part);
            if (!$has) {
                return self::shown($found) . ' does not contain ' . self::shown($part);
            }
        }

        return null;
    }

    private static function at(\stdClass $expected, mixed $found): ?string
    {
        foreach ((array) $expected as $place => $one) {
            $index = (int) $place < 0 ? \count($found) + (int) $place : (int) $place;
            if (!\array_key_exists($index, $found)) {
                return "[$place] is not there";
            }
            $reason = self::mismatch($one, $found[$index]);
            if ($reason !== null) {
                return "[$place]: $reason";
            }
        }

        return null;
    }

    /**
     * @param list<mixed> $found
     * @param list<mixed> $expected
     */
    private static function each(array $found, array $expected, bool $exactly = false): ?string
    {
        foreach ($found as $i => $item) {
            $reason = $exactly ? self::notEqual($expected[$i], $item, true) : self::mismatch($expected[$i], $item);
            if ($reason !== null) {
                return "[$i]: $reason";
            }
        }

        return null;
    }

    /** Whether nothing differs for some item. */
    private static function any(array $items, \Closure $mismatch): bool
    {
        foreach ($items as $item) {
            if ($mismatch($item) === null) {
                return true;
            }
        }

        return false;
    }

    private static function length(mixed $found): int
    {
        return \is_string($found) ? \strlen($found) : \count($found ?? []);
    }

    private static function unless(bool $holds, mixed $found, string $words, mixed $wanted): ?string
    {
        return $holds ? null : 'not so: ' . self::shown($found) . " $words " . self::shown($wanted);
    }

    private static function named(string $what, ?string $reason): ?string
    {
        return $reason === null ? null : "$what: $reason";
    }

    private static function isNumber(mixed $value): bool
    {
        return \is_int($value) || \is_float($value);
    }

    private static function isNamedNumber(mixed $value): bool
    {
        return \is_string($value) && isset(self::NUMBERS[$value]);
    }

    public static function shown(mixed $value): string
    {
        $readable = \JSON_UNESCAPED_UNICODE | \JSON_UNESCAPED_SLASHES;
        $text = \json_encode($value, $readable | \JSON_INVALID_UTF8_SUBSTITUTE | \JSON_PARTIAL_OUTPUT_ON_ERROR);

        return \strlen($text) <= 400 ? $text : \substr($text, 0, 397) . '...';
    }
}
