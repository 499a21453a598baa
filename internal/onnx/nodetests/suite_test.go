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
//	go test -C internal/onnx/nodetests -table                    # and how many pass, by operator
//
// NODETESTS names the folder of cases where it is not this checkout's own,
// such as NODETESTS=/elsewhere/.cache/nodetests/cases.
//
// testdata/later.txt lists what the engine leaves to later: see manifest.
package nodetests

import (
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

	"onnxgate/internal/testkit"
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
		testkit.Missing(t, "ONNX's node tests are not built; run make test, which builds them")
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
	cases, lines := readIndex(t), readManifest(t)
	groups := map[string][]*testCase{}
	for i := range cases {
		groups[cases[i].Group] = append(groups[cases[i].Group], &cases[i])
	}
	var tallies []tally
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		t.Run(group, func(t *testing.T) {
			sum := tally{group: group}
			for _, c := range groups[group] {
				t.Run(c.Name, func(t *testing.T) {
					v, err := judge(play(t.Context(), c), lines.find(c))
					if err != nil {
						t.Error(err)
					}
					sum.count[v]++
				})
			}
			tallies = append(tallies, sum)
		})
	}
	if *table {
		fmt.Println(format(tallies)) // which go test shows when it is run in this folder
	}
}

// verdict is how a case went.
type verdict int

const (
	passed verdict = iota
	failed
	listed
)

// judge holds how a case went against the line of the manifest that lists it,
// or nil, and returns what is wrong with that.
func judge(err error, l *line) (verdict, error) {
	switch {
	case l == nil && err == nil:
		return passed, nil
	case l == nil:
		return failed, err
	case err == nil:
		return failed, fmt.Errorf("it passes, but %s lists it: %s", manifestFile, l.text)
	case l.later() && !errors.As(err, new(*refusedError)):
		return failed, fmt.Errorf("what is listed for later must be refused at load, not fail so: %w", err)
	}
	return listed, nil
}

// tally counts the cases of one group.
type tally struct {
	group string
	count [3]int // by verdict
}

func format(list []tally) string {
	all := tally{group: "all"}
	for _, s := range list {
		for v, n := range s.count {
			all.count[v] += n
		}
	}
	lines := []string{"", "  passed  failed  listed"}
	for _, s := range append(list, all) {
		lines = append(lines, fmt.Sprintf("%8d%8d%8d  %s", s.count[passed], s.count[failed], s.count[listed], s.group))
	}
	return strings.Join(lines, "\n")
}
