<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/**
 * A call into C that calls back. It runs in a fiber which the callback suspends, so the caller's function runs outside
 * of C and may throw or `exit()`: an exception that leaves a callback of FFI ends the process.
 *
 * @internal
 */
final class Callback
{
    private readonly ?\Closure $function;
    private ?\Throwable $thrown = null;

    /** @param \Closure(): mixed $discard Frees what the call left, when nobody waits for it any more. */
    public function __construct(?callable $function, private readonly \Closure $discard)
    {
        $this->function = $function === null ? null : $function(...);
    }

    /** @param \Closure(): int $call */
    public function run(\Closure $call): int
    {
        if ($this->function === null) {
            return $call();
        }
        $fiber = new \Fiber($call);
        try {
            $arguments = $fiber->start();
            while (!$fiber->isTerminated()) {
                $arguments = $fiber->resume($this->answer($arguments));
            }

            return $fiber->getReturn();
        } finally {
            if ($fiber->isSuspended()) { // this runs in a fiber of the caller's, which was forgotten in a callback
                unset($fiber);
                ($this->discard)();
            }
        }
    }

    /** What C calls. Asks the caller's function, through the fiber that runs the call: 0 stops, 1 goes on. */
    public static function ask(mixed ...$arguments): int
    {
        $answer = 0;
        try {
            $answer = \Fiber::suspend($arguments);
        } finally {
            // Also when the fiber is destroyed by `exit()`, whose unwinding must not reach C.
            return $answer;
        }
    }

    /** What the function threw, or else the failure of the call. */
    public function thrown(\Throwable $failure): \Throwable
    {
        return $this->thrown ?? $failure;
    }

    /** Throws what the function threw although the call succeeded, after `$release`. */
    public function rethrow(?\Closure $release = null): void
    {
        if ($this->thrown !== null) {
            $release?->__invoke();
            throw $this->thrown;
        }
    }

    /** @param list<mixed> $arguments */
    private function answer(array $arguments): int
    {
        if ($this->thrown !== null) {
            return 0;
        }
        try {
            return ($this->function)(...$arguments) === false ? 0 : 1;
        } catch (\Throwable $thrown) {
            $this->thrown = $thrown;

            return 0;
        }
    }
}
