<?php

declare(strict_types=1);

namespace Mullama;

/** The time given to a call is over; nothing is lost, call again. */
final class TimeoutException extends \RuntimeException
{
}
