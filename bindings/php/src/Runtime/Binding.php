<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/**
 * What the generated class `Native` of each API stands on. PHP restricts FFI on web servers to preloaded code, so
 * nothing but this folder, `Native` and `Options` touches it.
 *
 * @internal
 */
abstract class Binding
{
    use Inputs;
    use Outputs;

    protected const NAME = '';
    protected const PREFIX = '';
    protected const REQUIRED_ABI = [0, 0];
    protected const DECLARATIONS = '';

    /** How long a call may stay in C before PHP looks for signals. */
    private const SLICE_MS = 100;

    /** The library, opened at the first use. */
    abstract public static function ffi(): \FFI;

    /** The exception for a value that cannot be handed to the library. */
    abstract protected static function invalid(string $message): \Throwable;

    /** @return array{\FFI, array{int, int}} The library and the version of its ABI. */
    protected static function open(): array
    {
        return Library::open(static::NAME, static::PREFIX, static::DECLARATIONS, static::REQUIRED_ABI);
    }

    /**
     * Times for one C call after the other, until `$timeout` seconds are over; null: without an end.
     *
     * @return \Generator<int, int>
     */
    public static function slices(?float $timeout): \Generator
    {
        if ($timeout === null) {
            while (true) {
                yield self::SLICE_MS;
            }
        }
        $end = \hrtime(true) / 1e9 + $timeout;
        do {
            $left = \round(1e3 * ($end - \hrtime(true) / 1e9));
            yield (int) \max(0, \min(self::SLICE_MS, $left));
        } while (\hrtime(true) / 1e9 < $end);
    }

    /**
     * Times for one C call after the other that waits for something, until `$waitMs` are over (negative: without an
     * end) or a call came back before its own time was.
     *
     * @return \Generator<int, int>
     */
    public static function waits(int $waitMs): \Generator
    {
        foreach (self::slices($waitMs < 0 ? null : $waitMs / 1000) as $milliseconds) {
            $start = \hrtime(true);
            yield $milliseconds;
            if (\hrtime(true) - $start < 1_000_000 * $milliseconds) {
                return;
            }
        }
    }
}
