<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/** An object of the library. It is released by `close()`, and by being forgotten. */
abstract class Handle
{
    /** What calls go through. */
    protected \FFI|Closed $library;

    /** What calls of functions that cannot fail go through: an object with a pointer to each. */
    protected object $functions;

    /** The address of the object; nothing in PHP follows it. */
    protected int $handle;

    /** Whether `close()` was called. */
    final public function isClosed(): bool
    {
        return $this->library instanceof Closed;
    }

    final protected function own(\FFI $library, object $functions, int $handle): void
    {
        $this->library = $library;
        $this->functions = $functions;
        $this->handle = $handle;
    }

    /** @param \Closure(): \Throwable $refusal What every later call throws. */
    final protected function refuse(\Closure $refusal): void
    {
        $this->library = $this->functions = new Closed($refusal);
    }

    final public function __debugInfo(): array
    {
        return ['closed' => $this->isClosed()];
    }

    final public function __serialize(): array
    {
        throw new \LogicException('a ' . static::class . ' cannot be serialized; it lives in this process');
    }

    final public function __unserialize(array $data): void
    {
        throw new \LogicException('a ' . static::class . ' cannot be unserialized; it lives in a process');
    }

    private function __clone()
    {
    }
}
