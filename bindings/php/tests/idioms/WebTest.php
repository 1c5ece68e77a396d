<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\TestCase;

/** Under a web server, with PHP's default ffi.enable=preload. */
final class WebTest extends TestCase
{
    use Programs;

    private const PRELOAD = __DIR__ . '/../../preload.php';
    private const PAGE = <<<'PHP'
        $seen = 0;
        $model = new Mullama\Model($path, progress: function (float $fraction) use (&$seen): void { ++$seen; });
        $context = $model->createContext(nCtx: 64, nThreads: 1);
        $pieces = $context->stream('the of', maxTokens: 8, temperature: 0.0);
        [$loaded, $seen] = [$seen > 0, 0];
        $progress = function () use (&$seen): void { ++$seen; };
        $engine = new Mullama\Engine($path, nCtx: 64, nThreads: 1, progress: $progress);
        $texts = [];
        foreach ($engine->streamComplete('the of', maxTokens: 8, temperature: 0.0) as $piece) {
            $texts[] = $piece->text;
        }
        $chosen = $engine->complete('the', responseFormat: ['type' => 'choice', 'choices' => ['it works']])->text;
        $unread = $engine->request('completions', ['prompt' => 'the', 'stream' => true]);
        echo \json_encode([
            $loaded && $seen > 0,
            $texts,
            $chosen,
            \implode('', \iterator_to_array($pieces, false)),
            $model->tokenize('the of'),
            $context->logits()->argmax() >= 0,
            \count($context->logits()),
            $model->chatTemplate() !== null,
        ], \JSON_THROW_ON_ERROR);
        PHP;

    /** @return list<string> */
    private static function preloading(): array
    {
        $settings = ['ffi.enable=preload', 'opcache.enable=1', 'opcache.preload=' . self::PRELOAD];
        if (\function_exists('posix_geteuid') && \posix_geteuid() === 0) {
            $settings[] = 'opcache.preload_user=nobody';
        }

        return \array_merge(...\array_map(fn (string $setting): array => ['-d', $setting], $settings));
    }

    /** @return array{int, string} Exit code, and the body. */
    private static function page(string ...$options): array
    {
        $page = self::program(self::PAGE);
        $environment = ['REDIRECT_STATUS' => '1', 'REQUEST_METHOD' => 'GET', 'SCRIPT_FILENAME' => $page];

        $command = ['php-cgi', '-d', 'html_errors=0', '-d', 'display_errors=1', ...$options];
        [$code, $output] = self::execute($command, $environment);

        return [$code, \explode("\r\n\r\n", $output, 2)[1]];
    }

    private static function expected(): string
    {
        return self::execute([\PHP_BINARY, self::program(self::PAGE)])[1];
    }

    public function testAPageGeneratesWithThePreloadFile(): void
    {
        $expected = self::expected();
        self::assertMatchesRegularExpression('/^\[true,\[".*"\],"it works",/', $expected);
        self::assertSame([0, $expected], self::page(...self::preloading()));
    }

    public function testWithoutPreloadingTheErrorSaysWhatToSet(): void
    {
        [$code, $output] = self::page('-d', 'ffi.enable=preload');
        self::assertSame(255, $code);
        $sentence = '~LibraryException: PHP allows FFI .* set opcache.preload=/.*/preload.php in php.ini~';
        self::assertMatchesRegularExpression($sentence, $output);
    }

    public function testFfiEnableTrueNeedsNoPreloading(): void
    {
        self::assertSame([0, self::expected()], self::page('-d', 'ffi.enable=true'));
    }

    public function testOneProcessServesManyPages(): void
    {
        $expected = self::expected();
        $socket = \stream_socket_server('tcp://127.0.0.1:0');
        $address = \stream_socket_get_name($socket, false);
        \fclose($socket);
        $server = [\PHP_BINARY, ...self::preloading(), '-S', $address, self::program(self::PAGE)];
        $pages = [];
        self::execute($server, [], function (int $pid) use ($address, &$pages): void {
            for ($try = 0; $try < 1500 && @\stream_socket_client("tcp://$address") === false; ++$try) {
                \usleep(20_000);
            }
            for ($i = 0; $i < 10; ++$i) {
                $pages[] = @\file_get_contents("http://$address/");
            }
            \posix_kill($pid, \SIGTERM);
        });
        self::assertSame(\array_fill(0, 10, $expected), $pages);
    }
}
