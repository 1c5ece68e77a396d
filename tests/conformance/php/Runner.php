<?php

declare(strict_types=1);

namespace Conformance;

use Mullama\Floats;
use Mullama\Mullama;
use Mullama\MullamaException;
use Mullama\Runtime\Handle;
use Mullama\TimeoutException;

/** Runs one expanded conformance case through the PHP binding. */
final class Runner
{
    private const EVERYTHING = '*';
    private const NUMBERS = ['inf' => \INF, '-inf' => -\INF, 'nan' => \NAN];
    private const MANY = 1_000_000; // items that `collect` takes at most

    /** @var array<string, mixed> The generated table. */
    private static array $table;

    /** @var array<string, mixed> What `as` bound, as cases write it; handles as they are. */
    private array $bindings = [];

    /** @var list<Handle> */
    private array $opened = [];

    /** Why the case fails; null if it passes. */
    public static function run(\stdClass $case): ?string
    {
        self::$table ??= require __DIR__ . '/dispatch.php';
        $before = Mullama::liveObjects();
        $runner = new self();
        $reason = $runner->steps($case->steps);
        $runner->release();
        $left = Mullama::liveObjects() - $before;

        return $reason ?? ($left === 0 ? null : "$left objects are left over");
    }

    /** @param list<\stdClass> $steps */
    private function steps(array $steps): ?string
    {
        foreach ($steps as $i => $step) {
            $reason = $this->step($step);
            if ($reason !== null) {
                return 'step ' . $i + 1 . ' ' . ($step->call ?? '') . ": $reason";
            }
        }

        return null;
    }

    private function release(): void
    {
        $this->bindings = [];
        while ($this->opened !== []) {
            \array_pop($this->opened)->close();
        }
    }

    private function step(\stdClass $step): ?string
    {
        if (isset($step->truncate_file)) {
            $begin = \file_get_contents($step->truncate_file, length: $step->length);
            \file_put_contents($step->truncate_file, $begin);

            return null;
        }
        if (\property_exists($step, 'check')) {
            return Comparison::mismatch($this->resolve($step->expect), $this->resolve($step->check));
        }
        $status = 'end';
        try {
            $found = $this->call($step, $status);
        } catch (TimeoutException) {
            [$found, $status] = [null, 'waiting'];
        } catch (MullamaException $exception) {
            return self::failure($step, $exception);
        }
        if (isset($step->as)) {
            $this->bindings[$step->as] = $found;
        }
        if (isset($step->error)) {
            return 'succeeded with ' . Comparison::shown($found) . ', an error was expected';
        }
        if (($step->status ?? $status) !== $status) {
            return "the status is $status";
        }

        return \property_exists($step, 'expect') ? Comparison::mismatch($this->resolve($step->expect), $found) : null;
    }

    private static function failure(\stdClass $step, MullamaException $exception): ?string
    {
        $name = self::$table['codes'][$exception->getCode()] ?? (string) $exception->getCode();
        $message = $exception->getMessage();
        if (($step->error ?? null) !== $name) {
            return isset($step->error) ? "$name instead of $step->error: $message" : "$name: $message";
        }

        return isset($step->message) ? Comparison::mismatch((object) ['contains' => $step->message], $message) : null;
    }

    private function call(\stdClass $step, string &$status): mixed
    {
        [$callee, $parameters, $flags] = self::$table['calls'][$step->call];
        $on = isset($step->on) ? $this->resolve($step->on) : null;
        $given = $this->given($parameters, $step->args ?? new \stdClass());
        if (isset($step->timeout_ms)) {
            $given['timeout'] = $step->timeout_ms < 0 ? null : $step->timeout_ms / 1000;
        }
        if (isset($step->collect)) {
            return $this->collect(fn (): mixed => $this->plain($callee($on, $given), $flags), $step, $status);
        }
        $result = $callee($on, $given);
        $status = $result === null ? 'end' : 'item';
        if ($result instanceof Handle) {
            $this->opened[] = $result;
        }

        return $this->plain($result, $flags);
    }

    /** @return list<mixed> */
    private function collect(\Closure $next, \stdClass $step, string &$status): array
    {
        $items = [];
        while (\count($items) < ($step->limit ?? self::MANY)) {
            try {
                $item = $next();
            } catch (TimeoutException) {
                $status = 'waiting';

                return $items;
            }
            if ($item === null) {
                $status = 'end';

                return $items;
            }
            $items[] = $step->collect === self::EVERYTHING ? $item : $item[$step->collect];
        }
        $status = 'item';

        return $items;
    }

    /**
     * Named arguments of PHP; those of options stand beside the others.
     *
     * @param array<string, mixed> $parameters
     * @return array<string, mixed>
     */
    private function given(array $parameters, \stdClass $arguments): array
    {
        $given = [];
        foreach ((array) $arguments as $name => $value) {
            $parameter = $parameters[$name];
            if (\is_string($parameter)) {
                $given += $value === null ? [] : $this->given(self::$table['options'][$parameter], $value);
                continue;
            }
            [$php, $kind] = $parameter;
            $given[$php] = match ($kind) {
                'callback' => $this->callback($value),
                default => $this->argument($kind, $this->resolve($value)),
            };
        }

        return $given;
    }

    private function argument(string $kind, mixed $value): mixed
    {
        if (\enum_exists($kind) && \is_string($value)) {
            return $kind::from(self::$table['enums'][$kind][$value]);
        }
        if (isset(self::$table['flags'][$kind]) && \is_array($value)) {
            return \array_sum(\array_map(fn (string $name): int => self::$table['flags'][$kind][$name], $value));
        }
        $number = fn (mixed $one): mixed => \is_string($one) ? self::NUMBERS[$one] : $one;

        return match (true) {
            $kind === 'span' && \is_array($value) => \array_map($number, $value),
            $kind === 'f32', $kind === 'f64' => $number($value),
            default => $value,
        };
    }

    private function callback(?\stdClass $given): ?\Closure
    {
        if ($given === null) {
            return null;
        }
        $calls = $this->bindings[$given->as ?? ''] = new \ArrayObject();

        return static function (float $fraction) use ($calls, $given): mixed {
            $calls->append(['fraction' => $fraction]);

            return $given->answers[\min(\count($calls), \count($given->answers)) - 1];
        };
    }

    /** The value with every reference replaced by what is bound, or a part of it. */
    private function resolve(mixed $value): mixed
    {
        if (\is_array($value)) {
            return \array_map($this->resolve(...), $value);
        }
        if (!$value instanceof \stdClass) {
            return $value;
        }
        $keys = \array_keys((array) $value);
        if ($keys === ['hex'] && \is_string($value->hex)) {
            return \hex2bin($value->hex);
        }
        if (!isset($value->ref)) {
            return (object) \array_map($this->resolve(...), (array) $value);
        }
        $found = $this->bindings[$value->ref];
        $found = $found instanceof \ArrayObject ? $found->getArrayCopy() : $found;
        foreach ($value->path ?? [] as $part) {
            $found = $found[\is_int($part) && $part < 0 ? \count($found) + $part : $part] ?? null;
        }
        if (isset($value->cut)) {
            $found = \is_string($found) ? \substr($found, 0, $value->cut) : \array_slice($found, 0, $value->cut);
        }
        if (isset($value->flip)) {
            $found[$value->flip] = \chr(\ord($found[$value->flip]) ^ 1);
        }

        return $found;
    }

    /** A result as cases write it. */
    private function plain(mixed $value, ?string $flags = null): mixed
    {
        if ($flags !== null) {
            $isSet = fn (int $bits): bool => ($value & $bits) === $bits;

            return \array_keys(\array_filter(self::$table['flags'][$flags], $isSet));
        }
        if ($value instanceof \BackedEnum) {
            return \array_search($value->value, self::$table['enums'][$value::class], true);
        }
        if ($value instanceof Floats) {
            return $value->toArray();
        }
        if (\is_object($value) && isset(self::$table['records'][$value::class])) {
            $properties = self::$table['records'][$value::class];

            return \array_map(fn (string $name): mixed => $this->plain($value->$name), $properties);
        }

        return \is_array($value) ? \array_map(fn (mixed $item): mixed => $this->plain($item), $value) : $value;
    }
}
