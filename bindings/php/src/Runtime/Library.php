<?php

declare(strict_types=1);

namespace Mullama\Runtime;

use Mullama\LibraryException;

/**
 * Finds and opens the shared library, and makes sure that it is the right one before anything else is called.
 *
 * @internal
 */
final class Library
{
    private const RTLD_LAZY = 1;

    /**
     * @param array{int, int} $required The oldest ABI that has everything.
     * @return array{\FFI, array{int, int}} The library and the version of its ABI.
     */
    public static function open(string $name, string $prefix, string $declarations, array $required): array
    {
        $failures = [];
        foreach (self::places($name) as $path) {
            $version = self::version($path, $prefix, $failures);
            if ($version === null) {
                continue;
            }
            if ($version[0] !== $required[0] || $version < $required) {
                throw new LibraryException(\sprintf(
                    'this binding needs ABI %d.%d of lib%s, but the library at %s has ABI %d.%d',
                    ...[...$required, $name, $path, ...$version],
                ));
            }
            self::pin($path);

            return [\FFI::cdef($declarations, $path), $version];
        }
        throw new LibraryException(\sprintf(
            'lib%s was not found: set %s to the path of the shared library, or put it into %s (%s)',
            $name,
            self::variable($name),
            self::folder(),
            \implode('; ', $failures),
        ));
    }

    /** @return list<string> Where the library may lie; the first that opens is taken. */
    private static function places(string $name): array
    {
        $given = $_SERVER[self::variable($name)] ?? \getenv(self::variable($name));
        if (\is_string($given) && $given !== '') {
            return [$given];
        }
        $file = match (\PHP_OS_FAMILY) {
            'Windows' => "$name.dll",
            'Darwin' => "lib$name.dylib",
            default => "lib$name.so",
        };
        // A name without a folder is looked for where the system looks.
        $places = [self::folder() . "/$file", $file, "/usr/local/lib/$file"];

        return \array_values(\array_filter($places, fn (string $path): bool => $path === $file || \is_file($path)));
    }

    /**
     * @param list<string> $failures
     * @return ?array{int, int}
     */
    private static function version(string $path, string $prefix, array &$failures): ?array
    {
        if (!\extension_loaded('ffi')) {
            throw new LibraryException('PHP\'s extension ffi is needed: enable it with extension=ffi in php.ini');
        }
        if (\PHP_INT_SIZE !== 8) {
            throw new LibraryException('a 64-bit PHP is needed');
        }
        try {
            // Alone, so that a library of another version is refused by its version and not by a missing symbol.
            $packed = \FFI::cdef("uint32_t {$prefix}_abi_version(void);", $path)->{"{$prefix}_abi_version"}();
        } catch (\FFI\Exception $exception) {
            if (\str_contains($exception->getMessage(), 'ffi.enable')) {
                throw self::restricted($exception);
            }
            $failures[] = $exception->getMessage();

            return null;
        }

        return [$packed >> 16, $packed & 0xffff];
    }

    private static function restricted(\Throwable $cause): LibraryException
    {
        $preload = \dirname(__DIR__, 2) . '/preload.php';
        $sentence = "PHP allows FFI on a web server only in preloaded files: set opcache.preload=$preload in php.ini "
            . '(and opcache.preload_user where the server starts as root), or ffi.enable=true';

        return new LibraryException($sentence, 0, $cause);
    }

    /** Opens the library once more, for good: FFI closes it when a request ends, where its threads may still live. */
    private static function pin(string $path): void
    {
        if (\PHP_OS_FAMILY !== 'Windows') {
            \FFI::cdef('void *dlopen(const char *path, int flags);')->dlopen($path, self::RTLD_LAZY);
        }
    }

    private static function variable(string $name): string
    {
        return \strtoupper($name) . '_LIBRARY';
    }

    private static function folder(): string
    {
        return \dirname(__DIR__, 2) . '/lib';
    }
}
