<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\TestCase;

/** What an editor shows of the binding. */
final class DocumentationTest extends TestCase
{
    /** @dataProvider classes */
    public function testEverythingPublicIsDocumented(string $class): void
    {
        $reflection = new \ReflectionClass($class);
        self::assertNotFalse($reflection->getDocComment());
        $members = [
            ...$reflection->getMethods(\ReflectionMethod::IS_PUBLIC),
            ...$reflection->getProperties(\ReflectionProperty::IS_PUBLIC),
            ...$reflection->getReflectionConstants(\ReflectionClassConstant::IS_PUBLIC),
        ];
        $undocumented = [];
        foreach ($members as $member) {
            $isGiven = \str_starts_with($member->getName(), '__') || $member->getDeclaringClass()->isInternal();
            $isOfEveryEnum = $reflection->isEnum() && !$member instanceof \ReflectionClassConstant;
            if (!$isGiven && !$isOfEveryEnum && $member->getDocComment() === false) {
                $undocumented[] = $member->getName();
            }
        }
        self::assertSame([], $undocumented);
    }

    /** @dataProvider classes */
    public function testParametersOfADocAreThoseOfTheMethod(string $class): void
    {
        foreach ((new \ReflectionClass($class))->getMethods(\ReflectionMethod::IS_PUBLIC) as $method) {
            \preg_match_all('/^ +\* @param .*?\$(\w+) \S/m', (string) $method->getDocComment(), $named);
            if ($named[1] !== []) {
                self::assertSame(\array_column($method->getParameters(), 'name'), $named[1], $method->getName());
            }
        }
        $this->addToAssertionCount(1);
    }

    /** @return \Generator<string, array{class-string}> */
    public function classes(): \Generator
    {
        $internal = ['Functions', 'Native', 'Options', 'Requests'];
        foreach (\glob(__DIR__ . '/../../src/{,generated/}*.php', \GLOB_BRACE) as $file) {
            $name = \basename($file, '.php');
            if (!\in_array($name, $internal, true)) {
                yield $name => ["Mullama\\$name"];
            }
        }
    }
}
