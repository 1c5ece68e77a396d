package idioms

import (
	"os"
	"os/exec"
	"testing"

	mullama "github.com/mullama/mullama/bindings/go"
)

const leaving = "MULLAMA_TEST_LEAVES"

// leave ends the program while a generation runs on another goroutine.
func leave() {
	model, err := mullama.LoadModel(background, tiny())
	if err != nil {
		panic(err)
	}
	session, err := model.CreateContext(background, mullama.WithNCtx(128))
	if err != nil {
		panic(err)
	}
	begun := make(chan struct{})
	go func() {
		once := false
		for range session.Stream(background, "the of", endless()...) {
			if !once {
				once = true
				close(begun)
			}
		}
		panic("it ended")
	}()
	<-begun
	os.Exit(7)
}

func TestTheProgramEndsDuringAGeneration(t *testing.T) {
	for range 50 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), leaving+"=1")
		out, _ := command.CombinedOutput()
		if code := command.ProcessState.ExitCode(); code != 7 || len(out) != 0 {
			t.Fatalf("exit code %d: %s", code, out)
		}
	}
}
