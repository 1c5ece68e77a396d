<?php

declare(strict_types=1);

namespace Fixture;

use Mullama\ArgumentException;
use Mullama\CalledFunction;
use Mullama\Engine;
use Mullama\ErrorCode as Code;
use Mullama\Mullama;
use Mullama\MullamaException;
use Mullama\Param;
use Mullama\Tool;
use Mullama\ToolCall;
use Mullama\ToolErrors;
use Mullama\Tools\Schema;
use Mullama\Tools\Toolbox;
use Mullama\Tools\ToolFunction;
use PHPUnit\Framework\TestCase;

enum Unit: string
{
    case Celsius = 'celsius';
    case Kelvin = 'kelvin';
}

/** Functions as tools: what a model is told of them, the calls, the rounds and their bound. */
final class ToolsTest extends TestCase
{
    private const LIMITS = [
        'maxTokens' => 120,
        'temperature' => 0.0,
        'toolChoice' => 'required',
        'parallelToolCalls' => false,
    ];
    private const MESSAGES = [['role' => 'user', 'content' => 'the of']];

    private ?Engine $engine = null;

    protected function tearDown(): void
    {
        $this->engine = null;
        \gc_collect_cycles();
        self::assertSame(0, Mullama::liveObjects(), 'objects are left over');
    }

    /** Definitions of tools take room. */
    private function engine(): Engine
    {
        $path = \getenv('MULLAMA_TEST_CASES') . '/tiny/llama.gguf';

        $longer = ['llama.context_length=int:4096'];

        return $this->engine ??= new Engine($path, nCtx: 4096, nSlots: 1, nThreads: 1, kvOverrides: $longer);
    }

    #[Tool(description: 'The weather, as far as it is known.')]
    public static function weather(
        #[Param('Where.', ['minLength' => 2])] string $town,
        #[Param(schema: ['minimum' => 1])] int $days,
        Unit $unit = Unit::Kelvin,
        ?float $height = null,
        int|string|null $place = 5,
        #[Param(schema: ['items' => ['type' => 'string']])] array $names = [],
        bool $exact = false,
        mixed $more = null,
    ): array {
        return [$town, $days, $unit->value, $height, $place, $names, $exact, $more];
    }

    /** @param array<string, mixed> $arguments */
    private static function call(string $name, array|string $arguments, string $id = 'a'): ToolCall
    {
        $text = \is_string($arguments) ? $arguments : \json_encode((object) $arguments);

        return ToolCall::read(['id' => $id, 'function' => ['name' => $name, 'arguments' => $text]]);
    }

    private static function failure(\Closure $call): \Throwable
    {
        try {
            $call();
        } catch (\Throwable $thrown) {
            return $thrown;
        }
        self::fail('the call succeeded');
    }

    // Definitions

    public function testAFunctionIsDescribedByItsTypesAndAttributes(): void
    {
        $definition = ToolFunction::of(self::weather(...), 'tools[0]')->definition;
        self::assertSame([
            'type' => 'function',
            'function' => [
                'name' => 'weather',
                'description' => 'The weather, as far as it is known.',
                'parameters' => [
                    'type' => 'object',
                    'properties' => [
                        'town' => ['minLength' => 2, 'type' => 'string', 'description' => 'Where.'],
                        'days' => ['minimum' => 1, 'type' => 'integer'],
                        'unit' => ['enum' => ['celsius', 'kelvin'], 'default' => 'kelvin'],
                        'height' => ['type' => ['number', 'null']],
                        'place' => ['type' => ['string', 'integer', 'null'], 'default' => 5],
                        'names' => ['items' => ['type' => 'string'], 'type' => 'array', 'default' => []],
                        'exact' => ['type' => 'boolean', 'default' => false],
                        'more' => [],
                    ],
                    'required' => ['town', 'days'],
                    'additionalProperties' => false,
                ],
            ],
        ], \json_decode(\json_encode($definition), true));
    }

    public function testNamesComeFromTheAttributeOrTheFunction(): void
    {
        $named = #[Tool('named', 'Says so.')] fn (): int => 1;
        $run = ['name' => 'listed', 'run' => fn (array $arguments): int => 1];
        $names = ['strlen' => \strlen(...), 'named' => $named, 'listed' => $run];
        foreach ($names as $name => $tool) {
            $definition = ToolFunction::of($tool, 'tools[0]')->definition;
            self::assertSame($name, $definition['function']['name']);
            $properties = $definition['function']['parameters']->properties ?? null;
            self::assertNotSame('[]', \json_encode($properties), 'JSON has an object there');
        }
        self::assertNull(ToolFunction::of(['type' => 'function', 'function' => ['name' => 'plain']], 'tools[0]'));
    }

    /** @dataProvider unsuitable */
    public function testWhatCannotBeATool(mixed $tool, string $message): void
    {
        $failure = self::failure(fn () => ToolFunction::of($tool, 'tools[3]'));
        self::assertStringStartsWith('tools[3]', $failure->getMessage());
        self::assertStringContainsString($message, $failure->getMessage());
    }

    public function unsuitable(): array
    {
        $run = fn (): int => 1;
        $of = fn (mixed ...$parts): array => $parts + ['name' => 'x', 'run' => $run];

        return [
            'a closure without a name' => [$run, 'is a closure without a name'],
            'an object' => [#[Tool('x')] fn (\DateTime $when) => 1, '$when of x has the type DateTime'],
            'an intersection' => [#[Tool('x')] fn (\Countable&\Iterator $when) => 1, 'has the type Countable&Iterator'],
            'a variadic' => [#[Tool('x')] fn (int ...$many) => 1, '$many of x is variadic'],
            'a reference' => [#[Tool('x')] fn (int &$changed) => 1, '$changed of x is passed by reference'],
            'a name of a function' => ['strlen', 'must be a closure or an array, string given'],
            'an unknown key' => [$of(params: []), 'has a key params'],
            'no name' => [['run' => $run], "['name'] must be a string, null given"],
            'no function' => [['name' => 'x', 'run' => 'nonsense'], "['run'] must be a function, string given"],
            'a schema as text' => [$of(parameters: '{}'), "['parameters'] must be an array"],
            'a schema of something else' => [$of(parameters: ['type' => 'string']), 'must be that of an object'],
            'a schema that is no JSON' => [
                $of(parameters: ['type' => 'object', 'x' => \NAN]),
                'cannot be written as JSON',
            ],
        ];
    }

    // Arguments

    public function testArgumentsArriveAsTheTypesSay(): void
    {
        $function = ToolFunction::of(self::weather(...), 'tools[0]');
        $given = ['town' => 'Ulm', 'days' => 2.0, 'unit' => 'celsius', 'height' => 5];
        $given += ['names' => ['a'], 'more' => ['b' => []]];
        self::assertNull($function->mismatch(\json_encode($given, \JSON_PRESERVE_ZERO_FRACTION)));
        self::assertSame(['Ulm', 2, 'celsius', 5.0, 5, ['a'], false, ['b' => []]], $function->call($given));
        $given = ['town' => 'Ulm', 'days' => 1, 'height' => null, 'place' => 'x'];
        self::assertSame(['Ulm', 1, 'kelvin', null, 'x', [], false, null], $function->call($given));
    }

    /** @dataProvider mismatches */
    public function testArgumentsThatDoNotFit(array|string $arguments, string $message): void
    {
        $text = \is_string($arguments) ? $arguments : \json_encode($arguments + ['town' => 'Ulm', 'days' => 2]);
        $problem = ToolFunction::of(self::weather(...), 'tools[0]')->mismatch($text);
        self::assertStringContainsString($message, (string) $problem);
        self::assertStringContainsString('weather', $problem);
    }

    public function mismatches(): array
    {
        return [
            'no JSON' => ['{', 'are not JSON'],
            'no object' => ['[]', 'is [] and must be of type object'],
            'nothing' => ['{}', 'town is missing'],
            'one too many' => [['speed' => 1], 'speed does not exist; there is town, days, unit'],
            'a number for a text' => [['town' => 3], 'town is 3 and must be of type string'],
            'a text for a number' => [['days' => '2'], 'days is "2" and must be of type integer'],
            'a truth for a number' => [['days' => true], 'days is true and must be of type integer'],
            'a part for a whole number' => [['days' => 1.5], 'days is 1.5 and must be of type integer'],
            'null' => [['days' => null], 'days is null and must be of type integer'],
            'no member of the enum' => [['unit' => 'feet'], 'unit is "feet" and must be "celsius" or "kelvin"'],
            'too short' => [['town' => 'ü'], 'town is "ü" and must have 2 or more characters'],
            'too small' => [['days' => 0], 'days is 0 and must be at least 1'],
            'an item' => [['names' => ['a', 1]], 'names[1] is 1 and must be of type string'],
            'an object for a list' => [['names' => ['a' => 1]], 'names is {"a":1} and must be of type array'],
        ];
    }

    /** @dataProvider schemas */
    public function testWordsOfSchemas(string $schema, string $good, string $bad, string $message): void
    {
        $json = '{"type":"object","properties":{"x":' . $schema . '},"$defs":{"n":{"type":"integer"}}}';
        $check = fn (string $x): ?string => (new Schema($json, 'the schema'))->mismatch(\json_decode("{\"x\":$x}"));
        self::assertNull($check($good));
        self::assertSame($message, $check($bad));
    }

    public function schemas(): array
    {
        return [
            'const' => ['{"const":[1]}', '[1]', '[2]', 'x is [2] and must be [1]'],
            'a number of the other kind' => ['{"enum":[1,"2"]}', '1.0', '"1"', 'x is "1" and must be 1 or "2"'],
            '$ref' => ['{"$ref":"#/$defs/n"}', '1', '"a"', 'x is "a" and must be of type integer'],
            'anyOf' => [
                '{"anyOf":[{"type":"null"},{"type":"integer"}]}',
                'null',
                '"a"',
                'x is "a" and must be of type null, or x is "a" and must be of type integer',
            ],
            'allOf' => ['{"allOf":[{"minimum":1},{"maximum":3}]}', '2', '4', 'x is 4 and must be at most 3'],
            'bounds' => [
                '{"exclusiveMinimum":1,"exclusiveMaximum":3}',
                '2',
                '3',
                'x is 3 and must be less than 3',
            ],
            'pattern' => ['{"pattern":"^a/b\\\\/c$"}', '"a/b/c"', '"ab"', 'x is "ab" and must match ^a/b\/c$'],
            'a pattern that PCRE cannot read' => [
                '{"pattern":"[","const":"a"}',
                '"a"',
                '"b"',
                'x is "b" and must be "a"',
            ],
            'items' => [
                '{"maxItems":1,"items":{"type":"boolean"}}',
                '[true]',
                '[true,true]',
                'x is [true,true] and must have 0 to 1 items',
            ],
            'prefixItems' => ['{"prefixItems":[{"const":1}]}', '[1,"a"]', '[2]', 'x[0] is 2 and must be 1'],
            'false' => ['{"properties":{"y":false}}', '{}', '{"y":1}', 'x.y does not exist; there is y'],
            'more properties' => [
                '{"additionalProperties":{"type":"string"}}',
                '{"y":"a"}',
                '{"y":1}',
                'x.y is 1 and must be of type string',
            ],
            'a long value' => [
                '{"type":"integer"}',
                '1',
                '"' . \str_repeat('ü', 99) . '"',
                'x is "' . \str_repeat('ü', 49) . '... and must be of type integer',
            ],
        ];
    }

    // Calls

    private function toolbox(array $tools, ToolErrors $errors = ToolErrors::Tell): Toolbox
    {
        $body = ['tools' => $tools];

        return Toolbox::among($body, 8, $errors);
    }

    public function testWhatTheModelIsTold(): void
    {
        $tools = $this->toolbox([
            #[Tool('turn')] fn (bool $on): string => $on ? 'the lamp is on' : throw new \DomainException("broken \xff"),
            ['name' => 'list', 'run' => fn (array $arguments): array => ['got' => $arguments, 'half' => 0.5]],
            ['name' => 'nan', 'run' => fn (): float => \NAN],
            ['name' => 'nothing', 'run' => function (): void {
            }],
        ]);
        $told = [];
        $calls = [
            ['turn', ['on' => true]],
            ['turn', ['on' => false]],
            ['turn', ['on' => 1]],
            ['turn', '{'],
            ['twist', []],
            ['list', ['a' => 'ü/']],
            ['nothing', []],
            ['nan', []],
        ];
        foreach ($calls as [$name, $arguments]) {
            [$run, $content] = $tools->run(self::call($name, $arguments));
            self::assertSame(['a', $name, $arguments], [$run->id, $run->name, $run->arguments]);
            $told[] = $content;
            $errors[] = $run->error === null ? null : $run->error::class;
            $results[] = $run->result;
        }
        self::assertSame([
            'the lamp is on',
            "error: broken \u{fffd}",
            'error: the arguments of turn do not fit: on is 1 and must be of type boolean',
            'error: the arguments of turn are not JSON: Syntax error',
            'error: there is no function twist; there is turn, list, nan, nothing',
            '{"got":{"a":"ü/"},"half":0.5}',
            'null',
            'error: the result of nan cannot be written as JSON: Inf and NaN cannot be JSON encoded',
        ], $told);
        $wrong = \UnexpectedValueException::class;
        $thrown = [null, \DomainException::class, $wrong, $wrong, $wrong, null, null, \TypeError::class];
        self::assertSame($thrown, $errors);
        self::assertSame(['the lamp is on', null, null, null, null], \array_slice($results, 0, 5));
        self::assertSame(['got' => ['a' => 'ü/'], 'half' => 0.5], $results[5]);
    }

    public function testErrorsCanBeThrown(): void
    {
        $broken = new \DomainException('broken');
        $tools = $this->toolbox([#[Tool('turn')] fn () => throw $broken], ToolErrors::Throw);
        self::assertSame($broken, self::failure(fn () => $tools->run(self::call('turn', []))));
        $unknown = self::failure(fn () => $tools->run(self::call('twist', [])));
        self::assertInstanceOf(\UnexpectedValueException::class, $unknown);
    }

    public function testCallsOfDefinitionsAreTheCallers(): void
    {
        $plain = ['type' => 'function', 'function' => ['name' => 'plain']];
        $tools = $this->toolbox([\strlen(...), $plain]);
        self::assertTrue($tools->answers([self::call('strlen', []), self::call('unknown', [])]));
        self::assertFalse($tools->answers([self::call('strlen', []), self::call('plain', [])]));
        self::assertFalse($tools->answers([]));
        $body = ['tools' => [$plain]];
        self::assertNull(Toolbox::among($body, 0, ToolErrors::Tell));
        self::assertSame([$plain], $body['tools']);
    }

    public function testWrongRequestsWithFunctions(): void
    {
        $ask = fn (mixed ...$more) => fn () => $this->engine()->chat(self::MESSAGES, [\strlen(...)], ...$more);
        $named = ['type' => 'function', 'function' => ['name' => 'strlen']];
        foreach ([
            ['maxRounds is 0', ['maxRounds' => 0]],
            ['n is 2', ['n' => 2]],
            ['maxRounds is 1, but toolChoice requires a call', ['maxRounds' => 1, 'toolChoice' => 'required']],
            ['maxRounds is 1, but toolChoice requires a call', ['maxRounds' => 1, 'toolChoice' => $named]],
        ] as [$message, $more]) {
            $failure = self::failure($ask(...$more));
            self::assertInstanceOf(ArgumentException::class, $failure);
            self::assertStringContainsString($message, $failure->getMessage());
        }
        $twice = self::failure(fn () => $this->engine()->chat(self::MESSAGES, [\strlen(...), \strlen(...)]));
        self::assertStringContainsString('tools[1] is a second function with the name strlen', $twice->getMessage());
    }

    // Rounds

    public function testTheRoundsRunUntilTheModelAnswers(): void
    {
        $states = [];
        $turn = #[Tool('turn', 'Turns the lamp on or off.')] function (bool $on) use (&$states): string {
            $states[] = $on;

            return 'the lamp is ' . ($on ? 'on' : 'off');
        };
        $answer = $this->engine()->chat(self::MESSAGES, [$turn], ...self::LIMITS);
        self::assertNotSame([], $states);
        self::assertSame($states, \array_map(fn ($run) => $run->arguments['on'], $answer->toolRuns));
        [$run] = $answer->toolRuns;
        self::assertSame(['turn', null], [$run->name, $run->error]);
        self::assertSame('the lamp is ' . ($states[0] ? 'on' : 'off'), $run->result);
        self::assertSame([], $answer->toolCalls);

        $count = \count($states);
        $stream = $this->engine()->streamChat(self::MESSAGES, [$turn], ...self::LIMITS);
        $seen = [];
        foreach ($stream as $piece) {
            $seen[] = \count($stream->toolRuns());
        }
        self::assertSame([0, $count], [$seen[0], \end($seen)]);
        self::assertCount(2 * $count, $states);
        self::assertSame($stream->toolRuns(), $stream->answer()->toolRuns);
        self::assertSame($answer->text, $stream->answer()->text);
    }

    public function testAnArrayWithASchemaIsAToolAndItsCallIsBoundToIt(): void
    {
        $given = [];
        $paint = [
            'name' => 'paint',
            'parameters' => [
                'type' => 'object',
                'properties' => ['colour' => ['enum' => ['red', 'blue']]],
                'required' => ['colour'],
                'additionalProperties' => false,
            ],
            'run' => function (array $arguments) use (&$given): array {
                return $given[] = $arguments;
            },
        ];
        $format = ['type' => 'json_schema', 'json_schema' => ['schema' => $paint['parameters']]];
        $answer = $this->engine()->chat(self::MESSAGES, [$paint], ...self::LIMITS, responseFormat: $format);
        self::assertContains($given[0]['colour'] ?? null, ['red', 'blue']);
        self::assertSame($given[0], $answer->toolRuns[0]->result);
        self::assertContains(\json_decode($answer->text, true)['colour'] ?? null, ['red', 'blue']);
    }

    public function testTheAnswerOfTheLastRoundSaysSo(): void
    {
        $called = 0;
        $turn = #[Tool('turn')] function (bool $on) use (&$called): void {
            ++$called;
        };
        $chat = fn (mixed ...$more) => $this->engine()->chat(self::MESSAGES, [$turn], ...$more + self::LIMITS);
        $answer = $chat(maxRounds: 2);
        self::assertTrue($answer->reachedMaxRounds);
        self::assertSame([1, 1, []], [$called, \count($answer->toolRuns), $answer->toolCalls]);
        self::assertNotSame('', $answer->text);

        $limits = ['maxRounds' => 2] + self::LIMITS;
        $stream = $this->engine()->streamChat(self::MESSAGES, [$turn], ...$limits);
        $seen = [];
        foreach ($stream as $piece) {
            $seen[] = $stream->reachedMaxRounds();
        }
        self::assertSame([false, true], [$seen[0], \end($seen)]);
        self::assertTrue($stream->answer()->reachedMaxRounds);
        self::assertSame($answer->text, $stream->answer()->text);

        self::assertFalse($chat()->reachedMaxRounds);
        self::assertFalse($this->engine()->chat(self::MESSAGES, maxTokens: 2)->reachedMaxRounds);
        $called = 0;
        $once = $chat(maxRounds: 1, toolChoice: 'auto');
        self::assertSame([true, 0], [$once->reachedMaxRounds, $called]);
        self::assertFalse($chat(maxRounds: 1, toolChoice: 'none')->reachedMaxRounds); // as the caller wanted it
    }

    public function testAModelThatCallsAsOftenAsItMayHasToAnswerInTheLastRound(): void
    {
        $named = ['type' => 'function', 'function' => ['name' => 'turn']];
        foreach ([
            [3, null, ['auto', 'auto', 'none'], true],
            [3, 'required', ['required', 'auto', 'none'], true],
            [2, $named, [$named, 'none'], true],
            [1, null, ['none'], true],
            [8, 'none', ['none'], false],
            [null, 'required', ['required', ...\array_fill(0, 6, 'auto'), 'none'], true],
        ] as [$maxRounds, $given, $sent, $reached]) {
            $called = 0;
            $turn = #[Tool('turn')] function (bool $on) use (&$called): void {
                ++$called;
            };
            $body = ['messages' => self::MESSAGES, 'tools' => [$turn]] + ($given === null ? [] : ['tool_choice' => $given]);
            $rounds = Toolbox::among($body, $maxRounds ?? 8, ToolErrors::Tell);
            [$choices, $calls] = [[], [self::call('turn', ['on' => true])]];
            while (true) {
                $choices[] = $body['tool_choice'] ?? 'auto';
                $isLast = \end($choices) === 'none';
                self::assertSame($reached && $isLast, $rounds->reachedMaxRounds());
                if ($isLast) {
                    break;
                }
                self::assertTrue($rounds->answers($calls));
                $rounds->run($calls[0]);
                $rounds->beginRound($body);
            }
            self::assertSame($sent, $choices);
            self::assertSame(\count($sent) - 1, $called);
        }
    }

    public function testTheLastRoundKeepsToTheSchemaOfTheAnswer(): void
    {
        $turn = #[Tool('turn')] fn (bool $on) => 'done';
        $schema = ['type' => 'object', 'properties' => ['sure' => ['type' => 'boolean']], 'required' => ['sure']];
        $format = ['type' => 'json_schema', 'json_schema' => ['schema' => $schema + ['additionalProperties' => false]]];
        foreach ([2 => 'required', 1 => 'auto'] as $maxRounds => $choice) {
            $limits = ['maxRounds' => $maxRounds, 'toolChoice' => $choice, 'responseFormat' => $format] + self::LIMITS;
            $answer = $this->engine()->chat(self::MESSAGES, [$turn], ...$limits);
            self::assertSame([true, $maxRounds - 1], [$answer->reachedMaxRounds, \count($answer->toolRuns)]);
            self::assertSame(['sure'], \array_keys(\json_decode($answer->text, true)));
        }
    }

    public function testCallsThatWereCutOffAreNotMade(): void
    {
        $turn = #[Tool('turn')] fn (bool $on) => throw new \LogicException('it was called');
        $answer = $this->engine()->chat(self::MESSAGES, [$turn], ...['maxTokens' => 6] + self::LIMITS);
        self::assertSame(['length', []], [$answer->finishReason, $answer->toolRuns]);
    }

    public function testWhatIsNoJsonIsNotSentBack(): void
    {
        $call = fn (string $text): array => ['id' => 'a', 'function' => ['name' => 'turn', 'arguments' => $text]];
        $message = ['role' => 'assistant', 'tool_calls' => [$call('{"on": true}'), $call('{"on":')]];
        $sent = ['role' => 'assistant', 'tool_calls' => [$call('{"on": true}'), $call('{}')]];
        self::assertSame($sent, Toolbox::readable($message));
    }

    public function testAFunctionMayEndTheChat(): void
    {
        $stop = #[Tool('turn')] fn (bool $on) => throw new \DomainException('enough');
        $chat = fn (ToolErrors $errors) => $this->engine()->chat(self::MESSAGES, [$stop], ...self::LIMITS + [
            'toolErrors' => $errors,
        ]);
        self::assertSame('enough', $chat(ToolErrors::Tell)->toolRuns[0]->error->getMessage());
        self::assertInstanceOf(\DomainException::class, self::failure(fn () => $chat(ToolErrors::Throw)));
        $cancel = #[Tool('turn')] function (bool $on) use (&$stream): void {
            $stream->cancel();
        };
        $stream = $this->engine()->streamChat(self::MESSAGES, [$cancel], ...self::LIMITS);
        self::assertGreaterThan(0, \iterator_count($stream));
        self::assertCount(1, $stream->toolRuns());
        self::assertSame(Code::Cancelled, self::failure(fn () => $stream->answer())->errorCode);
        $stream = null;
    }
}
