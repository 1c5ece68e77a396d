<?php

declare(strict_types=1);

namespace Mullama;

/** What a model is told of a parameter beyond its type: `#[Param('The town.', ['minLength' => 2])] string $town`. */
#[\Attribute(\Attribute::TARGET_PARAMETER)]
final class Param
{
    public function __construct(
        /** What it means. */
        public readonly string $description = '',
        /** @var array<string, mixed> JSON schema beside or in place of what follows from the type. */
        public readonly array $schema = [],
    ) {
    }
}
