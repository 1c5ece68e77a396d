// Package engine tries the engine: its streams from many goroutines, typed requests and answers, and functions as tools.
package engine

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	mullama "github.com/mullama/mullama/bindings/go"
)

var background = context.Background()

func TestMain(m *testing.M) {
	if os.Getenv(leaving) != "" {
		leave()
	}
	code := m.Run()
	if !settles(0) && code == 0 {
		fmt.Printf("%d objects of the library are left over\n", mullama.LiveObjects())
		code = 1
	}
	os.Exit(code)
}

// settles says whether so few objects are left when the garbage collector has freed what nobody has.
func settles(few int64) bool {
	for range 2000 {
		if mullama.LiveObjects() <= few {
			return true
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	return false
}

func tiny(name string) string {
	return filepath.Join(os.Getenv("MULLAMA_TEST_CASES"), "tiny", name+".gguf")
}

// open gives an engine with two slots of 256 tokens on a tiny model; one thread is fastest for its size.
func open(t *testing.T, path string, options ...mullama.OpenEngineOption) *mullama.Engine {
	t.Helper()
	small := []mullama.OpenEngineOption{mullama.WithNCtx(256), mullama.WithNSlots(2), mullama.WithNThreads(1)}
	engine, err := mullama.OpenEngine(background, path, append(small, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	held := engine
	t.Cleanup(func() {
		held.Close()
		held = nil
	})
	return engine
}

// request sends a request as it is.
func request(t *testing.T, engine *mullama.Engine, route, body string) *mullama.Stream {
	t.Helper()
	stream, err := engine.Request(background, route, mullama.WithBody(body))
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// endless is a request that is not over before a test is.
const endless = `{"prompt": "the of and", "max_tokens": 200, "ignore_eos": true, "temperature": 0, "stream": true}`

func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// isIdle says whether no slot works and nobody waits for one.
func isIdle(engine *mullama.Engine) func() bool {
	return func() bool {
		info, err := engine.Info()
		return err == nil && info.NRunning == 0 && info.NQueued == 0
	}
}
