<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/** What a stream of text offers to the two conveniences. */
interface TextGeneration
{
    public function next(?float $timeout = null): ?object;

    public function run(?float $timeout = null): \UnitEnum;

    public function text(): string;

    public function result(): object;

    public function close(): void;
}
