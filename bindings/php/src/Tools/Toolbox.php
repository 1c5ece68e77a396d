<?php

declare(strict_types=1);

namespace Mullama\Tools;

use Mullama\ErrorCode;
use Mullama\Native;
use Mullama\ToolCall;
use Mullama\ToolErrors;
use Mullama\ToolRun;

/**
 * The functions among the tools of a chat, which are called here, beside definitions that only the model sees.
 *
 * @internal
 */
final class Toolbox
{
    private int $round = 1;
    private bool $reachedMaxRounds = false;

    /**
     * @param array<string, ToolFunction> $functions By name.
     * @param list<mixed> $others Names of the definitions without a function.
     */
    private function __construct(
        private readonly array $functions,
        private readonly array $others,
        private readonly int $maxRounds,
        private readonly ToolErrors $errors,
    ) {
    }

    /**
     * Takes the functions out of a request, which keeps their definitions. Null: there are none.
     *
     * @param array<string, mixed> $body
     */
    public static function among(array &$body, int $maxRounds, ToolErrors $errors): ?self
    {
        [$functions, $others] = [[], []];
        foreach ($body['tools'] ?? [] as $i => $tool) {
            $function = ToolFunction::of($tool, "tools[$i]");
            if ($function === null) {
                $others[] = $tool['function']['name'] ?? null;
                continue;
            }
            if (isset($functions[$function->name])) {
                throw new \ValueError("tools[$i] is a second function with the name $function->name; rename one");
            }
            $functions[$function->name] = $function;
            $body['tools'][$i] = $function->definition;
        }
        if ($functions === []) {
            return null;
        }
        $choice = $body['tool_choice'] ?? 'auto';
        $mustCall = $choice === 'required' || !\is_string($choice);
        $problem = match (true) {
            $maxRounds < 1 => "maxRounds is $maxRounds; it must be at least 1",
            $maxRounds === 1 && $mustCall => 'maxRounds is 1, but toolChoice requires a call; it must be at least 2: one to'
                . ' call, one to answer',
            ($body['n'] ?? 1) !== 1 => "n is {$body['n']}; where tools are functions it must be 1",
            default => null,
        };
        if ($problem !== null) {
            throw Native::exception($problem, ErrorCode::InvalidArgument->value);
        }

        $toolbox = new self($functions, $others, $maxRounds, $errors);
        $toolbox->endCalls($body);

        return $toolbox;
    }

    /** Whether this round is the last one that maxRounds allows, so that the model cannot call. */
    public function reachedMaxRounds(): bool
    {
        return $this->reachedMaxRounds;
    }

    /**
     * Makes a request the next one, to whose messages calls and their results were added.
     *
     * @param array<string, mixed> $body
     */
    public function beginRound(array &$body): void
    {
        ++$this->round;
        if (!\in_array($body['tool_choice'] ?? 'none', ['auto', 'none'], true)) {
            $body['tool_choice'] = 'auto'; // a call that is required each time would never end
        }
        $this->endCalls($body);
    }

    /**
     * Whether a model's calls are made here: not where one is of a definition alone, which the caller answers, and not in
     * the last round.
     *
     * @param list<ToolCall> $calls
     */
    public function answers(array $calls): bool
    {
        $names = \array_map(static fn (ToolCall $call): string => $call->function->name, $calls);

        $ofOthers = \array_diff(\array_intersect($names, $this->others), \array_keys($this->functions));

        return $calls !== [] && $ofOthers === [] && $this->round < $this->maxRounds;
    }

    /**
     * A message as it may be sent back: templates read the arguments of its calls, so what is no JSON is left out.
     *
     * @param array<string, mixed> $message
     * @return array<string, mixed>
     */
    public static function readable(array $message): array
    {
        foreach ($message['tool_calls'] as $i => $call) {
            if (!\json_decode($call['function']['arguments']) instanceof \stdClass) {
                $message['tool_calls'][$i]['function']['arguments'] = '{}';
            }
        }

        return $message;
    }

    /** @return array{ToolRun, string} What came of a call, and what the model is told. */
    public function run(ToolCall $call): array
    {
        $name = $call->function->name;
        $arguments = \json_decode($call->function->arguments, true);
        $arguments = \is_array($arguments) ? $arguments : $call->function->arguments;
        try {
            $function = $this->functions[$name] ?? null;
            $problem = $function === null
                ? "there is no function $name; there is " . \implode(', ', \array_keys($this->functions))
                : $function->mismatch($call->function->arguments);
            if ($problem !== null) {
                throw new \UnexpectedValueException($problem);
            }
            $result = $function->call($arguments);
            $json = Native::asJson($result, "the result of $name");

            return [new ToolRun($call->id ?? '', $name, $arguments, $result), \is_string($result) ? $result : $json];
        } catch (\Throwable $error) {
            if ($this->errors === ToolErrors::Throw) {
                throw $error;
            }
            // Its message may hold any bytes, a request may not.
            $message = \json_decode(\json_encode("error: {$error->getMessage()}", \JSON_INVALID_UTF8_SUBSTITUTE));

            return [new ToolRun($call->id ?? '', $name, $arguments, null, $error), $message];
        }
    }

    /**
     * In the last round the model has to answer.
     *
     * @param array<string, mixed> $body
     */
    private function endCalls(array &$body): void
    {
        if ($this->round === $this->maxRounds && ($body['tool_choice'] ?? 'auto') === 'auto') {
            $body['tool_choice'] = 'none';
            $this->reachedMaxRounds = true;
        }
    }
}
