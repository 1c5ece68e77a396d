<?php

declare(strict_types=1);

namespace Conformance;

use PHPUnit\Framework\TestCase;

require_once __DIR__ . '/Comparison.php';
require_once __DIR__ . '/Runner.php';

/** Every conformance case through the PHP binding. */
final class ConformanceTest extends TestCase
{
    /** @dataProvider cases */
    public function testCase(\stdClass $case): void
    {
        $reason = Runner::run($case);
        self::report($case, $reason);
        if (isset($case->gap) && $reason !== null) {
            self::markTestSkipped($case->gap);
        }
        self::assertNull($reason, isset($case->gap) ? 'this case passes by now; it is no gap' : (string) $reason);
    }

    /** @dataProvider negated */
    public function testACaseWithItsLastExpectationTurnedAroundFails(\stdClass $case): void
    {
        self::assertNotNull(Runner::run($case), 'the runner checks nothing here');
    }

    /** @return \Generator<string, array{\stdClass}> */
    public function cases(): \Generator
    {
        return self::read('cases.jsonl');
    }

    /** @return \Generator<string, array{\stdClass}> */
    public function negated(): \Generator
    {
        return self::read('negated.jsonl');
    }

    /** @return \Generator<string, array{\stdClass}> */
    private static function read(string $name): \Generator
    {
        $folder = \getenv('MULLAMA_TEST_CASES');
        if ($folder === false) {
            throw new \LogicException('MULLAMA_TEST_CASES must name a folder of expanded cases, see tests/README.md');
        }
        foreach (\file("$folder/$name", \FILE_IGNORE_NEW_LINES) as $line) {
            $case = \json_decode($line, false, 512, \JSON_THROW_ON_ERROR | \JSON_BIGINT_AS_STRING);
            yield $case->case => [$case];
        }
    }

    private static function report(\stdClass $case, ?string $reason): void
    {
        $folder = \getenv('MULLAMA_CONFORMANCE_RESULTS');
        if ($folder === false) {
            return;
        }
        $line = ['case' => $case->case, 'language' => 'php', 'result' => $reason === null ? 'pass' : 'fail'];
        if (isset($case->gap)) {
            $line = $reason === null
                ? ['result' => 'fail', 'message' => 'passes by now; it is no gap'] + $line
                : ['result' => 'gap', 'reason' => $case->gap] + $line;
        } elseif ($reason !== null) {
            $line['message'] = $reason;
        }
        $text = \json_encode($line, \JSON_UNESCAPED_UNICODE | \JSON_UNESCAPED_SLASHES | \JSON_INVALID_UTF8_SUBSTITUTE);
        \file_put_contents("$folder/php.jsonl", "$text\n", \FILE_APPEND | \LOCK_EX);
    }
}
