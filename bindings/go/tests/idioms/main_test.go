// Package idioms tries what Go programs expect of the binding, on tiny models and on a real one.
package idioms

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
	for range 2000 {
		if mullama.LiveObjects() == 0 {
			os.Exit(code)
		}
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	fmt.Printf("%d objects of the library are left over\n", mullama.LiveObjects())
	os.Exit(1)
}

func tiny() string {
	return filepath.Join(os.Getenv("MULLAMA_TEST_CASES"), "tiny", "llama.gguf")
}

func load(t *testing.T, path string) *mullama.Model {
	t.Helper()
	model, err := mullama.LoadModel(background, path)
	if err != nil {
		t.Fatal(err)
	}
	held := model
	t.Cleanup(func() {
		held.Close()
		held = nil
	})
	return model
}

func create(t *testing.T, model *mullama.Model, options ...mullama.CreateContextOption) *mullama.Context {
	t.Helper()
	session, err := model.CreateContext(background, options...)
	if err != nil {
		t.Fatal(err)
	}
	held := session
	t.Cleanup(func() {
		held.Close()
		held = nil
	})
	return session
}
