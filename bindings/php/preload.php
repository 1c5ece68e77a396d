<?php

// For opcache.preload: PHP allows FFI on a web server only in preloaded code (ffi.enable=preload, the default).

declare(strict_types=1);

(static function (): void {
    $folders = [__DIR__ . '/src/Runtime', __DIR__ . '/src/Tools', __DIR__ . '/src', __DIR__ . '/src/generated'];
    \spl_autoload_register(static function (string $class) use ($folders): void {
        $name = \strrchr("\\$class", '\\');
        foreach (\str_starts_with($class, 'Mullama\\') ? $folders : [] as $folder) {
            $file = $folder . \strtr($name, '\\', '/') . '.php';
            if (\is_file($file)) {
                require_once $file;
            }
        }
    });
    foreach ($folders as $folder) {
        foreach (\glob("$folder/*.php") as $file) {
            require_once $file;
        }
    }
})();
