<?php

// Classes of the binding as Composer would load them, and those of the fixture API. The sessions say where libraries lie.

declare(strict_types=1);

\spl_autoload_register(static function (string $class): void {
    $source = \dirname(__DIR__) . '/src';
    $folders = ['Mullama\\' => [$source, "$source/generated"], 'Fixture\\' => [__DIR__ . '/generated', __DIR__]];
    foreach ($folders as $prefix => $places) {
        if (!\str_starts_with($class, $prefix)) {
            continue;
        }
        foreach ($places as $place) {
            $file = $place . '/' . \strtr(\substr($class, \strlen($prefix)), '\\', '/') . '.php';
            if (\is_file($file)) {
                require $file;

                return;
            }
        }
    }
});

foreach (['MULLAMA_LIBRARY' => ['MULLAMA_TEST_PREFIX', 'lib/libmullama'], 'FIXTURE_LIBRARY' => ['MULLAMA_TEST_FIXTURE', 'libfixture']] as $variable => [$place, $file]) {
    if (\getenv($variable) === false && \getenv($place) !== false) {
        $suffix = \PHP_OS_FAMILY === 'Darwin' ? 'dylib' : 'so';
        \putenv("$variable=" . \getenv($place) . "/$file.$suffix");
    }
}
