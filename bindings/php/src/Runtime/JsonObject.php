<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/** An object of an answer. It can stand in a later request as it came, such as a message among `$messages`. */
abstract class JsonObject implements \JsonSerializable
{
    public function __construct(
        /** @var array<string, mixed> All that came, with fields that this version of the binding does not know. */
        public readonly array $raw,
    ) {
    }

    /** An object also where it is empty. */
    public function jsonSerialize(): object
    {
        return (object) $this->raw;
    }
}
