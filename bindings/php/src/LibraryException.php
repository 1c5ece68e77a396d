<?php

declare(strict_types=1);

namespace Mullama;

/** The shared library cannot be used: not found, of another version, or FFI is not allowed. */
final class LibraryException extends \RuntimeException
{
}
