<?php

declare(strict_types=1);

namespace Mullama\Runtime;

use FFI\CData;
use Mullama\Floats;

/**
 * Values of C on their way into PHP: always copies, so that nothing in PHP points into memory that the library frees.
 *
 * @internal
 */
trait Outputs
{
    public static function text(?CData $data, int $length): string
    {
        return $length === 0 ? '' : \FFI::string($data, $length);
    }

    /** @return list<int> */
    public static function ints(?CData $data, int $length): array
    {
        $ints = [];
        for ($i = 0; $i < $length; ++$i) {
            $ints[] = $data[$i];
        }

        return $ints;
    }

    public static function floats(?CData $data, int $length): Floats
    {
        return new Floats(self::text($data, 4 * $length));
    }

    /** @return list<float> */
    public static function numbers(?CData $data, int $length): array
    {
        $numbers = [];
        for ($i = 0; $i < $length; ++$i) {
            $numbers[] = $data[$i];
        }

        return $numbers;
    }

    /** @return list<string> */
    public static function texts(?CData $data, int $length): array
    {
        if ($length === 0) {
            return [];
        }
        $strings = static::ffi()->cast(static::PREFIX . '_str *', $data);
        $texts = [];
        for ($i = 0; $i < $length; ++$i) {
            $string = $strings[$i];
            $texts[] = self::text($string->data, $string->len);
        }

        return $texts;
    }

    /** @return array<string, string> */
    public static function pairs(?CData $data, int $length): array
    {
        $texts = self::texts($data, $length);
        $pairs = [];
        for ($i = 0; $i < $length; $i += 2) {
            $pairs[$texts[$i]] = $texts[$i + 1];
        }

        return $pairs;
    }

    /**
     * Objects become arrays, unless they would be lists then, as `{}` and `{"0": ...}` would: those become an `ArrayObject`,
     * which reads like an array and is written as what it was.
     */
    public static function json(?CData $data, int $length): mixed
    {
        $flags = \JSON_THROW_ON_ERROR | \JSON_BIGINT_AS_STRING;
        $text = self::text($data, $length);
        if (\preg_match('/\{\s*(?:\}|"0")/', $text) === 1) {
            try {
                return self::arrays(\json_decode($text, false, 10_000, $flags));
            } catch (\JsonException $exception) {
                if ($exception->getCode() !== \JSON_ERROR_INVALID_PROPERTY_NAME) {
                    throw $exception;
                } // a name that no object of PHP can have
            }
        }

        return \json_decode($text, true, 10_000, $flags);
    }

    /** A number of 64 bits without sign: a decimal text where PHP's integers end. */
    public static function unsigned(int $bits): int|string
    {
        return $bits < 0 ? \sprintf('%u', $bits) : $bits;
    }

    private static function arrays(mixed $value): mixed
    {
        if (!\is_array($value) && !$value instanceof \stdClass) {
            return $value;
        }
        $array = [];
        foreach ($value as $key => $item) {
            $array[$key] = self::arrays($item);
        }

        return $value instanceof \stdClass && \array_is_list($array) ? new \ArrayObject($array) : $array;
    }

    /** A length or count. */
    public static function count(int $bits): int
    {
        if ($bits < 0) {
            throw new \OverflowException(\sprintf('%u is beyond the integers of PHP', $bits));
        }

        return $bits;
    }
}
