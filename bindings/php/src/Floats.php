<?php

declare(strict_types=1);

namespace Mullama;

/**
 * A list of 32-bit floats in one string. It reads like an array, and `toArray()` makes one; but a row of logits is
 * 50,000 numbers, which take 4 times the memory as a PHP array and far longer to make.
 *
 * @implements \ArrayAccess<int, float>
 * @implements \IteratorAggregate<int, float>
 */
final class Floats implements \ArrayAccess, \Countable, \IteratorAggregate, \JsonSerializable
{
    private const AT_ONCE = 1024; // numbers unpacked at once while iterating

    public function __construct(
        /** The numbers, 4 bytes each in this machine's order, as `pack('f*', ...)` gives them. */
        public readonly string $packed,
    ) {
        if (\strlen($packed) % 4 !== 0) {
            throw new \ValueError('packed floats take 4 bytes each, but there are ' . \strlen($packed) . ' bytes');
        }
    }

    /** @param list<int|float> $numbers */
    public static function of(array $numbers): self
    {
        return new self(Native::fromFloats($numbers, 'numbers'));
    }

    /** How many numbers there are. */
    public function count(): int
    {
        return \strlen($this->packed) >> 2;
    }

    /** Whether there is a number at an index. */
    public function offsetExists(mixed $offset): bool
    {
        return \is_int($offset) && $offset >= 0 && $offset < $this->count();
    }

    /** The number at an index, from 0. */
    public function offsetGet(mixed $offset): float
    {
        if (!$this->offsetExists($offset)) {
            throw new \OutOfRangeException("there is no number $offset among {$this->count()}");
        }

        return \unpack('f', $this->packed, 4 * $offset)[1];
    }

    /** Refused: these floats cannot be changed. */
    public function offsetSet(mixed $offset, mixed $value): never
    {
        throw new \LogicException('floats of the library cannot be changed; toArray() gives an array of your own');
    }

    /** Refused: these floats cannot be changed. */
    public function offsetUnset(mixed $offset): never
    {
        throw new \LogicException('floats of the library cannot be changed; toArray() gives an array of your own');
    }

    /** A part, such as one row of several: `$all->slice($row * $width, $width)`. */
    public function slice(int $offset, ?int $length = null): self
    {
        return new self(\substr($this->packed, 4 * $offset, $length === null ? null : 4 * $length));
    }

    /** Index of the largest number; -1 if there is none. NaN is never the largest. */
    public function argmax(): int
    {
        $best = -1;
        $largest = -\INF;
        foreach ($this as $i => $number) {
            if ($number > $largest || ($best < 0 && $number === $largest)) {
                [$best, $largest] = [$i, $number];
            }
        }

        return $best;
    }

    /** @return list<float> */
    public function toArray(): array
    {
        return $this->packed === '' ? [] : \array_values(\unpack('f*', $this->packed));
    }

    /** @return \Generator<int, float> */
    public function getIterator(): \Generator
    {
        $index = 0;
        foreach (\str_split($this->packed, 4 * self::AT_ONCE) as $part) {
            foreach ($part === '' ? [] : \unpack('f*', $part) as $number) {
                yield $index++ => $number;
            }
        }
    }

    /** @return list<float> */
    public function jsonSerialize(): array
    {
        return $this->toArray();
    }
}
