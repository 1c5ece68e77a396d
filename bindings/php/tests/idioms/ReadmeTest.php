<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\TestCase;

/** The PHP of README.md, run from top to bottom as one program. */
final class ReadmeTest extends TestCase
{
    use Programs;

    public function testEveryExampleRuns(): void
    {
        $blocks = self::examples(\implode("\n## ", \array_diff(self::sections(), [self::engine()])));
        self::assertGreaterThanOrEqual(8, \count($blocks));
        $output = self::runWith(self::tiny(), $blocks);
        foreach (['16 tokens, ended by Length', "\nCancelled\n", 'stopped half-way', 'missing.gguf'] as $part) {
            self::assertStringContainsString($part, $output);
        }
    }

    public function testTheExamplesOfTheEngineRunOnARealModel(): void
    {
        $blocks = self::examples(self::engine());
        self::assertCount(2, $blocks);
        $output = self::runWith(\getenv('MULLAMA_TEST_MODEL'), ["<?php\nrequire 'vendor/autoload.php';", ...$blocks]);
        // Whether it then answers or calls again is the model's choice.
        self::assertMatchesRegularExpression('/^temperature\{"city":"(Oslo|Rome)"\} = (4|19)$/m', $output);
        self::assertMatchesRegularExpression('/^\d+ tokens, ended by |^the model still calls temperature /m', $output);
        self::assertMatchesRegularExpression('/^\d+: "/m', $output);
    }

    /** @return list<string> */
    private static function sections(): array
    {
        return \explode("\n## ", \file_get_contents(__DIR__ . '/../../README.md'));
    }

    private static function engine(): string
    {
        [$section] = \array_values(\preg_grep('/^Engine\n/', self::sections()));

        return $section;
    }

    /** @return list<string> */
    private static function examples(string $text): array
    {
        \preg_match_all('/^```php\n(.*?)^```$/ms', $text, $blocks);

        return $blocks[1];
    }

    /** @param list<string> $blocks */
    private static function runWith(string $model, array $blocks): string
    {
        $vendor = self::$folder . '/vendor';
        \mkdir($vendor);
        \symlink($model, self::$folder . '/model.gguf');
        $bootstrap = \var_export(__DIR__ . '/../bootstrap.php', true);
        \file_put_contents("$vendor/autoload.php", "<?php require $bootstrap;");
        \file_put_contents(self::$folder . '/readme.php', \implode("\n", $blocks));
        $command = [\PHP_BINARY, '-d', 'zend.assertions=1', '-d', 'display_errors=stderr', 'readme.php'];
        [$code, $output, $errors] = self::execute($command);
        \unlink("$vendor/autoload.php");
        \rmdir($vendor);
        \unlink(self::$folder . '/model.gguf');
        self::assertSame([0, ''], [$code, $errors]);

        return $output;
    }
}
