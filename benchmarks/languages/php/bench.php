<?php

// Times the PHP binding for benchmarks/languages.py: `bench.php MODEL N_THREADS` reads words, a line each, and answers
// in seconds.

declare(strict_types=1);

use Mullama\Context;
use Mullama\Engine;
use Mullama\Model;

require __DIR__ . '/../../../bindings/php/preload.php';

const N_TOKENS = 128;
const N_CHAT_TOKENS = 64;

function seconds(int $since): float
{
    return (hrtime(true) - $since) / 1e9;
}

/** Best time of a call, without the loop around it. */
function perCall(int $loops, int $runs, Closure $calls, ?Closure $empty = null): float
{
    [$best, $around] = [INF, $empty === null ? 0.0 : INF];
    for ($run = 0; $run < $runs; ++$run) {
        $start = hrtime(true);
        $calls($loops);
        $best = min($best, seconds($start) / $loops);
        if ($empty !== null) {
            $start = hrtime(true);
            $empty($loops);
            $around = min($around, seconds($start) / $loops);
        }
    }

    return $best - $around;
}

function generate(Context $context, array $prompt): float
{
    $context->memoryClear();
    $start = hrtime(true);
    $context->generate(tokens: $prompt, maxTokens: N_TOKENS, ignoreEos: true, temperature: 0.0);

    return seconds($start);
}

function stream(Context $context, array $prompt): float
{
    $context->memoryClear();
    $start = hrtime(true);
    $text = '';
    foreach ($context->stream(tokens: $prompt, maxTokens: N_TOKENS, ignoreEos: true, temperature: 0.0) as $piece) {
        $text .= $piece;
    }

    return seconds($start);
}

function chat(Engine $engine): float
{
    $start = hrtime(true);
    $text = '';
    $messages = [['role' => 'user', 'content' => 'Say hello.']];
    $pieces = $engine->streamChat($messages, maxTokens: N_CHAT_TOKENS, temperature: 0.0, ignoreEos: true);
    foreach ($pieces as $piece) {
        $text .= $piece->text;
    }

    return seconds($start);
}

function call(Model $model): float
{
    return perCall(
        100_000,
        40,
        static function (int $loops) use ($model): void {
            for ($i = 0; $i < $loops; ++$i) {
                $model->nVocab();
            }
        },
        static function (int $loops): void {
            for ($i = 0; $i < $loops; ++$i) {
            }
        },
    );
}

function tokenize(Model $model): float
{
    return perCall(2_000, 20, static function (int $loops) use ($model): void {
        for ($i = 0; $i < $loops; ++$i) {
            $model->tokenize('Hello world');
        }
    });
}

[, $path, $threads] = $argv;
$model = new Model($path);
$context = $model->createContext(nCtx: 1024, nThreads: (int) $threads, nThreadsBatch: (int) $threads);
$prompt = [$model->specialTokens()->bos];
$engine = null; // opened by the first word that needs it
while (($line = fgets(STDIN)) !== false) {
    $time = match (trim($line)) {
        'generate' => generate($context, $prompt),
        'stream' => stream($context, $prompt),
        'engine' => chat($engine ??= new Engine($path, nCtx: 1024, nSlots: 1, nThreads: (int) $threads)),
        'call' => call($model),
        'tokenize' => tokenize($model),
    };
    printf("%.9f\n", $time);
    flush();
}
