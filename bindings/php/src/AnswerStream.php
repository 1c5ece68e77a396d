<?php

declare(strict_types=1);

namespace Mullama;

use Mullama\Runtime\JsonObject;

/**
 * An answer while it is made: a loop gives its pieces as they come, `answer()` the whole of it. Both may be mixed: what
 * the loop has not taken is read by `answer()`. Leaving the loop early cancels the request, as forgetting it does.
 *
 * @template TPiece of JsonObject
 * @template TAnswer of JsonObject
 * @implements \IteratorAggregate<int, TPiece>
 */
class AnswerStream implements \IteratorAggregate
{
    /** @var ?TAnswer */
    private ?JsonObject $answer = null;

    /**
     * @internal
     * @param class-string<TPiece> $piece
     * @param class-string<TAnswer> $whole
     */
    public function __construct(
        protected Stream $stream,
        private readonly string $piece,
        private readonly string $whole,
    ) {
    }

    /**
     * The next piece of the answer.
     *
     * @param ?float $timeout Seconds to wait at most; null: no limit.
     * @return ?TPiece The next one; null at the end, or when the request was cancelled.
     * @throws MullamaException What {@see Stream::next()} throws.
     * @throws TimeoutException The time is over.
     */
    final public function next(?float $timeout = null): ?JsonObject
    {
        while ($this->answer === null && ($event = $this->stream->next($timeout)) !== null) {
            if (!$event->whole) {
                return $this->piece::read($event->data);
            }
            $this->answer = $this->take($event->data);
        }

        return null;
    }

    /**
     * The whole answer; waits for it.
     *
     * @return TAnswer
     * @throws MullamaException What {@see Stream::next()} throws.
     * @throws CancelledException The request was cancelled before its answer was complete.
     */
    final public function answer(): JsonObject
    {
        while ($this->answer === null && $this->next() !== null) {
        }

        return $this->answer ?? throw Native::exception(
            'the request was cancelled before its answer was complete; leaving a loop over its pieces cancels it, too',
            ErrorCode::Cancelled->value,
        );
    }

    /** Ends the request, wherever it is, and frees its slot within one step; a loop over the pieces ends as usual. */
    public function cancel(): void
    {
        $this->stream->cancel();
    }

    /**
     * The pieces that are still to come.
     *
     * @return \Generator<int, TPiece>
     */
    final public function getIterator(): \Generator
    {
        try {
            while (($piece = $this->next()) !== null) {
                yield $piece;
            }
        } finally {
            if ($this->answer === null) {
                $this->cancel();
            }
        }
    }

    /**
     * The answer that the last event of a request is; null where another request follows.
     *
     * @param array<string, mixed> $json
     * @return ?TAnswer
     */
    protected function take(array $json): ?JsonObject
    {
        return $this->whole::read($json);
    }
}
