package idioms

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	mullama "github.com/mullama/mullama/bindings/go"
	"github.com/mullama/mullama/bindings/go/internal/layout"
)

var _ io.Closer = (*mullama.Model)(nil)

// TestLayout compares the structs of cgo with the table that the C target writes.
func TestLayout(t *testing.T) {
	data, err := os.ReadFile("../../../../abi/libmullama.layout.tsv")
	if err != nil {
		t.Fatal(err)
	}
	found, n := layout.Layout(), 0
	for line := range strings.Lines(string(data)) {
		if name, number, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			n++
			if want, err := strconv.ParseUint(number, 10, 64); err != nil || uint64(found[name]) != want {
				t.Errorf("%s is %d, not %s", name, found[name], number)
			}
		}
	}
	if len(found) != n || n < 100 {
		t.Errorf("%d sizes and offsets, not %d", len(found), n)
	}
}

// greedy generates for as long as it is let.
var greedy = []mullama.GenerateOption{mullama.WithTemperature(0), mullama.WithIgnoreEOS(true)}

func endless() []mullama.GenerateOption {
	return append(greedy[:2:2], mullama.WithMaxTokens(-1), mullama.WithOverflow(mullama.OverflowShift))
}

func TestAContextCancelsAGeneration(t *testing.T) {
	session := create(t, load(t, tiny()), mullama.WithNCtx(128))
	ctx, cancel := context.WithTimeout(background, 50*time.Millisecond)
	defer cancel()
	var result mullama.GenerationResult
	_, err := session.Generate(ctx, "the of", append(endless(), mullama.WithResult(&result))...)
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, mullama.ErrCancelled) {
		t.Error(err)
	}
	if result.FinishReason != mullama.FinishReasonCancelled {
		t.Error(result.FinishReason)
	}
	if _, err := session.Generate(background, "the of", append(greedy[:2:2], mullama.WithMaxTokens(3))...); err != nil {
		t.Errorf("the context is not usable afterwards: %v", err)
	}
}

func TestAContextCancelsAStream(t *testing.T) {
	session := create(t, load(t, tiny()), mullama.WithNCtx(128))
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	n := 0
	var last error
	for _, err := range session.Stream(ctx, "the of", endless()...) {
		if n++; n == 3 {
			cancel()
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) || !errors.Is(last, mullama.ErrCancelled) || n < 4 {
		t.Errorf("%v after %d pieces", last, n)
	}
}

// TestCancellingTakesEffectWithinAUbatch cancels the evaluation of a long prompt by the real model.
func TestCancellingTakesEffectWithinAUbatch(t *testing.T) {
	model := load(t, os.Getenv("MULLAMA_TEST_MODEL"))
	tokens := make([]int32, 1500)
	for i := range tokens {
		tokens[i] = int32(1000 + i)
	}
	session := create(t, model, mullama.WithNCtx(2048), mullama.WithNUbatch(32))
	start := time.Now()
	if err := session.Decode(background, tokens[:32]); err != nil {
		t.Fatal(err)
	}
	ubatch := time.Since(start)
	for name, use := range map[string]func(context.Context) error{
		"Decode": func(ctx context.Context) error { return session.Decode(ctx, tokens) },
		"Generate": func(ctx context.Context) error {
			_, err := session.Generate(ctx, "", mullama.WithTokens(tokens), mullama.WithSequence(0))
			return err
		},
	} {
		if err := session.MemoryClear(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(background)
		var cancelled time.Time
		time.AfterFunc(2*ubatch, func() { cancelled = time.Now(); cancel() })
		err := use(ctx)
		if took := time.Since(cancelled); !errors.Is(err, context.Canceled) || took > 3*ubatch+200*time.Millisecond {
			t.Errorf("%s: %v after %v; a ubatch takes %v", name, err, took, ubatch)
		}
		cancel()
	}
}

func TestErrorsHaveCodesAndFamilies(t *testing.T) {
	model := load(t, tiny())
	session := create(t, model, mullama.WithNCtx(16))
	room, err := session.NCtx() // more than was asked for
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.Generate(background, strings.Repeat("the of ", int(room)))
	if !errors.Is(err, mullama.ErrContextFull) || !errors.Is(err, mullama.ErrResource) || errors.Is(err, mullama.ErrBusy) {
		t.Error(err)
	}
	var failure *mullama.Error
	if !errors.As(err, &failure) || failure.Code != mullama.ErrContextFull || !strings.Contains(failure.Message, strconv.Itoa(int(room))) {
		t.Errorf("%#v", failure)
	}
	_, err = mullama.LoadModel(background, filepath.Join(t.TempDir(), "missing.gguf"))
	if !errors.Is(err, mullama.ErrFileNotFound) || !errors.Is(err, mullama.ErrFile) || !strings.Contains(err.Error(), "missing.gguf") {
		t.Error(err)
	}
}

func TestLeavingALoopFreesTheGeneration(t *testing.T) {
	session := create(t, load(t, tiny()), mullama.WithNCtx(128))
	before := mullama.LiveObjects()
	var result mullama.GenerationResult
	n := 0
	for piece, err := range session.Stream(background, "the of", append(endless(), mullama.WithResult(&result))...) {
		if err != nil || piece == "" {
			t.Fatal(piece, err)
		}
		if n++; n == 3 {
			break
		}
	}
	if left := mullama.LiveObjects() - before; left != 0 {
		t.Errorf("%d objects are left over", left)
	}
	if result.NGenerated < 3 || result.FinishReason != mullama.FinishReasonCancelled {
		t.Errorf("%+v", result)
	}
}

func TestALoadIsCancelledByItsContextAndByItsCallback(t *testing.T) {
	path := os.Getenv("MULLAMA_TEST_MODEL")
	ctx, cancel := context.WithCancel(background)
	calls := 0
	_, err := mullama.LoadModel(ctx, path, mullama.WithProgress(func(float32) bool {
		calls++
		cancel()
		return true
	}))
	if !errors.Is(err, context.Canceled) || !errors.Is(err, mullama.ErrCancelled) || calls == 0 {
		t.Errorf("%v after %d calls", err, calls)
	}
	_, err = mullama.LoadModel(background, path, mullama.WithProgress(func(float32) bool { return false }))
	if !errors.Is(err, mullama.ErrCancelled) || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestOneOfTwoCallsAtTheSameTimeIsBusy(t *testing.T) {
	session := create(t, load(t, tiny()), mullama.WithNCtx(128))
	generation, err := session.StartGeneration("the of", endless()...)
	if err != nil {
		t.Fatal(err)
	}
	defer generation.Close()
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := generation.Run(ctx)
		ended <- err
	}()
	for {
		if _, err := generation.Text(); errors.Is(err, mullama.ErrBusy) {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		}
		select {
		case err := <-ended: // the other one was the second
			if !errors.Is(err, mullama.ErrBusy) {
				t.Error(err)
			}
			return
		default:
		}
	}
}

// TestManyGoroutinesShareAFewContexts lets 200 goroutines generate on 8 contexts that go through a channel.
func TestManyGoroutinesShareAFewContexts(t *testing.T) {
	model := load(t, tiny())
	pool := make(chan *mullama.Context, 8)
	for range cap(pool) {
		pool <- create(t, model, mullama.WithNCtx(128), mullama.WithNThreads(1))
	}
	want, err := (<-pool).Generate(background, "the of", append(greedy[:2:2], mullama.WithMaxTokens(20))...)
	if err != nil {
		t.Fatal(err)
	}
	pool <- create(t, model, mullama.WithNCtx(128), mullama.WithNThreads(1))

	// A goroutine beside them must get its turns all the while.
	stop, worst := make(chan struct{}), make(chan time.Duration)
	go func() {
		var longest time.Duration
		for last := time.Now(); ; {
			select {
			case <-stop:
				worst <- longest
				return
			case <-time.After(time.Millisecond):
				longest, last = max(longest, time.Since(last)), time.Now()
			}
		}
	}()
	var group sync.WaitGroup
	for i := range 200 {
		group.Add(1)
		go func() {
			defer group.Done()
			session := <-pool
			defer func() { pool <- session }()
			var text strings.Builder
			for piece, err := range session.Stream(background, "the of", append(greedy[:2:2], mullama.WithMaxTokens(20))...) {
				if err != nil {
					t.Error(err)
				}
				text.WriteString(piece)
			}
			if text.String() != want {
				t.Errorf("generation %d: %q, not %q", i, text.String(), want)
			}
		}()
	}
	group.Wait()
	close(stop)
	if longest := <-worst; longest > time.Second {
		t.Errorf("a goroutine waited %v for its turn", longest)
	}
}

func TestAChatIsAPromptInTheModelsTemplate(t *testing.T) {
	model := load(t, os.Getenv("MULLAMA_TEST_MODEL"))
	session := create(t, model, mullama.WithNCtx(512))
	messages := []map[string]string{{"role": "user", "content": "What is the capital of France?"}}
	options := append(greedy[:1:1], mullama.WithMaxTokens(16))
	answer, err := session.Generate(background, "", append(options, mullama.WithMessages(messages))...)
	if err != nil || answer == "" {
		t.Fatal(answer, err)
	}
	raw, err := model.ApplyChatTemplate(messages)
	var chat struct{ Prompt string }
	if err := errors.Join(err, json.Unmarshal(raw, &chat)); err != nil {
		t.Fatal(err)
	}
	again, err := session.Generate(background, chat.Prompt, append(options, mullama.WithParseSpecial(true))...)
	if err != nil || again != answer {
		t.Errorf("%q, not %q, %v", again, answer, err)
	}
}

func TestTheLogIsAStream(t *testing.T) {
	log, err := mullama.OpenLog()
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := mullama.LogMessage(mullama.LogLevelWarning, "from Go"); err != nil {
		t.Fatal(err)
	}
	for entry, err := range log.All(background) {
		if err != nil || entry.Text == "from Go" && entry.Level != mullama.LogLevelWarning {
			t.Fatal(entry, err)
		}
		if entry.Text == "from Go" {
			break
		}
	}
	if _, status, err := log.Next(background, mullama.WithTimeout(0)); status != mullama.StatusWaiting || err != nil {
		t.Errorf("%v, %v", status, err)
	}
}
