<?php

declare(strict_types=1);

namespace Mullama\Tools;

/**
 * A JSON schema, by which the arguments of tools are checked before a function gets them. It knows the words that
 * llama.cpp makes grammars of; others say nothing about a value here.
 *
 * @internal
 */
final class Schema
{
    /** The schema as JSON has it, where objects are no arrays. */
    public readonly \stdClass $root;

    public function __construct(string $json, string $where)
    {
        $root = \json_decode($json);
        if (!$root instanceof \stdClass || ($root->type ?? null) !== 'object') {
            throw new \ValueError("$where must be that of an object: ['type' => 'object', 'properties' => [...]]");
        }
        foreach (['properties', '$defs', 'definitions'] as $word) {
            if (($root->$word ?? null) === []) {
                $root->$word = new \stdClass(); // empty in PHP is empty of both kinds
            }
        }
        $this->root = $root;
    }

    /** How a value differs, with its path; null if it fits. */
    public function mismatch(mixed $value): ?string
    {
        return $this->differs($value, $this->root, '');
    }

    private function differs(mixed $value, mixed $schema, string $path): ?string
    {
        if (!$schema instanceof \stdClass) {
            return $schema === false ? self::wrong($path, $value, 'is not allowed') : null;
        }
        if (isset($schema->{'$ref'})) {
            return $this->differs($value, $this->referred($schema->{'$ref'}), $path);
        }
        $values = \property_exists($schema, 'const') ? [$schema->const] : $schema->enum ?? null;
        if ($values !== null && !self::isAmong($value, $values)) {
            return self::wrong($path, $value, 'must be ' . \implode(' or ', \array_map(self::shown(...), $values)));
        }
        $types = (array) ($schema->type ?? []);
        $fitting = \array_filter($types, static fn (string $type): bool => self::isOf($value, $type));
        if ($types !== [] && $fitting === []) {
            return self::wrong($path, $value, 'must be of type ' . \implode(' or ', $types));
        }

        return $this->differsFromParts($value, $schema, $path) ?? match (true) {
            $value instanceof \stdClass => $this->differsInProperties($value, $schema, $path),
            \is_array($value) => $this->differsInItems($value, $schema, $path),
            \is_string($value) => self::differsInText($value, $schema, $path),
            \is_int($value), \is_float($value) => self::differsInSize($value, $schema, $path),
            default => null,
        };
    }

    private function differsFromParts(mixed $value, \stdClass $schema, string $path): ?string
    {
        foreach ($schema->allOf ?? [] as $one) {
            $problem = $this->differs($value, $one, $path);
            if ($problem !== null) {
                return $problem;
            }
        }
        foreach ([$schema->anyOf ?? [], $schema->oneOf ?? []] as $alternatives) {
            $problems = \array_map(fn (mixed $one): ?string => $this->differs($value, $one, $path), $alternatives);
            if ($problems !== [] && !\in_array(null, $problems, true)) {
                return \implode(', or ', $problems);
            }
        }

        return null;
    }

    private function differsInProperties(\stdClass $value, \stdClass $schema, string $path): ?string
    {
        foreach ($schema->required ?? [] as $name) {
            if (!\property_exists($value, $name)) {
                return \ltrim("$path.$name", '.') . ' is missing';
            }
        }
        $others = $schema->additionalProperties ?? true;
        foreach ((array) $value as $name => $one) {
            $at = \ltrim("$path.$name", '.');
            $rule = $schema->properties->$name ?? $others;
            if ($rule === false) {
                $names = \implode(', ', \array_keys((array) ($schema->properties ?? []))) ?: 'none';

                return "$at does not exist; there is $names";
            }
            $problem = $this->differs($one, $rule, $at);
            if ($problem !== null) {
                return $problem;
            }
        }

        return null;
    }

    /** @param list<mixed> $value */
    private function differsInItems(array $value, \stdClass $schema, string $path): ?string
    {
        if (\count($value) < ($schema->minItems ?? 0) || \count($value) > ($schema->maxItems ?? \INF)) {
            $most = isset($schema->maxItems) ? "to {$schema->maxItems}" : 'or more';

            return self::wrong($path, $value, 'must have ' . ($schema->minItems ?? 0) . " $most items");
        }
        foreach ($value as $i => $one) {
            $problem = $this->differs($one, $schema->prefixItems[$i] ?? $schema->items ?? true, "{$path}[$i]");
            if ($problem !== null) {
                return $problem;
            }
        }

        return null;
    }

    private static function differsInText(string $value, \stdClass $schema, string $path): ?string
    {
        $length = \preg_match_all('/./su', $value);
        if ($length < ($schema->minLength ?? 0) || $length > ($schema->maxLength ?? \INF)) {
            $most = isset($schema->maxLength) ? "to {$schema->maxLength}" : 'or more';

            return self::wrong($path, $value, 'must have ' . ($schema->minLength ?? 0) . " $most characters");
        }
        // A pattern that PCRE cannot read says nothing here. What delimits it stands in none.
        if (isset($schema->pattern) && @\preg_match("\x01$schema->pattern\x01u", $value) === 0) {
            return self::wrong($path, $value, "must match {$schema->pattern}");
        }

        return null;
    }

    private static function differsInSize(int|float $value, \stdClass $schema, string $path): ?string
    {
        return match (true) {
            $value < ($schema->minimum ?? -\INF) => self::wrong($path, $value, "must be at least {$schema->minimum}"),
            $value > ($schema->maximum ?? \INF) => self::wrong($path, $value, "must be at most {$schema->maximum}"),
            $value <= ($schema->exclusiveMinimum ?? -\INF) => self::wrong(
                $path,
                $value,
                "must be more than {$schema->exclusiveMinimum}",
            ),
            $value >= ($schema->exclusiveMaximum ?? \INF) => self::wrong(
                $path,
                $value,
                "must be less than {$schema->exclusiveMaximum}",
            ),
            default => null,
        };
    }

    /** What a reference inside the schema, such as `#/$defs/town`, leads to. */
    private function referred(string $reference): mixed
    {
        $found = $this->root;
        foreach (\array_slice(\explode('/', $reference), 1) as $part) {
            $found = $found->{\strtr(\rawurldecode($part), ['~1' => '/', '~0' => '~'])} ?? null;
        }

        return $found;
    }

    private static function isOf(mixed $value, string $type): bool
    {
        return match ($type) {
            'string' => \is_string($value),
            'integer' => \is_int($value) || (\is_float($value) && $value === \floor($value)),
            'number' => \is_int($value) || \is_float($value),
            'boolean' => \is_bool($value),
            'array' => \is_array($value),
            'object' => $value instanceof \stdClass,
            'null' => $value === null,
            default => true,
        };
    }

    /** @param list<mixed> $values */
    private static function isAmong(mixed $value, array $values): bool
    {
        foreach ($values as $one) {
            $areNumbers = (\is_int($one) || \is_float($one)) && (\is_int($value) || \is_float($value));
            $areBoth = \is_object($one) && \is_object($value) || \is_array($one) && \is_array($value);
            if ($one === $value || (($areNumbers || $areBoth) && $one == $value)) {
                return true;
            }
        }

        return false;
    }

    private static function wrong(string $path, mixed $value, string $what): string
    {
        return ($path === '' ? 'the value' : $path) . " is " . self::shown($value) . " and $what";
    }

    private static function shown(mixed $value): string
    {
        $text = \json_encode($value, \JSON_UNESCAPED_UNICODE | \JSON_UNESCAPED_SLASHES | \JSON_PARTIAL_OUTPUT_ON_ERROR);

        return \strlen($text) <= 60 ? $text : \preg_replace('/^(.{0,50}).*$/su', '$1...', $text);
    }
}
