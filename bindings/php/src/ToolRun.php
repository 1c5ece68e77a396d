<?php

declare(strict_types=1);

namespace Mullama;

/** A call that a model made, and what came of it. */
final class ToolRun
{
    public function __construct(
        /** Names the call for its result. */
        public readonly string $id,
        /** The function. */
        public readonly string $name,
        /** @var array<string, mixed>|string The arguments by name; the model's text where it is no JSON object. */
        public readonly array|string $arguments,
        /** What the function returned; null where it failed. */
        public readonly mixed $result,
        /** Why there is no result: an unknown name, arguments that do not fit, or what the function threw. */
        public readonly ?\Throwable $error = null,
    ) {
    }
}
