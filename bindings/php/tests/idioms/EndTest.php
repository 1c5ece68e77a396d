<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\TestCase;

/** Ending the process during a running generation: the exit code as asked, no crash, every time. */
final class EndTest extends TestCase
{
    use Programs;

    private const TIMES = 50;
    private const RUNNING = <<<'PHP'
        $model = new Mullama\Model($path);
        $context = $model->createContext(nCtx: 64, nThreads: $threads ?? 1);
        $pieces = $context->stream('the', maxTokens: -1, overflow: Mullama\Overflow::Shift, ignoreEos: true);

        PHP;
    private const ENGINE = <<<'PHP'
        $engine = new Mullama\Engine(
            $path,
            nCtx: 4096,
            nSlots: 2,
            nThreads: $threads ?? 1,
            contextShift: true,
            kvOverrides: ['llama.context_length=int:4096'],
        );
        $body = ['prompt' => 'the', 'max_tokens' => -1, 'ignore_eos' => true, 'stream' => true];
        $events = $engine->request('completions', $body);

        PHP;

    /** @dataProvider endings */
    public function testTheProcessEndsAsAsked(int $expected, string $code, string $message = ''): void
    {
        $program = self::program($code);
        for ($time = 0; $time < self::TIMES; ++$time) {
            [$ended, $output, $errors] = self::execute([\PHP_BINARY, '-d', 'display_errors=stderr', $program]);
            self::assertSame([$expected, 'begun '], [$ended, $output], $errors);
            $message === '' ? self::assertSame('', $errors) : self::assertStringContainsString($message, $errors);
        }
    }

    public function endings(): array
    {
        $loop = fn (string $end): string => self::RUNNING . "foreach (\$pieces as \$piece) { echo 'begun '; $end }";
        $load = fn (string $end): string => "\$progress = function (float \$part): void { echo 'begun '; $end };"
            . 'new Mullama\Model($path, progress: $progress);';
        $stream = fn (string $end): string => self::ENGINE . "foreach (\$events as \$event) { echo 'begun '; $end }";
        $twice = 'eval("function twice() {} function twice() {}");';

        return [
            'exit in a loop' => [7, $loop('exit(7);')],
            'exit with threads that compute' => [10, '$threads = 2;' . $loop('exit(10);')],
            'exit in a loop, inside a function' => [8, $loop('(function () use ($pieces): never { exit(8); })();')],
            'exit with a second generation underway' => [9, $loop(<<<'PHP'
                $other = $model->createContext(nCtx: 64, nThreads: 1)->startGeneration('a');
                $other->next();
                exit(9);
                PHP)],
            'exit in a callback' => [6, $load('exit(6);')],
            'an error in a loop' => [255, $loop('throw new DomainException("out");'), 'DomainException: out'],
            'a fatal error in a loop' => [255, $loop($twice), 'Cannot redeclare twice()'],
            'a fatal error in a callback' => [255, $load($twice), 'Cannot redeclare twice()'],
            'exit in a loop over a stream of an engine' => [12, $stream('exit(12);')],
            'exit with requests that nobody reads' => [13, '$threads = 2;' . $stream(<<<'PHP'
                $others = [$engine->request('completions', $body), $engine->request('completions', $body)];
                exit(13);
                PHP)],
            'exit with an engine in static properties' => [14, self::ENGINE . <<<'PHP'
                final class Kept { public static array $objects = []; }
                Kept::$objects = [$engine, $events, &Kept::$objects];
                echo 'begun ';
                exit($events->next() === null ? 1 : 14);
                PHP],
            'exit in a loop over pieces of an answer' => [15, self::ENGINE . <<<'PHP'
                $pieces = $engine->streamComplete('the', maxTokens: -1, ignoreEos: true);
                foreach ($pieces as $piece) {
                    echo 'begun ';
                    exit(15);
                }
                PHP],
            'exit in a function that the model calls' => [16, self::ENGINE . <<<'PHP'
                $engine->chat(
                    [['role' => 'user', 'content' => 'the']],
                    tools: [#[Mullama\Tool('end')] function (bool $now): never { echo 'begun '; exit(16); }],
                    toolChoice: 'required',
                    parallelToolCalls: false,
                    maxTokens: 200,
                    temperature: 0,
                );
                PHP],
            'an error in a loop over a stream' => [
                255,
                $stream('throw new DomainException("out");'),
                'DomainException: out',
            ],
            'a fatal error in a loop over a stream' => [255, $stream($twice), 'Cannot redeclare twice()'],
            'objects in static properties, used at the very end' => [11, self::RUNNING . <<<'PHP'
                final class Kept { public static array $objects = []; }
                Kept::$objects = ['pieces' => $pieces, 'model' => $model, 'self' => &Kept::$objects];
                unset($model, $context);
                register_shutdown_function(static function () use ($pieces): never {
                    $pieces->next();
                    exit(11);
                });
                foreach ($pieces as $piece) {
                    echo 'begun ';
                    exit(1);
                }
                PHP],
            'exit in a destructor' => [5, self::RUNNING . <<<'PHP'
                final class Last
                {
                    public function __construct(private Generator $pieces)
                    {
                    }

                    public function __destruct()
                    {
                        $this->pieces->current();
                        exit(5);
                    }
                }
                echo 'begun ';
                $last = new Last($pieces);
                PHP],
        ];
    }

    /** @requires extension pcntl */
    public function testCtrlCEndsTheProcess(): void
    {
        $program = self::program(self::RUNNING . "foreach (\$pieces as \$piece) { echo 'x'; }");
        self::interrupt($program, -\SIGINT);
    }

    /** @requires extension pcntl */
    public function testAHandlerOfCtrlCRunsDuringAStream(): void
    {
        $handler = 'pcntl_async_signals(true); pcntl_signal(SIGINT, function (): never { exit(130); });';
        self::interrupt(self::program($handler . self::RUNNING . "foreach (\$pieces as \$piece) { echo 'x'; }"), 130);
    }

    /** @requires extension pcntl */
    public function testCtrlCEndsTheProcessWithAnEngine(): void
    {
        self::interrupt(self::program(self::ENGINE . "foreach (\$events as \$event) { echo 'x'; }"), -\SIGINT);
    }

    /** @requires extension pcntl */
    public function testAHandlerOfCtrlCRunsWhileAnEngineAnswers(): void
    {
        $program = self::program(self::ENGINE . <<<'PHP'
            pcntl_async_signals(true);
            pcntl_signal(SIGINT, function (): never { exit(132); });
            $answer = $engine->request('completions', ['stream' => false] + $body);
            echo 'x';
            $answer->next();
            PHP);
        self::interrupt($program, 132);
    }

    /** @requires extension pcntl */
    public function testAHandlerOfCtrlCRunsDuringOneLongCall(): void
    {
        $handler = 'pcntl_async_signals(true); pcntl_signal(SIGINT, function (): never { exit(131); });';
        $call = <<<'PHP'
            echo 'x';
            $context->generate('the', maxTokens: -1, overflow: Mullama\Overflow::Shift, ignoreEos: true);
            PHP;
        self::interrupt(self::program($handler . self::RUNNING . $call), 131);
    }

    /** @requires extension pcntl */
    public function testAHandlerOfCtrlCMayCancelAndTheProgramGoesOn(): void
    {
        $program = self::program(self::RUNNING . <<<'PHP'
            $endless = ['maxTokens' => -1, 'overflow' => Mullama\Overflow::Shift, 'ignoreEos' => true];
            $generation = $context->startGeneration('the', ...$endless);
            pcntl_async_signals(true);
            pcntl_signal(SIGINT, fn () => $generation->cancel());
            foreach ($generation as $event) {
                echo 'x';
            }
            exit($generation->result()->finishReason === Mullama\FinishReason::Cancelled ? 4 : 5);
            PHP);
        self::interrupt($program, 4);
    }

    private static function interrupt(string $program, int $expected): void
    {
        for ($time = 0; $time < self::TIMES; ++$time) {
            [$ended, , $errors] = self::execute([\PHP_BINARY, $program], [], function (int $pid, $output): void {
                \fread($output, 1);
                \usleep(\random_int(0, 20_000));
                \posix_kill($pid, \SIGINT);
            });
            self::assertSame([$expected, ''], [$ended, $errors]);
        }
    }
}
