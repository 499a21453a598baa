// Package nodetests runs ONNX's own node tests: a model for each case of each
// operator, with inputs and the outputs that ONNX's authors expect. Every case
// goes the way of a served model, through exec.Load and Program.Run.
//
// The cases are built by `make test` (scripts/nodetests) and never committed.
// With them in place:
//
//	go test ./internal/onnx/nodetests                            # all cases
//	go test ./internal/onnx/nodetests -run 'NodeTests/onnx.Slice/'  # one operator
//	go test ./internal/onnx/nodetests -run 'NodeTests/simple/'   # models of several operators
//	go test ./internal/onnx/nodetests -table                     # and how many pass, by operator
//
// NODETESTS names the folder of cases where it is not this checkout's own,
// such as NODETESTS=/elsewhere/.cache/nodetests/cases.
//
// testdata/later.txt lists what the engine leaves to later: see manifest.
package nodetests

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

var table = flag.Bool("table", false, "print how many cases pass, by operator")

// testCase is an entry of the index that scripts/nodetests/build.py writes.
type testCase struct {
	Name, Folder string
	// Group is the operator that the case is about, such as "ai.onnx.Slice",
	// or for a model of several operators the folder that ONNX keeps it in.
	Group string
	// Operators are all that the model applies, such as "ai.onnx Slice".
	Operators []string
	// Types are the element types that occur, by ONNX's names.
	Types           []string
	RTol, ATol      float64 // how far floats may be off
	Inputs, Outputs []port
	Sets            []string
}

// port is an input or output: a tensor, a sequence or an optional.
type port struct{ Name, Form string }

// casesFolder is where the cases are: .cache of this checkout, or NODETESTS.
func casesFolder() string {
	if dir := os.Getenv("NODETESTS"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "..", ".cache", "nodetests", "cases")
}

// readIndex returns all cases. Where none are built it skips the test, and
// under CI fails it.
func readIndex(t *testing.T) []testCase {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(casesFolder(), "index.json"))
	if errors.Is(err, os.ErrNotExist) {
		reason := "ONNX's node tests are not built; run make test, which builds them"
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []testCase
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	if len(all) < 2000 {
		t.Fatalf("the index has %d cases; ONNX has more", len(all))
	}
	return all
}

func TestNodeTests(t *testing.T) {
	cases, listed := readIndex(t), readManifest(t)
	groups := map[string][]*testCase{}
	for i := range cases {
		groups[cases[i].Group] = append(groups[cases[i].Group], &cases[i])
	}
	var tallies []tally
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		t.Run(group, func(t *testing.T) {
			sum := tally{group: group}
			for _, c := range groups[group] {
				t.Run(c.Name, func(t *testing.T) { sum.add(judge(t, c, listed)) })
			}
			tallies = append(tallies, sum)
		})
	}
	if *table {
		t.Log(format(tallies))
	}
}

// verdict is how a case went.
type verdict int

const (
	passed verdict = iota
	failed
	later // and refused, as it has to be
)

// judge runs a case and holds the result against the manifest.
func judge(t *testing.T, c *testCase, listed *manifest) verdict {
	t.Helper()
	err := play(t.Context(), c)
	line := listed.find(c)
	switch {
	case line == nil && err == nil:
		return passed
	case line == nil:
		t.Error(err)
	case err == nil:
		t.Errorf("it passes, but %s lists it: %s", manifestFile, line.text)
	case line.later() && !errors.As(err, new(*refusedError)):
		t.Errorf("what is listed for later must be refused when it is loaded, not fail so: %v", err)
	default:
		return later
	}
	return failed
}

// refusedError is a model that the engine does not load.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return "load: " + e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// caseTime ends a run that does not end by itself.
const caseTime = 20 * time.Second

// play loads and runs one case, and returns what is wrong with it.
func play(ctx context.Context, c *testCase) error {
	model, err := os.ReadFile(filepath.Join(casesFolder(), c.Folder, "model.onnx"))
	if err != nil {
		return err
	}
	p, err := exec.Load(model, onnx.Limits{}) //nolint:contextcheck // folding a constant belongs to no run
	if err != nil && fault.KindOf(err) == fault.Content {
		return &refusedError{err}
	} else if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, caseTime)
	defer cancel()
	for _, set := range c.Sets {
		if err := playSet(ctx, p, c, set); err != nil {
			return fmt.Errorf("%s: %w", set, err)
		}
	}
	return nil
}

// playSet runs a program twice on one set of inputs: the second run finds used
// memory, and inputs that the first must have left alone.
func playSet(ctx context.Context, p *exec.Program, c *testCase, set string) error {
	in, err := readPorts(c, set, "input", c.Inputs)
	if err != nil {
		return err
	}
	want, err := readPorts(c, set, "output", c.Outputs)
	if err != nil {
		return err
	}
	if err := checkPorts(p, c); err != nil {
		return err
	}
	given := make([]*tensor.Tensor, len(in))
	for i := range in {
		if given[i] = in[i].tensor; given[i] == nil {
			return fmt.Errorf("input %s is no tensor, and a run takes nothing else", c.Inputs[i].Name)
		}
	}
	out := make([]*tensor.Tensor, len(want))
	for i := range out {
		out[i] = &tensor.Tensor{}
	}
	for _, run := range []string{"first run", "second run"} {
		if err := p.Run(ctx, given, out); err != nil {
			return fmt.Errorf("%s: %w", run, err)
		}
		for i := range out {
			if err := compareOutput(&p.Outputs()[i], value{tensor: out[i]}, want[i], c); err != nil {
				return fmt.Errorf("%s: output %s: %w", run, c.Outputs[i].Name, err)
			}
		}
	}
	return nil
}

// checkPorts compares the names of what a program takes and gives with those
// of the case.
func checkPorts(p *exec.Program, c *testCase) error {
	for _, side := range []struct {
		what string
		got  []tensor.Spec
		want []port
	}{{"inputs", p.Inputs(), c.Inputs}, {"outputs", p.Outputs(), c.Outputs}} {
		same := slices.EqualFunc(side.got, side.want, func(s tensor.Spec, p port) bool { return s.Name == p.Name })
		if !same {
			return fmt.Errorf("its %s are %v, want %v", side.what, side.got, side.want)
		}
	}
	return nil
}

// tally counts the cases of one group.
type tally struct {
	group string
	count [3]int // by verdict
}

func (s *tally) add(v verdict) { s.count[v]++ }

func format(list []tally) string {
	all := tally{group: "all"}
	for _, s := range list {
		for v, n := range s.count {
			all.count[v] += n
		}
	}
	lines := []string{"", "  passed  failed   later"}
	for _, s := range append(list, all) {
		lines = append(lines, fmt.Sprintf("%8d%8d%8d  %s", s.count[passed], s.count[failed], s.count[later], s.group))
	}
	return strings.Join(lines, "\n")
}
