<?php

declare(strict_types=1);

namespace Mullama;

use Mullama\Tools\Toolbox;

/**
 * The answer to a chat while it is made. Where functions stand among its tools, the model's calls of them are made
 * between two pieces, and what follows are the pieces of the next answer.
 *
 * @extends AnswerStream<ChatPiece, ChatAnswer>
 */
final class ChatStream extends AnswerStream
{
    private readonly ?Toolbox $tools;

    /** @var list<ToolRun> */
    private array $toolRuns = [];

    private bool $isCancelled = false;

    /**
     * @internal
     * @param array<string, mixed> $body
     */
    public function __construct(
        private readonly Engine $engine,
        private readonly string $route,
        private array $body,
        int $maxRounds,
        ToolErrors $toolErrors,
    ) {
        $this->tools = Toolbox::among($this->body, $maxRounds, $toolErrors);
        parent::__construct($engine->request($route, $this->body), ChatPiece::class, ChatAnswer::class);
    }

    /** @return list<ToolRun> The functions that were called so far, in order. */
    public function toolRuns(): array
    {
        return $this->toolRuns;
    }

    /** Whether the last round that maxRounds allows has begun: the model cannot call any more, and has to answer. */
    public function reachedMaxRounds(): bool
    {
        return $this->tools?->reachedMaxRounds() ?? false;
    }

    /** Ends the request, wherever it is, and frees its slot within one step; no further function is called. */
    public function cancel(): void
    {
        $this->isCancelled = true;
        parent::cancel();
    }

    protected function take(array $json): ?ChatAnswer
    {
        $answer = ChatAnswer::read($json, $this->toolRuns, $this->reachedMaxRounds());
        $isCutOff = $answer->finishReason === 'length'; // in the midst of a call
        if ($isCutOff || $this->tools === null || !$this->tools->answers($answer->toolCalls)) {
            return $answer;
        }
        $this->body['messages'][] = Toolbox::readable($answer->choices[0]->message->raw);
        foreach ($answer->toolCalls as $call) {
            if ($this->isCancelled) {
                return null;
            }
            [$this->toolRuns[], $content] = $this->tools->run($call);
            $this->body['messages'][] = ['role' => 'tool', 'tool_call_id' => $call->id ?? '', 'content' => $content];
        }
        if (!$this->isCancelled) {
            $this->tools->beginRound($this->body);
            $this->stream = $this->engine->request($this->route, $this->body);
        }

        return null;
    }
}
