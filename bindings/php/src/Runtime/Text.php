<?php

declare(strict_types=1);

namespace Mullama\Runtime;

/**
 * From a started generation its whole text, or the pieces as they become certain.
 *
 * @internal
 */
final class Text
{
    public static function whole(TextGeneration $generation): string
    {
        try {
            $generation->run();

            return $generation->text();
        } finally {
            $generation->close();
        }
    }

    /** @return \Generator<int, string, void, object> */
    public static function pieces(TextGeneration $generation): \Generator
    {
        try {
            while (($event = $generation->next()) !== null) {
                if ($event->text !== '') {
                    yield $event->text;
                }
            }

            return $generation->result();
        } finally {
            $generation->close();
        }
    }
}
