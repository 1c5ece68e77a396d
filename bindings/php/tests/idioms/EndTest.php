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
