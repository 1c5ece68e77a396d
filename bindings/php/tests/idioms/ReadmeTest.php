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
        \preg_match_all('/^```php\n(.*?)^```$/ms', \file_get_contents(__DIR__ . '/../../README.md'), $blocks);
        self::assertGreaterThanOrEqual(8, \count($blocks[1]));
        \mkdir(self::$folder . '/vendor');
        \copy(self::tiny(), self::$folder . '/model.gguf');
        $bootstrap = \var_export(__DIR__ . '/../bootstrap.php', true);
        \file_put_contents(self::$folder . '/vendor/autoload.php', "<?php require $bootstrap;");
        \file_put_contents(self::$folder . '/readme.php', \implode("\n", $blocks[1]));
        $command = [\PHP_BINARY, '-d', 'zend.assertions=1', '-d', 'display_errors=stderr', 'readme.php'];
        [$code, $output, $errors] = self::execute($command);
        \unlink(self::$folder . '/vendor/autoload.php');
        \rmdir(self::$folder . '/vendor');
        self::assertSame([0, ''], [$code, $errors]);
        foreach (['16 tokens, ended by Length', "\nCancelled\n", 'stopped half-way', 'missing.gguf'] as $part) {
            self::assertStringContainsString($part, $output);
        }
    }
}
