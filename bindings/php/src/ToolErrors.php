<?php

declare(strict_types=1);

namespace Mullama;

/** What happens when a function throws, or when a model calls none that exists or with arguments that do not fit. */
enum ToolErrors
{
    /** The model is told, and it stands in {@see ToolRun::$error}. */
    case Tell;

    /** It is thrown, which ends the chat: what the function threw, else an `UnexpectedValueException`. */
    case Throw;
}
