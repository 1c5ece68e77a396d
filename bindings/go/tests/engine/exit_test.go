package engine

import (
	"os"
	"os/exec"
	"testing"

	mullama "github.com/mullama/mullama/bindings/go"
)

const leaving = "MULLAMA_TEST_LEAVES"

// leave ends the program while an engine answers on other goroutines.
func leave() {
	engine, err := mullama.OpenEngine(background, tiny("llama"), mullama.WithNCtx(256), mullama.WithNThreads(1))
	if err != nil {
		panic(err)
	}
	begun := make(chan struct{}, 8)
	for range cap(begun) {
		stream, err := engine.CompleteStream(background, mullama.CompletionRequest{
			Prompt: "the of and", MaxTokens: mullama.Of(200), IgnoreEOS: mullama.Of(true),
		})
		if err != nil {
			panic(err)
		}
		go func() {
			for range stream.Pieces() {
				select {
				case begun <- struct{}{}:
				default:
				}
			}
		}()
	}
	<-begun
	os.Exit(7)
}

func TestTheProgramEndsInTheMidstOfAnswers(t *testing.T) {
	for range 50 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), leaving+"=1")
		out, _ := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != 7 || len(out) != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
	}
}
