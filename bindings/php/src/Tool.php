<?php

declare(strict_types=1);

namespace Mullama;

/**
 * What a model is told of a function that it may call: `#[Tool(description: 'The weather of a town.')]`. A function or
 * method has a name already; a closure needs one.
 */
#[\Attribute(\Attribute::TARGET_FUNCTION | \Attribute::TARGET_METHOD)]
final class Tool
{
    public function __construct(
        /** The name for the model; null: the function's own, without its namespace. */
        public readonly ?string $name = null,
        /** What it does and when to call it. */
        public readonly string $description = '',
    ) {
    }
}
