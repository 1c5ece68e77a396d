package conformance

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestCases runs every case, one subtest each, and writes go.jsonl into $MULLAMA_CONFORMANCE_RESULTS.
func TestCases(t *testing.T) {
	cases, err := read("cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 150 {
		t.Errorf("only %d cases", len(cases))
	}
	write := report(t)
	for _, one := range cases {
		t.Run(one.Case, func(t *testing.T) {
			line := map[string]string{"case": one.Case, "language": "go", "result": "pass"}
			defer write(line)
			reason := runCase(one)
			switch {
			case one.Gap != "" && reason != "":
				line["result"], line["reason"] = "gap", one.Gap
				t.Skip(one.Gap)
			case one.Gap != "":
				reason = "is listed as a gap (" + one.Gap + "), but passes"
			}
			if reason != "" {
				line["result"], line["message"] = "fail", reason
				t.Error(reason)
			}
		})
	}
}

// TestNegated runs the cases with their last expectations turned around: none may pass.
func TestNegated(t *testing.T) {
	cases, err := read("negated.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range cases {
		if runSteps(one.Steps) == "" {
			t.Errorf("%s passes although its last expectation is turned around", one.Case)
		}
	}
}

func report(t *testing.T) func(map[string]string) {
	folder := os.Getenv("MULLAMA_CONFORMANCE_RESULTS")
	if folder == "" {
		return func(map[string]string) {}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	file, err := os.Create(filepath.Join(folder, "go.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	lines := json.NewEncoder(file)
	return func(line map[string]string) {
		if err := lines.Encode(line); err != nil {
			t.Fatal(err)
		}
	}
}
