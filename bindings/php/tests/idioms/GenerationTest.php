<?php

declare(strict_types=1);

namespace Fixture;

use Mullama\ArgumentException;
use Mullama\CancelledException;
use Mullama\Context;
use Mullama\ErrorCode as Code;
use Mullama\FileException;
use Mullama\FinishReason;
use Mullama\Generation;
use Mullama\LogLevel;
use Mullama\Model;
use Mullama\Mullama;
use Mullama\MullamaException;
use Mullama\ResourceException;
use Mullama\Status;
use Mullama\TimeoutException;
use Mullama\TokenEvent;
use PHPUnit\Framework\TestCase;

/** How the binding reads in PHP, on a tiny model: generators, exceptions by family, named arguments, lifetimes. */
final class GenerationTest extends TestCase
{
    private ?Model $model = null;
    private ?Context $context = null;

    protected function setUp(): void
    {
        $this->model = new Model(\getenv('MULLAMA_TEST_CASES') . '/tiny/llama.gguf');
        $this->context = $this->model->createContext(nCtx: 128, nThreads: 1);
    }

    protected function tearDown(): void
    {
        $this->model = $this->context = null;
        \gc_collect_cycles();
        self::assertSame(0, Mullama::liveObjects(), 'objects are left over');
    }

    public function testPiecesJoinToTheWholeText(): void
    {
        $whole = $this->context->generate('the of', maxTokens: 12, temperature: 0.0);
        $pieces = $this->context->stream('the of', maxTokens: 12, temperature: 0.0);
        self::assertSame($whole, \implode('', \iterator_to_array($pieces, false)));
        self::assertSame(FinishReason::Length, $pieces->getReturn()->finishReason);
        self::assertSame(12, $pieces->getReturn()->nGenerated);
        self::assertSame('', $this->context->generate('the', maxTokens: 0));
    }

    public function testLeavingALoopEarlyFreesTheGenerationAndTheContextGoesOn(): void
    {
        foreach ($this->context->stream('the', maxTokens: -1, ignoreEos: true, temperature: 0.0) as $piece) {
            self::assertSame(3, Mullama::liveObjects());
            break;
        }
        self::assertSame(2, Mullama::liveObjects());
        self::assertNotSame('', $piece);
        self::assertNotSame('', $this->context->generate('the', maxTokens: 4));
    }

    public function testCancellingEndsALoop(): void
    {
        $generation = $this->context->startGeneration('the', maxTokens: -1, ignoreEos: true, temperature: 0.0);
        $seen = 0;
        foreach ($generation as $event) {
            self::assertInstanceOf(TokenEvent::class, $event);
            if (++$seen === 3) {
                $generation->cancel();
            }
        }
        self::assertSame([3, FinishReason::Cancelled], [$seen, $generation->result()->finishReason]);
        self::assertSame($this->context, $generation->context());
        self::assertSame($this->model, $this->context->model());
    }

    public function testGenerationsTakeTurns(): void
    {
        $context = $this->model->createContext(nCtx: 64, nSequences: 2, nThreads: 1);
        $alone = $this->context->generate('the', maxTokens: 6, temperature: 0.0);
        $first = $context->stream('the', maxTokens: 6, temperature: 0.0, sequence: 0);
        $second = $context->stream('the', maxTokens: 6, temperature: 0.0, sequence: 1);
        $texts = ['', ''];
        while ($first->valid() || $second->valid()) {
            foreach ([$first, $second] as $i => $pieces) {
                $texts[$i] .= $pieces->current();
                $pieces->next();
            }
        }
        self::assertSame([$alone, $alone], $texts);
    }

    public function testATokenCanBeChosenByHand(): void
    {
        $expected = $this->context->generate('the of', maxTokens: 5, temperature: 0.0);
        $generation = $this->context->startGeneration('the of', maxTokens: 5);
        $text = '';
        while ($generation->prepare() === Status::Item) {
            $text .= $generation->accept($generation->logits()->argmax())->text;
        }
        self::assertSame($expected, $text . $generation->finish()->text);
    }

    public function testExceptionsByFamily(): void
    {
        $stop = fn (): bool => false;
        $failures = [
            [FileException::class, Code::FileNotFound, fn () => new Model('/nowhere.gguf')],
            [FileException::class, Code::ModelInvalid, fn () => new Model(__FILE__)],
            [ArgumentException::class, Code::InvalidUtf8, fn () => $this->model->tokenize("\xff")],
            [ArgumentException::class, Code::InvalidArgument, fn () => $this->model->createContext(nCtx: -1)],
            [ArgumentException::class, Code::InvalidArgument, fn () => $this->context->generate()],
            [ResourceException::class, Code::ContextFull, fn () => $this->context->decode(\array_fill(0, 500, 1))],
            [CancelledException::class, Code::Cancelled, fn () => new Model($this->path(), progress: $stop)],
        ];
        foreach ($failures as [$class, $code, $call]) {
            try {
                $call();
                self::fail("no $code->name");
            } catch (MullamaException $exception) {
                self::assertSame([$class, $code], [$exception::class, $exception->errorCode]);
                self::assertSame($code->value, $exception->getCode());
            }
        }
    }

    /** @dataProvider wrongTypes */
    public function testWrongTypesAreRefusedBeforeTheLibrary(\Closure $call): void
    {
        $this->expectException(\TypeError::class);
        $call($this->model, $this->context);
    }

    public function wrongTypes(): array
    {
        return [
            'a number for a text' => [fn (Model $model) => $model->tokenize(5)],
            'an object for a number' => [fn (Model $model) => $model->tokenText(new \stdClass())],
            'a text for tokens' => [fn (Model $model, Context $context) => $context->decode('abc')],
            'a text among tokens' => [fn (Model $model) => $model->detokenize([1, '2'])],
            'a number among stop texts' => [fn (Model $model, Context $context) => $context->generate('a', stop: [5])],
            'not a number in a chat' => [fn (Model $model, Context $context) => $context->generate(messages: [\NAN])],
            'a text for an option' => [fn (Model $model) => $model->createContext(nCtx: '64')],
            'a model for a context' => [fn (Model $model) => $model->createSampler()->sample($model)],
        ];
    }

    public function testAPartOfTheProgressIsANumberAndTheLoadCanBeStopped(): void
    {
        $parts = [];
        new Model($this->path(), progress: function (float $part) use (&$parts): void {
            $parts[] = $part;
        });
        self::assertSame([0.0, 1.0], [$parts[0], \end($parts)]);
        $before = Mullama::liveObjects();
        try {
            new Model($this->path(), progress: fn () => throw new \DomainException('enough'));
            self::fail('the load went on');
        } catch (\DomainException $exception) {
            self::assertSame('enough', $exception->getMessage());
        }
        unset($exception);
        self::assertSame($before, Mullama::liveObjects());
    }

    public function testAChatIsPhpArrays(): void
    {
        $messages = [['role' => 'user', 'content' => 'Hi 🦙']];
        $written = $this->model->applyChatTemplate($messages);
        self::assertStringContainsString('Hi 🦙', $written['prompt']);
        self::assertSame(
            $this->context->generate(messages: $messages, maxTokens: 4, temperature: 0.0),
            $this->context->generate(messages: \json_encode($messages), maxTokens: 4, temperature: 0.0),
        );
    }

    public function testAStateGoesThroughAString(): void
    {
        $this->context->decode([1, 2, 3]);
        $logits = $this->context->logits();
        $state = $this->context->saveState();
        $other = $this->model->createContext(nCtx: 128, nThreads: 1);
        $other->loadState($state);
        self::assertSame(2, $other->memoryMax());
        $this->context->close();
        self::assertCount($this->model->nVocab(), $logits, 'a copy of its own');
    }

    public function testWaitingForALogHasALimit(): void
    {
        $log = Mullama::openLog();
        try {
            $log->next(timeout: 0.02);
            self::fail('somebody wrote into the log');
        } catch (TimeoutException) {
        }
        Mullama::logMessage(LogLevel::Warning, "naïve 🦙");
        $entry = $log->next(timeout: 1);
        self::assertSame([LogLevel::Warning, 'naïve 🦙'], [$entry->level, $entry->text]);
        self::assertIsInt($entry->sequence);
        $log->cancel();
        self::assertNull($log->next());
    }

    public function testObjectsMayEndInAnyOrder(): void
    {
        $generation = $this->context->startGeneration('the', maxTokens: 8);
        self::assertInstanceOf(Generation::class, $generation);
        $this->model->close();
        $this->model = $this->context = null;
        self::assertNotNull($generation->next());
        $generation->context()->close();
        try {
            $generation->next();
            self::fail('the context is closed');
        } catch (ArgumentException $exception) {
            self::assertSame(Code::Closed, $exception->errorCode);
        }
        unset($exception);
    }

    private function path(): string
    {
        return \getenv('MULLAMA_TEST_CASES') . '/tiny/llama.gguf';
    }
}
