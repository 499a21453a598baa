package exec_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
)

// zooOfFixtures is the part of the zoo that is committed; scripts/zoo/build.py
// builds the rest.
const zooOfFixtures = "testdata/zoo"

// builtZoo is where `make test` builds a tenth of the zoo, and `make proof` all
// of it.
func builtZoo() string { return cmp.Or(os.Getenv("ZOO_DIR"), "../../../.cache/zoo") }

func zooNames(tb testing.TB, folder string) []string {
	tb.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.onnx"))
	if err != nil {
		tb.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".onnx")
	}
	return files
}

// Models as libraries export them answer as ONNX Runtime does: all rows at
// once, one by one, and none.
func TestTheZooAnswersAsONNXRuntime(t *testing.T) {
	for name, folder := range map[string]string{"fixtures": zooOfFixtures, "built": builtZoo()} {
		t.Run(name, func(t *testing.T) {
			models := zooNames(t, folder)
			if len(models) == 0 && folder != zooOfFixtures && os.Getenv("CI") != "true" {
				t.Skip("the zoo is built by make test")
			}
			if len(models) < 20 {
				t.Fatalf("only %d models", len(models))
			}
			failures := map[string][]string{}
			for _, model := range models {
				t.Run(model, func(t *testing.T) {
					data, r := readZoo(t, folder, model)
					if err := zooReplay(t.Context(), model, data, &r); err != nil {
						t.Error(err)
						for _, reason := range reasons(err) {
							failures[reason] = append(failures[reason], model)
						}
					}
				})
			}
			if len(failures) > 0 {
				t.Log(zooSummary(failures))
			}
		})
	}
}

var (
	operatorNamed = regexp.MustCompile(`[\w.]+ \(`)
	particular    = regexp.MustCompile(`"[^"]*"|\b-?\d+(\.\d+)?(e[+-]\d+)?\b`)
)

// reasons groups what is wrong: each operator that is missing, or the message
// without what is particular to one model.
func reasons(err error) []string {
	msg := err.Error()
	if _, list, ok := strings.Cut(msg, "operators that are not supported: "); ok {
		names := operatorNamed.FindAllString(list, -1)
		for i := range names {
			names[i] = "no " + strings.TrimSuffix(names[i], " (")
		}
		slices.Sort(names)
		return slices.Compact(names)
	}
	return []string{particular.ReplaceAllString(msg, "…")}
}

func zooSummary(failures map[string][]string) string {
	list := slices.SortedFunc(maps.Keys(failures), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(failures[b]), len(failures[a])), cmp.Compare(a, b))
	})
	var b strings.Builder
	b.WriteString("models that fail, by reason:\n")
	for _, reason := range list {
		names := failures[reason]
		fmt.Fprintf(&b, "%4d  %s: %s\n", len(names), reason, strings.Join(names[:min(len(names), 4)], ", "))
	}
	return b.String()
}

// needRows are models that give no rows a shape of their own into which they do
// not go; ONNX Runtime refuses them, too.
var needRows = map[string]bool{"quantile": true, "quantile_double": true, "table_quantile": true}

// zooReplay runs what was recorded, and compares.
func zooReplay(ctx context.Context, name string, model []byte, r *recording) error {
	p, err := exec.Load(model, onnx.Limits{})
	if err != nil {
		return err
	}
	if err := zooRun(ctx, p, r, r.Inputs, r.Outputs); err != nil {
		return err
	}
	n := r.independentRows(p)
	for i := range min(n, 8) {
		in, out := part(r.Inputs, i, i+1), part(r.Outputs, i, i+1)
		if err := zooRun(ctx, p, &recording{in, out}, in, out); err != nil {
			return fmt.Errorf("row %d alone: %w", i, err)
		}
	}
	if n == 0 {
		return nil
	}
	err = zooRun(ctx, p, &recording{}, part(r.Inputs, 0, 0), part(r.Outputs, 0, 0))
	switch {
	case needRows[name]:
		if fault.KindOf(err) != fault.Content {
			return fmt.Errorf("no rows, which the model has no room for: %w", err)
		}
	case err != nil:
		return fmt.Errorf("no rows: %w", err)
	}
	return nil
}

func part(values []recorded, from, to int) []recorded {
	out := make([]recorded, len(values))
	for i := range values {
		out[i] = values[i].rows(from, to)
	}
	return out
}

// independentRows returns how many rows a recording has, or 0 when the program
// does not take and give rows throughout.
func (r *recording) independentRows(p *exec.Program) int {
	if len(r.Inputs) == 0 || len(r.Inputs[0].Shape) == 0 || r.Inputs[0].Kind != "tensor" {
		return 0
	}
	n := r.Inputs[0].Shape[0]
	for _, v := range slices.Concat(r.Inputs, r.Outputs) {
		if !v.hasRows(n) {
			return 0
		}
	}
	for _, s := range p.Inputs() {
		if s.Ranked && (len(s.Dims) == 0 || s.Dims[0].Size >= 0) {
			return 0
		}
	}
	return n
}

// zooRun runs a program twice, the second time on memory that was used.
func zooRun(ctx context.Context, p *exec.Program, r *recording, inputs, outputs []recorded) error {
	in := make([]*tensor.Tensor, len(p.Inputs()))
	for i, spec := range p.Inputs() {
		k := slices.IndexFunc(inputs, func(a recorded) bool { return a.Name == spec.Name })
		if k < 0 {
			return fmt.Errorf("the program wants input %q", spec.Name)
		}
		var err error
		if in[i], err = inputs[k].value(); err != nil {
			return err
		}
	}
	out := results(len(p.Outputs()))
	if len(out) != len(outputs) {
		return fmt.Errorf("%d outputs, want %d", len(out), len(outputs))
	}
	for range 2 {
		if err := p.Run(ctx, in, out); err != nil {
			return err
		}
	}
	var all []error
	for i, spec := range p.Outputs() {
		all = append(all, zooCompare(&spec, out[i], &outputs[i], r.ties(rowsOf(outputs))))
	}
	return errors.Join(all...)
}

func rowsOf(values []recorded) int {
	for i := range values {
		if values[i].Kind != "sequence" && len(values[i].Shape) > 0 {
			return values[i].Shape[0]
		}
	}
	return 0
}

func zooCompare(spec *tensor.Spec, got *tensor.Tensor, want *recorded, ties []bool) error {
	if spec.Name != want.Name {
		return fmt.Errorf("output %q, want %q", spec.Name, want.Name)
	}
	if (want.Kind == "maps") != (spec.Kind == tensor.KindMapSequence) {
		return fmt.Errorf("%s: a %v, want %s", spec.Name, spec.Kind, want.Kind)
	}
	w, err := want.value()
	if err != nil {
		return err
	}
	if want.Kind == "maps" {
		k, err := want.Keys.value()
		if err != nil {
			return err
		}
		if diff := zooDifference(k, spec.Keys, nil, 0); diff != "" {
			return fmt.Errorf("%s: keys: %s", spec.Name, diff)
		}
	}
	if !want.hasRows(len(ties)) {
		ties = nil
	}
	if diff := zooDifference(w, got, ties, want.Slack); diff != "" {
		return fmt.Errorf("%s: %s", spec.Name, diff)
	}
	return nil
}
