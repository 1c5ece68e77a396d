<?php

declare(strict_types=1);

namespace Mullama\Runtime;

use FFI\CData;

/** An object of the library. It is released by `close()`, and by being forgotten. */
abstract class Handle
{
    protected CData $handle;
    protected bool $closed = false;

    /** Whether `close()` was called. */
    final public function isClosed(): bool
    {
        return $this->closed;
    }

    /** What `var_dump` shows; not the memory behind the object. */
    final public function __debugInfo(): array
    {
        return ['closed' => $this->closed];
    }

    final public function __serialize(): array
    {
        throw new \LogicException('a ' . static::class . ' cannot be serialized; it lives in this process');
    }

    private function __clone()
    {
    }
}
