<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/**
 * Stands in for the library in a closed object and refuses every call, so that open ones need no check.
 *
 * @internal
 */
final class Closed
{
    /** @param \Closure(): \Throwable $refusal */
    public function __construct(private readonly \Closure $refusal)
    {
    }

    public function __get(string $function): never
    {
        throw ($this->refusal)();
    }

    /** @param list<mixed> $arguments */
    public function __call(string $function, array $arguments): never
    {
        throw ($this->refusal)();
    }
}
