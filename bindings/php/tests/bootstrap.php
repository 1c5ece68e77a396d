<?php

// Loads classes of the binding as Composer would, and those of the fixture API. The sessions say where libraries lie.

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

$libraries = ['MULLAMA' => ['PREFIX', 'lib/libmullama'], 'FIXTURE' => ['FIXTURE', 'libfixture']];
foreach ($libraries as $name => [$place, $file]) {
    $folder = \getenv("MULLAMA_TEST_$place");
    if (\getenv("{$name}_LIBRARY") === false && $folder !== false) {
        \putenv("{$name}_LIBRARY=$folder/$file." . (\PHP_OS_FAMILY === 'Darwin' ? 'dylib' : 'so'));
    }
}
