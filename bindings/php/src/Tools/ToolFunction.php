<?php

declare(strict_types=1);

namespace Mullama\Tools;

use Mullama\Native;
use Mullama\Param;
use Mullama\Tool;

/**
 * A function that a model may call: a closure, whose parameters say what the arguments are, or an array with `run` and
 * a JSON schema.
 *
 * @internal
 */
final class ToolFunction
{
    private const KEYS = ['name', 'description', 'parameters', 'run'];
    private const TYPES = [
        'int' => 'integer',
        'float' => 'number',
        'string' => 'string',
        'bool' => 'boolean',
        'array' => 'array',
        'null' => 'null',
    ];

    /** @var array<string, mixed> What the library is told. */
    public readonly array $definition;

    private readonly Schema $schema;

    /**
     * @param array<string, mixed> $parameters JSON schema of the arguments.
     * @param ?array<string, \Closure(mixed): mixed> $convert What makes arguments of JSON values, by name; null: the
     *     function takes one array.
     */
    private function __construct(
        public readonly string $name,
        string $description,
        array $parameters,
        private readonly \Closure $function,
        private readonly ?array $convert,
        string $where,
    ) {
        $where .= ": the schema of $name";
        $this->schema = new Schema(Native::asJson($parameters, $where), $where);
        $about = ['name' => $name] + ($description === '' ? [] : ['description' => $description]);
        $this->definition = ['type' => 'function', 'function' => $about + ['parameters' => $this->schema->root]];
    }

    /** Null: a definition that has no function. */
    public static function of(mixed $tool, string $where): ?self
    {
        if ($tool instanceof \Closure) {
            return self::ofClosure($tool, $where);
        }
        if (!\is_array($tool)) {
            throw new \TypeError("$where must be a closure or an array, " . \get_debug_type($tool)
                . ' given; of a function or method, write name(...)');
        }

        return \array_key_exists('run', $tool) ? self::ofArray($tool, $where) : null;
    }

    /** How the arguments of a call differ from the schema; null if they fit. */
    public function mismatch(string $arguments): ?string
    {
        try {
            $given = \json_decode($arguments, false, 512, \JSON_THROW_ON_ERROR);
        } catch (\JsonException $exception) {
            return "the arguments of $this->name are not JSON: {$exception->getMessage()}";
        }
        $problem = $this->schema->mismatch($given);

        return $problem === null ? null : "the arguments of $this->name do not fit: $problem";
    }

    /** @param array<string, mixed> $arguments That fit. */
    public function call(array $arguments): mixed
    {
        if ($this->convert === null) {
            return ($this->function)($arguments);
        }
        foreach ($arguments as $name => $value) {
            if ($value !== null && isset($this->convert[$name])) {
                $arguments[$name] = $this->convert[$name]($value);
            }
        }

        return ($this->function)(...$arguments);
    }

    /** @param array<mixed> $tool */
    private static function ofArray(array $tool, string $where): self
    {
        $unknown = \array_diff(\array_keys($tool), self::KEYS);
        if ($unknown !== []) {
            $known = \implode(', ', self::KEYS);
            throw new \ValueError("$where has a key " . \reset($unknown) . "; a tool with a function has $known");
        }
        $tool += ['name' => null, 'description' => '', 'parameters' => ['type' => 'object']];
        $isOf = ['name' => \is_string(...), 'description' => \is_string(...), 'parameters' => \is_array(...)];
        foreach ($isOf + ['run' => \is_callable(...)] as $key => $isRight) {
            if (!$isRight($tool[$key])) {
                $wanted = ['parameters' => 'an array, the JSON schema of the arguments', 'run' => 'a function'];
                $given = \get_debug_type($tool[$key]);
                throw new \TypeError("{$where}['$key'] must be " . ($wanted[$key] ?? 'a string') . ", $given given");
            }
        }
        $run = \Closure::fromCallable($tool['run']);

        return new self($tool['name'], $tool['description'], $tool['parameters'], $run, null, $where);
    }

    private static function ofClosure(\Closure $closure, string $where): self
    {
        $function = new \ReflectionFunction($closure);
        $about = ($function->getAttributes(Tool::class)[0] ?? null)?->newInstance();
        $name = $about?->name ?? $function->getShortName();
        if ($about?->name === null && \str_contains($function->getName(), '{closure')) {
            throw new \ValueError("$where is a closure without a name; give it one: #[Tool('name')] function (...)");
        }
        [$properties, $required, $convert] = [[], [], []];
        foreach ($function->getParameters() as $parameter) {
            $at = "$where: parameter \${$parameter->getName()} of $name";
            $properties[$parameter->getName()] = self::schemaOf($parameter, $at);
            $convert[$parameter->getName()] = self::converter($parameter->getType());
            if (!$parameter->isOptional()) {
                $required[] = $parameter->getName();
            }
        }
        $schema = ['type' => 'object', 'properties' => $properties, 'required' => $required];
        $schema['additionalProperties'] = false;

        return new self($name, $about?->description ?? '', $schema, $closure, \array_filter($convert), $where);
    }

    /** @return array<string, mixed> */
    private static function schemaOf(\ReflectionParameter $parameter, string $where): array
    {
        if ($parameter->isVariadic() || $parameter->isPassedByReference()) {
            throw new \TypeError("$where is " . ($parameter->isVariadic() ? 'variadic' : 'passed by reference')
                . ', which a model\'s JSON is not; take an array or a value');
        }
        $about = ($parameter->getAttributes(Param::class)[0] ?? null)?->newInstance();
        $schema = ($about?->schema ?? []) + self::schemaOfType($parameter->getType(), $where);
        if ($about !== null && $about->description !== '') {
            $schema += ['description' => $about->description];
        }
        if ($parameter->isDefaultValueAvailable() && $parameter->getDefaultValue() !== null) {
            $default = $parameter->getDefaultValue();
            $schema += ['default' => $default instanceof \BackedEnum ? $default->value : $default];
        }

        return $schema;
    }

    /** @return array<string, mixed> */
    private static function schemaOfType(?\ReflectionType $type, string $where): array
    {
        if ($type === null || (string) $type === 'mixed') {
            return [];
        }
        $enum = self::enumOf($type);
        if ($enum !== null) {
            $values = \array_map(static fn (\BackedEnum $case): int|string => $case->value, $enum::cases());

            return ['enum' => $type->allowsNull() ? [...$values, null] : $values];
        }
        $names = $type instanceof \ReflectionUnionType ? $type->getTypes() : [$type];
        $types = [];
        foreach ($names as $one) {
            $word = $one instanceof \ReflectionNamedType ? self::TYPES[$one->getName()] ?? null : null;
            if ($word === null) {
                throw new \TypeError("$where has the type $type, which has no JSON schema: use int, float, string,"
                    . ' bool, array or a backed enum, or give the tool as an array with a schema of your own');
            }
            $types[] = $word;
        }
        if ($type->allowsNull() && !\in_array('null', $types, true)) {
            $types[] = 'null';
        }

        return ['type' => \count($types) === 1 ? $types[0] : $types];
    }

    /** @return ?\Closure(mixed): mixed */
    private static function converter(?\ReflectionType $type): ?\Closure
    {
        $enum = self::enumOf($type);
        if ($enum !== null) {
            return $enum::from(...);
        }
        $takesFloats = \array_intersect(['float', 'mixed', ''], \explode('|', \ltrim((string) $type, '?'))) !== [];

        // 3.0 is an integer in JSON schemas.
        return $takesFloats ? null : static fn (mixed $value): mixed => \is_float($value) ? (int) $value : $value;
    }

    /** @return ?class-string<\BackedEnum> */
    private static function enumOf(?\ReflectionType $type): ?string
    {
        $name = $type instanceof \ReflectionNamedType ? $type->getName() : '';

        return \is_a($name, \BackedEnum::class, true) ? $name : null;
    }
}
