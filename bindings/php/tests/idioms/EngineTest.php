<?php

declare(strict_types=1);

namespace Fixture;

use Mullama\ArgumentException;
use Mullama\CancelledException;
use Mullama\Engine;
use Mullama\EngineState;
use Mullama\ErrorCode as Code;
use Mullama\Mullama;
use Mullama\MullamaException;
use Mullama\ResourceException;
use Mullama\Stream;
use Mullama\StreamState;
use Mullama\TimeoutException;
use PHPUnit\Framework\TestCase;

/** The engine in PHP, on a tiny model: requests and their streams, leaving them, waiting for them, closing. */
final class EngineTest extends TestCase
{
    /** The same on every run; a stream of it is there until somebody reads it, since the tests' engines buffer little. */
    private const ENDLESS = ['prompt' => 'the of and', 'max_tokens' => 200, 'ignore_eos' => true, 'temperature' => 0];
    private const PIECES = self::ENDLESS + ['stream' => true];

    private ?Engine $engine = null;

    protected function setUp(): void
    {
        $this->engine = self::open();
    }

    protected function tearDown(): void
    {
        $this->engine = null;
        \gc_collect_cycles();
        self::assertSame(0, Mullama::liveObjects(), 'objects are left over');
    }

    private static function open(mixed ...$options): Engine
    {
        $path = \getenv('MULLAMA_TEST_CASES') . '/tiny/llama.gguf';

        return new Engine($path, ...$options + ['nCtx' => 256, 'nSlots' => 1, 'nThreads' => 1, 'maxBuffered' => 2]);
    }

    /** Waits for something that the engine's own thread does. */
    private static function until(\Closure $condition): void
    {
        $end = \hrtime(true) + 20_000_000_000;
        while (!$condition()) {
            self::assertLessThan($end, \hrtime(true), 'it did not happen');
            \usleep(1_000);
        }
    }

    private function assertFree(): void
    {
        self::until(fn (): bool => $this->engine->info()->nRunning === 0 && $this->engine->info()->nQueued === 0);
    }

    private static function assertFails(Code $code, \Closure $call): void
    {
        try {
            $call();
        } catch (MullamaException $exception) {
            self::assertSame($code, $exception->errorCode);

            return;
        }
        self::fail("no $code->name");
    }

    /** @return list<Stream> */
    private function requests(int $number): array
    {
        return \array_map(fn (): Stream => $this->engine->request('completions', self::PIECES), \range(1, $number));
    }

    public function testAnAnswerIsOneEventAndAStreamManyOfTheSameText(): void
    {
        $answers = \iterator_to_array($this->engine->request('completions', self::ENDLESS));
        self::assertCount(1, $answers);
        self::assertSame(200, $answers[0]->data['usage']['completion_tokens']);
        $text = '';
        foreach ($this->engine->request('completions', self::PIECES) as $i => $event) {
            $text .= $event->data['choices'][0]['text'];
        }
        self::assertSame($answers[0]->data['choices'][0]['text'], $text);
        self::assertGreaterThan(100, $i);
        self::assertSame(200, $event->data['timings']['predicted_n']);
    }

    public function testABodyIsAnArrayOrJsonText(): void
    {
        $tokens = ['tokens' => $this->engine->request('tokenize', ['content' => 'naïve 🦙'])->next()->data['tokens']];
        $json = \json_encode(['content' => 'naïve 🦙']);
        self::assertSame($tokens, $this->engine->request('tokenize', $json)->next()->data);
        self::assertSame('naïve 🦙', \trim($this->engine->request('detokenize', $tokens)->next()->data['content']));
        self::assertSame(1, $this->engine->request('props')->next()->data['total_slots']);
        self::assertFails(Code::InvalidJson, fn () => $this->engine->request('tokenize', '{'));
        self::assertFails(Code::InvalidUtf8, fn () => $this->engine->request('tokenize', "{\"content\": \"\xff\"}"));
        self::assertFails(Code::InvalidArgument, fn () => $this->engine->request('tokenize', ['contents' => 'x']));
        $this->expectException(\TypeError::class);
        $this->engine->request('tokenize', ['content' => "\xff"]);
    }

    public function testLeavingALoopOverARequestFreesItsSlot(): void
    {
        foreach ($this->engine->request('completions', self::PIECES) as $event) {
            self::assertSame(2, Mullama::liveObjects());
            break;
        }
        self::assertSame(1, Mullama::liveObjects(), 'only the engine');
        $this->assertFree();
        try {
            foreach ($this->engine->request('completions', self::PIECES) as $event) {
                throw new \DomainException('out');
            }
        } catch (\DomainException) {
        }
        self::assertSame(1, Mullama::liveObjects());
        $this->assertFree();
    }

    public function testCancellingEndsALoopAndFreesTheSlot(): void
    {
        [$running, $waiting] = $this->requests(2);
        $seen = 0;
        foreach ($running as $event) {
            ++$seen;
            $waiting->cancel();
            $running->cancel();
        }
        self::assertSame(1, $seen);
        self::assertNull($waiting->next());
        self::assertSame(StreamState::Cancelled, $running->info()->state);
        self::assertSame(StreamState::Cancelled, $waiting->info()->state);
        $this->assertFree();
    }

    public function testAStreamThatIsForgottenFreesItsSlot(): void
    {
        $streams = $this->requests(3);
        self::assertNotNull($streams[0]->next());
        unset($streams);
        self::assertSame(1, Mullama::liveObjects());
        $this->assertFree();
    }

    public function testClosingTheEngineEndsItsStreams(): void
    {
        $streams = $this->requests(3);
        self::assertNotNull($streams[0]->next());
        $this->engine->close();
        $this->engine->close();
        foreach ($streams as $stream) {
            self::assertLessThan(200, \iterator_count($stream));
            self::assertSame(StreamState::Cancelled, $stream->info()->state);
            self::assertSame($this->engine, $stream->engine());
        }
        self::assertFails(Code::Closed, fn () => $this->engine->request('props'));
        self::assertFails(Code::Closed, fn () => $this->engine->wait(0));
        $streams[1]->close();
        self::assertFails(Code::Closed, fn () => $streams[1]->next());
        $streams[1]->cancel();
    }

    public function testAStreamOutlivesTheVariableOfItsEngine(): void
    {
        $stream = $this->engine->request('completions', ['max_tokens' => 3] + self::ENDLESS);
        $this->engine = null;
        self::assertSame(3, $stream->next()->data['usage']['completion_tokens']);
    }

    public function testAnswersMayBeReadInAnyOrder(): void
    {
        $prompts = ['the', 'of', 'and', 'the of'];
        $ask = fn (string $prompt): Stream => $this->engine->request('completions', [
            'prompt' => $prompt,
            'max_tokens' => 8,
        ] + self::ENDLESS);
        $text = fn (Stream $stream): string => $stream->next()->data['choices'][0]['text'];
        $alone = \array_map(fn (string $prompt): string => $text($ask($prompt)), $prompts);
        $streams = \array_reverse(\array_map($ask, $prompts));
        self::assertSame($alone, \array_reverse(\array_map($text, $streams)));
        self::assertGreaterThan(1, \count(\array_unique($alone)));
    }

    public function testOneLoopServesManyStreams(): void
    {
        $engine = self::open(nSlots: 4, maxQueued: 100, maxBuffered: 256);
        [$streams, $texts] = [[], []];
        for ($i = 0; $i < 40; ++$i) {
            $body = ['prompt' => [5 + $i], 'max_tokens' => 6] + self::PIECES;
            $stream = $engine->request('completions', $body);
            $streams[$stream->id()] = $stream;
        }
        while ($streams !== []) {
            foreach ($engine->wait() as $id) {
                try {
                    while (($event = $streams[$id]->next(timeout: 0)) !== null) {
                        $texts[$id] = ($texts[$id] ?? '') . $event->data['choices'][0]['text'];
                    }
                    unset($streams[$id]);
                } catch (TimeoutException) {
                }
            }
        }
        self::assertCount(40, \array_filter($texts));
    }

    public function testWaitingHasALimit(): void
    {
        self::assertSame([], $this->engine->wait(0));
        self::assertSame([], $this->engine->wait(150));
        [$paused, $waiting] = $this->requests(2);
        self::assertSame([$paused->id()], $this->engine->wait(20_000));
        self::assertFalse($this->engine->drain(150), 'nobody reads');
        self::assertSame(EngineState::Draining, $this->engine->info()->state);
        foreach ([0.0, 0.15] as $seconds) {
            try {
                $waiting->next(timeout: $seconds);
                self::fail('there is only one slot');
            } catch (TimeoutException) {
            }
        }
        self::assertGreaterThan(100, \iterator_count($paused));
        self::assertGreaterThan(100, \iterator_count($waiting));
        self::assertTrue($this->engine->drain());
    }

    /**
     * @dataProvider waits
     * @requires extension pcntl
     */
    public function testSignalsAreHandledInAWait(\Closure $wait, \Closure $handler): void
    {
        $engine = self::open();
        $paused = $engine->request('completions', self::PIECES);
        self::until(fn (): bool => $paused->info()->paused);
        $engine->wait(0); // takes its name
        $isAsynchronous = \pcntl_async_signals(true);
        \pcntl_signal(\SIGALRM, fn () => $handler($engine, $paused));
        try {
            \pcntl_alarm(1);
            $wait($engine, $paused);
        } finally {
            \pcntl_signal(\SIGALRM, \SIG_DFL);
            \pcntl_async_signals($isAsynchronous);
        }
    }

    public function waits(): array
    {
        $cancel = fn (Engine $engine, Stream $paused) => $paused->cancel();

        return [
            'which a handler wakes' => [
                fn (Engine $engine) => self::assertSame([], $engine->wait()),
                fn (Engine $engine) => $engine->wake(),
            ],
            'which a handler leaves by an exception' => [
                function (Engine $engine): void {
                    try {
                        $engine->wait();
                        self::fail('the wait ended by itself');
                    } catch (\DomainException) {
                    }
                },
                fn () => throw new \DomainException('enough'),
            ],
            'for all requests' => [fn (Engine $engine) => self::assertTrue($engine->drain()), $cancel],
            'for an event' => [
                fn (Engine $engine) => self::assertNotNull($engine->request('completions', self::ENDLESS)->next()),
                $cancel,
            ],
        ];
    }

    public function testTooManyRequestsAreRefused(): void
    {
        $engine = self::open(maxQueued: 2);
        // One runs, one is next, two wait.
        $streams = \array_map(fn () => $engine->request('completions', self::PIECES), \range(1, 4));
        try {
            $engine->request('completions', self::ENDLESS);
            self::fail('it was taken');
        } catch (ResourceException $exception) {
            self::assertSame(Code::Busy, $exception->errorCode);
        }
        unset($streams);
        self::assertNotNull($engine->request('completions', self::ENDLESS)->next());
    }

    public function testAFailedRequestThrowsAndTheEngineGoesOn(): void
    {
        $stream = $this->engine->request('completions', ['deadline_ms' => 1, 'max_tokens' => 250] + self::ENDLESS);
        self::assertFails(Code::Deadline, fn () => $stream->next());
        self::assertFails(Code::ContextFull, fn () => $this->engine->request('completions', [
            'prompt' => \array_fill(0, 500, 5),
        ])->next());
        self::assertNotNull($this->engine->request('completions', self::ENDLESS)->next());
    }

    public function testTheLoadCanBeWatchedAndStopped(): void
    {
        $parts = [];
        self::open(progress: function (float $part) use (&$parts): void {
            $parts[] = $part;
        });
        self::assertSame(1.0, \end($parts));
        $stopped = self::failureOf(fn () => self::open(progress: fn (): bool => false));
        self::assertInstanceOf(CancelledException::class, $stopped);
        $enough = new \DomainException('enough');
        self::assertSame($enough, self::failureOf(fn () => self::open(progress: fn () => throw $enough)));
    }

    private static function failureOf(\Closure $call): ?\Throwable
    {
        try {
            $call();
        } catch (\Throwable $thrown) {
            return $thrown;
        }

        return null;
    }
}
