<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\TestCase;

/** A test that leaves an object of the library behind fails. */
abstract class FixtureCase extends TestCase
{
    protected const FOREVER = 2 ** 30;

    protected ?Store $store = null;

    protected function tearDown(): void
    {
        $this->store = null;
        \gc_collect_cycles();
        self::assertSame(0, Fixture::liveObjects(), 'objects are left over');
    }

    /** The error of a call that must fail. */
    protected static function failure(\Closure $call): FixtureException
    {
        try {
            $call();
        } catch (FixtureException $exception) {
            return $exception;
        }
        self::fail('the call succeeded');
    }

    protected static function assertFails(ErrorCode $code, \Closure $call): void
    {
        self::assertSame($code, self::failure($call)->errorCode);
    }

    protected static function assertTypeError(string $message, \Closure $call): void
    {
        try {
            $call();
        } catch (\TypeError $error) {
            self::assertStringContainsString($message, $error->getMessage());

            return;
        }
        self::fail('the call succeeded');
    }
}
