<?php

declare(strict_types=1);

namespace Fixture;

use PHPUnit\Framework\Assert;

/** Runs PHP programs of their own: what ends a process, and what serves the web, cannot be tried inside PHPUnit. */
trait Programs
{
    private static string $folder = '';

    /** @beforeClass */
    public static function makeFolder(): void
    {
        self::$folder = \sys_get_temp_dir() . '/mullama-php-' . \bin2hex(\random_bytes(6));
        \mkdir(self::$folder);
    }

    /** @afterClass */
    public static function removeFolder(): void
    {
        \array_map('unlink', \glob(self::$folder . '/*'));
        \rmdir(self::$folder);
    }

    private static function tiny(): string
    {
        return \getenv('MULLAMA_TEST_CASES') . '/tiny/llama.gguf';
    }

    /** A file with a program that knows the binding and `$path`, the tiny model. */
    private static function program(string $code): string
    {
        $file = self::$folder . '/' . \md5($code) . '.php';
        [$bootstrap, $model] = [\var_export(__DIR__ . '/bootstrap.php', true), \var_export(self::tiny(), true)];
        \file_put_contents($file, "<?php\ndeclare(strict_types=1);\nrequire $bootstrap;\n\$path = $model;\n$code");

        return $file;
    }

    /**
     * @param list<string> $command
     * @param array<string, string> $environment
     * @return array{int, string, string} Exit code (or minus the signal), standard output and errors.
     */
    private static function execute(array $command, array $environment = [], ?\Closure $meanwhile = null): array
    {
        $errors = \tempnam(self::$folder, 'errors');
        $pipes = [1 => ['pipe', 'w'], 2 => ['file', $errors, 'w']];
        $process = \proc_open($command, $pipes, $pipes, self::$folder, $environment + \getenv());
        Assert::assertIsResource($process);
        $meanwhile && $meanwhile(\proc_get_status($process)['pid'], $pipes[1]);
        $output = \stream_get_contents($pipes[1]);
        do {
            $status = \proc_get_status($process);
            $status['running'] && \usleep(500);
        } while ($status['running']);
        \proc_close($process);

        return [$status['signaled'] ? -$status['termsig'] : $status['exitcode'], $output, \file_get_contents($errors)];
    }
}
