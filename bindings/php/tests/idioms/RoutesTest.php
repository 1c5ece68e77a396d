<?php

declare(strict_types=1);

namespace Fixture;

use Mullama\AnswerStream;
use Mullama\ArgumentException;
use Mullama\CancelledException;
use Mullama\ChatAnswer;
use Mullama\ChatPiece;
use Mullama\ChatStream;
use Mullama\CompletionAnswer;
use Mullama\Embedding;
use Mullama\Engine;
use Mullama\EngineMode;
use Mullama\ErrorCode as Code;
use Mullama\MediaException;
use Mullama\Mullama;
use Mullama\MullamaException;
use Mullama\TimeoutException;
use PHPUnit\Framework\TestCase;

/** The methods of an engine: named arguments in, objects out, and streams that also give the whole answer. */
final class RoutesTest extends TestCase
{
    private const GREEDY = ['maxTokens' => 12, 'temperature' => 0.0, 'ignoreEos' => true];
    private const ENDLESS = ['maxTokens' => 200] + self::GREEDY;

    private ?Engine $engine = null;

    protected function setUp(): void
    {
        $this->engine = self::open('llama');
    }

    protected function tearDown(): void
    {
        $this->engine = null;
        \gc_collect_cycles();
        self::assertSame(0, Mullama::liveObjects(), 'objects are left over');
    }

    private static function open(string $model, mixed ...$options): Engine
    {
        $path = \getenv('MULLAMA_TEST_CASES') . "/tiny/$model.gguf";

        return new Engine($path, ...$options + ['nCtx' => 256, 'nSlots' => 1, 'nThreads' => 1, 'maxBuffered' => 2]);
    }

    /** @return list<array{role: string, content: string}> */
    private static function user(string $text): array
    {
        return [['role' => 'user', 'content' => $text]];
    }

    private static function failure(\Closure $call): MullamaException
    {
        try {
            $call();
        } catch (MullamaException $exception) {
            return $exception;
        }
        self::fail('the call succeeded');
    }

    private function assertFree(): void
    {
        $end = \hrtime(true) + 20_000_000_000;
        while ($this->engine->info()->nRunning > 0) {
            self::assertLessThan($end, \hrtime(true), 'the slot is still taken');
            \usleep(1_000);
        }
    }

    // Answers

    public function testAnAnswerHasItsFieldsAsProperties(): void
    {
        $answer = $this->engine->chat(self::user('the of'), ...self::GREEDY);
        self::assertInstanceOf(ChatAnswer::class, $answer);
        $body = ['messages' => self::user('the of'), 'max_tokens' => 12, 'temperature' => 0, 'ignore_eos' => true];
        $raw = $this->engine->request('chat/completions', $body)->next()->data;
        self::assertSame($raw['choices'], $answer->raw['choices']);
        self::assertNotSame('', $answer->text);
        self::assertSame($raw['choices'][0]['message']['content'], $answer->text);
        self::assertSame($answer->text, $answer->choices[0]->message->content);
        self::assertSame(['length', 'length'], [$answer->finishReason, $answer->choices[0]->finishReason]);
        self::assertSame([12, $answer->usage->promptTokens + 12], [
            $answer->usage->completionTokens,
            $answer->usage->totalTokens,
        ]);
        self::assertSame([[], '', null, []], [
            $answer->toolCalls,
            $answer->reasoning,
            $answer->truncation,
            $answer->toolRuns,
        ]);
        self::assertSame(12, $answer->timings->predictedN);
        self::assertIsFloat($answer->timings->predictedMs);
        $this->expectExceptionMessage('Cannot modify readonly property');
        $answer->choices = [];
    }

    public function testFieldsThatThisVersionDoesNotKnowAreInRaw(): void
    {
        $answer = CompletionAnswer::read([
            'id' => 'a',
            'object' => 'text_completion',
            'created' => 1,
            'model' => 'm',
            'choices' => [],
            'invented_later' => 5,
        ]);
        self::assertSame([5, '', '', null], [
            $answer->raw['invented_later'],
            $answer->text,
            $answer->finishReason,
            $answer->usage,
        ]);
    }

    public function testEveryRouteHasAMethod(): void
    {
        $completed = $this->engine->complete('the of', ...self::GREEDY);
        $body = ['prompt' => 'the of', 'max_tokens' => 12, 'temperature' => 0, 'ignore_eos' => true];
        $raw = $this->engine->request('completions', $body)->next()->data;
        self::assertSame($raw['choices'][0]['text'], $completed->text);
        $message = $this->engine->message(self::user('the'), ...self::GREEDY);
        self::assertSame(['text', 'max_tokens', 12], [
            $message->content[0]->type,
            $message->stopReason,
            $message->usage->outputTokens,
        ]);
        $response = $this->engine->respond('the', maxOutputTokens: 12, temperature: 0, ignoreEos: true);
        self::assertSame($message->content[0]->text, $response->output[0]->content[0]->text);
        $count = $this->engine->countTokens(self::user('the'))->inputTokens;
        self::assertCount($count, $this->engine->applyTemplate(self::user('the'))->tokens);
        $tokens = $this->engine->tokenize('the of', addSpecial: true)->tokens;
        self::assertSame($this->engine->tokenize('the of')->tokens, \array_slice($tokens, 1));
        self::assertStringContainsString('the of', $this->engine->detokenize($tokens)->content);
        self::assertSame(['generate', 1], [$this->engine->props()->mode, $this->engine->props()->totalSlots]);
        self::assertGreaterThanOrEqual(36, $this->engine->metrics()->tokensPredictedTotal);
        $body = ['input_prefix' => 'the', 'input_suffix' => 'of'] + \array_diff_key($body, ['prompt' => 0]);
        $raw = $this->engine->request('infill', $body)->next()->data;
        self::assertSame($raw['choices'][0]['text'], $this->engine->infill('the', 'of', ...self::GREEDY)->text);
    }

    public function testVectors(): void
    {
        $engine = self::open('bert', mode: EngineMode::Embed);
        $answer = $engine->embed(['the of', 'and']);
        self::assertContainsOnlyInstancesOf(Embedding::class, $answer->data);
        self::assertSame([0, 1], \array_column($answer->data, 'index'));
        self::assertSame($answer->first, $answer->data[0]->embedding);
        self::assertSame($answer->first, $engine->embed('the of')->first);
        self::assertEqualsWithDelta(1.0, \array_sum(\array_map(fn (float $x): float => $x * $x, $answer->first)), 1e-4);
        self::assertCount(3, $engine->embed('the', dimensions: 3)->first);
    }

    public function testWrongFieldsAreRefusedByName(): void
    {
        $failure = self::failure(fn () => $this->engine->chat(self::user('the'), topP: 3));
        self::assertInstanceOf(ArgumentException::class, $failure);
        self::assertStringContainsString('top_p is 3', $failure->getMessage());
        $messages = [['role' => 'user', 'contents' => 'the']];
        $failure = self::failure(fn () => $this->engine->chat($messages));
        self::assertStringContainsString('contents', $failure->getMessage());
        try {
            $this->engine->chat(self::user('the'), maxTokens: '12');
            self::fail('a text for a number');
        } catch (\TypeError $error) {
            self::assertStringContainsString('($maxTokens) must be of type ?int', $error->getMessage());
        }
        $this->expectExceptionMessage('Unknown named parameter $temprature');
        $this->engine->chat(self::user('the'), temprature: 1.0);
    }

    public function testAnImageIsAsManyTokensAsItsProjectorHasPatches(): void
    {
        $sees = self::open('llama', projector: \getenv('MULLAMA_TEST_CASES') . '/tiny/sees.gguf');
        $picture = 'iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAIAAAAmkwkpAAAAP0lEQVR42gE0AMv/ACXrjEj/icuFT8CQ'
            . 'gQDMR+38hhmyFP5lktQAi/zqnJ2OMkTX1+nxAPfeYFaN6YkHPz0WOewnG5m0+sZvAAAAAElFTkSuQmCC';
        $image = static fn (string $data): array => [
            'type' => 'image_url',
            'image_url' => ['url' => "data:image/png;base64,$data"],
        ];
        $asked = static fn (array ...$parts): ChatAnswer => $sees->chat(
            [['role' => 'user', 'content' => [['type' => 'text', 'text' => 'how many '], ...$parts]]],
            ...self::GREEDY,
        );
        self::assertSame(16, $asked($image($picture))->usage->promptTokens - $asked()->usage->promptTokens);
        $failure = self::failure(static fn () => $asked($image('AAAA')));
        self::assertSame(Code::MediaInvalid, $failure->errorCode);
        self::assertInstanceOf(MediaException::class, $failure);
    }

    public function testAnAnswerGoesBackIntoAConversation(): void
    {
        $first = $this->engine->chat(self::user('the'), ...self::GREEDY);
        $turns = [...self::user('the'), $first->choices[0]->message, ...self::user('of')];
        $second = $this->engine->chat($turns, ...self::GREEDY);
        self::assertGreaterThan(0, $second->usage->cachedTokens);
        self::assertSame(\json_encode($first->raw), \json_encode($first));
    }

    // Streams

    public function testPiecesJoinedAreTheWholeAnswer(): void
    {
        $stream = $this->engine->streamChat(self::user('the of'), ...self::GREEDY);
        self::assertInstanceOf(ChatStream::class, $stream);
        $text = '';
        foreach ($stream as $i => $piece) {
            self::assertInstanceOf(ChatPiece::class, $piece);
            $text .= $piece->text;
        }
        self::assertGreaterThan(3, $i);
        self::assertSame($text, $stream->answer()->text);
        self::assertSame($text, $this->engine->chat(self::user('the of'), ...self::GREEDY)->text);
        self::assertSame(12, $stream->answer()->usage->completionTokens);
        self::assertSame([$stream->answer(), null], [$stream->answer(), $stream->next()]);
        self::assertSame([], \iterator_to_array($stream));
        self::assertSame($text, $stream->answer()->text, 'a loop over what is read does not cancel it');
    }

    /** @dataProvider streams */
    public function testAStreamGivesTheWholeAtOnceOrAfterSomePieces(\Closure $open, \Closure $ask): void
    {
        $expected = $ask($this->engine);
        self::assertEquals($expected, $this->content($open($this->engine)->answer()));
        $stream = $open($this->engine);
        self::assertNotNull($stream->next());
        self::assertEquals($expected, $this->content($stream->answer()));
        self::assertGreaterThan(3, \count(\iterator_to_array($open($this->engine))));
    }

    public function streams(): array
    {
        return [
            'a chat' => [
                fn (Engine $engine) => $engine->streamChat(self::user('the'), ...self::GREEDY),
                fn (Engine $engine) => $this->content($engine->chat(self::user('the'), ...self::GREEDY)),
            ],
            'a completion' => [
                fn (Engine $engine) => $engine->streamComplete('the', ...self::GREEDY),
                fn (Engine $engine) => $this->content($engine->complete('the', ...self::GREEDY)),
            ],
            'a message' => [
                fn (Engine $engine) => $engine->streamMessage(self::user('the'), ...self::GREEDY),
                fn (Engine $engine) => $this->content($engine->message(self::user('the'), ...self::GREEDY)),
            ],
            'a response' => [
                fn (Engine $engine) => $engine->streamRespond('the', ...self::GREEDY),
                fn (Engine $engine) => $this->content($engine->respond('the', ...self::GREEDY)),
            ],
        ];
    }

    /** What an answer says, without the names and times that differ each time. */
    private function content(object $answer): array
    {
        $parts = $answer->raw['choices'] ?? $answer->raw['content'] ?? $answer->raw['output'];

        return \array_map(fn (array $part): array => \array_diff_key($part, ['id' => 0]), $parts);
    }

    public function testLeavingALoopEarlyCancelsAlthoughTheStreamIsKept(): void
    {
        $stream = $this->engine->streamComplete('the', ...self::ENDLESS);
        self::assertInstanceOf(AnswerStream::class, $stream);
        foreach ($stream as $piece) {
            break;
        }
        $this->assertFree();
        $failure = self::failure(fn () => $stream->answer());
        self::assertInstanceOf(CancelledException::class, $failure);
        self::assertStringContainsString('before its answer was complete', $failure->getMessage());
        $other = $this->engine->streamComplete('the', ...self::ENDLESS);
        self::assertNotNull($other->next());
        unset($other, $piece);
        $this->assertFree();
    }

    public function testCancellingEndsTheLoop(): void
    {
        $stream = $this->engine->streamChat(self::user('the'), ...self::ENDLESS);
        $seen = 0;
        foreach ($stream as $piece) {
            if (++$seen === 3) {
                $stream->cancel();
            }
        }
        self::assertSame(3, $seen);
        self::assertInstanceOf(CancelledException::class, self::failure(fn () => $stream->answer()));
        $this->assertFree();
    }

    public function testAnAnswerWithEmptyObjectsGoesBackAsItCame(): void
    {
        $this->engine = self::open('llama', nCtx: 2048, kvOverrides: ['llama.context_length=int:2048']);
        $tools = [['name' => 'look', 'input_schema' => ['type' => 'object', 'properties' => new \stdClass()]]];
        $question = ['role' => 'user', 'content' => 'the of'];
        $request = ['messages' => [$question], 'tools' => $tools, 'tool_choice' => ['type' => 'any'], 'max_tokens' => 60];
        $stream = $this->engine->request('messages', \json_encode($request + ['temperature' => 0]));
        $json = \json_encode($stream->next()->data, \JSON_UNESCAPED_SLASHES);
        self::assertStringContainsString('"name":"look","input":{}', $json);
        $stream->close();

        $limits = ['tools' => $tools, 'maxTokens' => 60, 'temperature' => 0.0];
        $answer = $this->engine->message([$question], ...$limits + ['toolChoice' => ['type' => 'any']]);
        $block = $answer->content[\count($answer->content) - 1];
        self::assertSame(['tool_use', 'look', 0], [$block->type, $block->name, \count($block->input)]);
        self::assertSame('none', $block->input['on'] ?? 'none');
        self::assertStringContainsString('"input":{}', \json_encode($block));
        $again = $this->engine->message([
            $question,
            ['role' => 'assistant', 'content' => $answer->content],
            ['role' => 'user', 'content' => [['type' => 'tool_result', 'tool_use_id' => $block->id, 'content' => 'it']]],
        ], ...$limits);
        self::assertNotSame([], $again->content);

        // The last piece of a stream adds nothing.
        $pieces = \iterator_to_array($this->engine->streamChat(self::user('the'), maxTokens: 2), false);
        $delta = \end($pieces)->choices[0]->delta ?? $pieces[\count($pieces) - 2]->choices[0]->delta;
        self::assertSame(['{}', null], [\json_encode($delta), $delta->content]);
    }

    public function testAClosedEngineEndsAStream(): void
    {
        $stream = $this->engine->streamComplete('the', ...self::ENDLESS);
        self::assertNotNull($stream->next());
        $this->engine->close();
        self::assertLessThan(200, \iterator_count($stream));
        self::assertSame(Code::Cancelled, self::failure(fn () => $stream->answer())->errorCode);
    }

    public function testWaitingForAPieceHasALimit(): void
    {
        $holder = $this->engine->streamComplete('the', ...self::ENDLESS);
        $waiting = $this->engine->streamComplete('of', ...self::GREEDY);
        try {
            $waiting->next(timeout: 0.02);
            self::fail('there is only one slot, and nobody reads from its stream');
        } catch (TimeoutException) {
        }
        unset($holder);
        self::assertSame(12, $waiting->answer()->usage->completionTokens);
    }

    public function testAFailureOfARunningRequestIsThrown(): void
    {
        $stream = $this->engine->streamComplete('the', ...self::ENDLESS, deadlineMs: 1);
        self::assertSame(Code::Deadline, self::failure(fn () => \iterator_count($stream))->errorCode);
        $failure = self::failure(fn () => $this->engine->complete(\array_fill(0, 500, 5)));
        self::assertSame(Code::ContextFull, $failure->errorCode);
    }
}
