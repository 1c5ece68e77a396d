// Program bench measures the Go binding for benchmarks/languages.py: `bench MODEL N_THREADS` reads one word a line, and
// answers each with seconds.
package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	mullama "github.com/mullama/mullama/bindings/go"
)

const (
	calls     = 1_000_000
	tokenized = 2_000
	rounds    = 5
	maxTokens = 128
	inChats   = 64
)

var ctx = context.Background()

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// best is the fastest of some rounds, per call: interruptions only ever add.
func best(n int, loop func(n int)) float64 {
	fastest := time.Duration(1<<63 - 1)
	for range rounds {
		start := time.Now()
		loop(n)
		fastest = min(fastest, time.Since(start))
	}
	return fastest.Seconds() / float64(n)
}

var sink int32

func main() {
	model := must(mullama.LoadModel(ctx, os.Args[1]))
	threads := int32(must(strconv.Atoi(os.Args[2])))
	session := must(model.CreateContext(ctx, mullama.WithNCtx(1024), mullama.WithNThreads(threads)))
	options := []mullama.GenerateOption{
		mullama.WithTokens([]int32{must(model.SpecialTokens()).BOS}), mullama.WithMaxTokens(maxTokens),
		mullama.WithTemperature(0), mullama.WithIgnoreEOS(true),
	}
	openEngine := sync.OnceValue(func() *mullama.Engine {
		small := []mullama.OpenEngineOption{mullama.WithNCtx(1024), mullama.WithNSlots(1), mullama.WithNThreads(threads)}
		return must(mullama.OpenEngine(ctx, os.Args[1], small...))
	})
	chat := mullama.ChatRequest{
		Messages:  []mullama.Message{{Role: "user", Content: "Say hello."}},
		MaxTokens: mullama.Of(inChats), Temperature: mullama.Of(0.0), IgnoreEOS: mullama.Of(true),
	}
	measures := map[string]func() float64{
		"generate": func() float64 {
			check(session.MemoryClear())
			start := time.Now()
			must(session.Generate(ctx, "", options...))
			return time.Since(start).Seconds()
		},
		"stream": func() float64 {
			check(session.MemoryClear())
			start := time.Now()
			for _, err := range session.Stream(ctx, "", options...) {
				check(err)
			}
			return time.Since(start).Seconds()
		},
		"engine": func() float64 {
			engine := openEngine()
			start := time.Now()
			for _, err := range must(engine.ChatStream(ctx, chat)).Pieces() {
				check(err)
			}
			return time.Since(start).Seconds()
		},
		"call": func() float64 {
			empty := best(calls, func(n int) {
				for i := range n {
					sink = int32(i)
				}
			})
			return best(calls, func(n int) {
				for range n {
					sink, _ = model.NVocab()
				}
			}) - empty
		},
		"tokenize": func() float64 {
			return best(tokenized, func(n int) {
				for range n {
					must(model.Tokenize("Hello world"))
				}
			})
		},
	}
	for words := bufio.NewScanner(os.Stdin); words.Scan(); {
		fmt.Println(measures[words.Text()]())
	}
}
