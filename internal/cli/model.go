package cli

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func modelCommand(p *Process) *cobra.Command {
	return group("model", "Inspect, run, benchmark and deploy models",
		modelCheck(p), modelInspect(p), modelRun(p), modelBench(p), modelInit(p), modelOps(p), modelPush(p), modelRollback(p), modelRemove(p))
}

// report is what `model inspect` prints.
type report struct {
	Name     string           `json:"name"`
	Version  string           `json:"version,omitempty"`
	Manifest string           `json:"manifest,omitempty"`
	Roles    []string         `json:"roles"`
	Inputs   []port           `json:"inputs"`
	Outputs  []port           `json:"outputs"`
	Features []schema.Feature `json:"features"`
	Labels   []string         `json:"labels,omitempty"`
	Warnings []string         `json:"warnings,omitempty"`
}

// port is an input or output in the words of the Open Inference Protocol.
type port struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	// Kind is "map", "sequence" or "optional" for what is no tensor, and
	// Datatype that of its elements.
	Kind string `json:"kind,omitempty"`
}

func ports(specs []tensor.Spec) []port {
	all := make([]port, len(specs))
	for i, s := range specs {
		all[i] = portOf(&s)
	}
	return all
}

func portOf(s *tensor.Spec) port {
	if s.Elem != nil {
		held := portOf(s.Elem)
		return port{Name: s.Name, Datatype: held.Datatype, Shape: held.Shape, Kind: s.Kind.String()}
	}
	made := port{Name: s.Name, Datatype: oip.Datatype(s.DType), Shape: shapeOf(s)}
	if s.Kind == tensor.KindMap {
		made.Kind = s.Kind.String()
	}
	return made
}

// shapeOf writes free extents as -1; a sequence of maps travels as [N, C].
func shapeOf(s *tensor.Spec) []int {
	if s.Kind == tensor.KindMapSequence && s.Keys != nil {
		return []int{-1, s.Keys.Len()}
	}
	shape := []int{}
	for _, d := range s.Dims {
		shape = append(shape, d.Size)
	}
	return shape
}

func modelInspect(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "inspect FILE", Short: "Print the inputs, outputs and contract of a model", Args: exactly("FILE")}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	tree := cmd.Flags().Int("tree", 0, "draw tree `NUMBER` (from 0) instead")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := p.engines().LoadModel(args[0])
		if err != nil {
			return err
		}
		if cmd.Flags().Changed("tree") {
			drawing, err := m.DrawTree(*tree)
			if err != nil {
				return err
			}
			return p.printf("%s", drawing)
		}
		r := &report{
			Name: m.Name, Version: m.Version, Manifest: m.Manifest, Roles: m.Schema.Roles(),
			Inputs: ports(m.Program.Inputs()), Outputs: ports(m.Program.Outputs()),
			Features: m.Schema.Features(), Labels: m.Schema.Labels(), Warnings: m.Warnings,
		}
		if *asJSON {
			return p.printJSON(r)
		}
		return p.printReport(r)
	}
	return cmd
}

func (p *Process) printReport(r *report) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	row("model", strings.TrimSpace(r.Name+" "+r.Version))
	row("contract", orElse(r.Manifest, "the graph alone"))
	row("roles", orElse(strings.Join(r.Roles, ", "), "by rules alone"))
	for _, in := range r.Inputs {
		row("input", in.Name, kindOf(in.Kind, in.Datatype), fmt.Sprint(in.Shape))
	}
	for _, out := range r.Outputs {
		row("output", out.Name, kindOf(out.Kind, out.Datatype), fmt.Sprint(out.Shape))
	}
	for i := range r.Features {
		f := &r.Features[i]
		row("feature", f.Name, kindOf(f.Kind, f.Type), f.Unit)
	}
	if len(r.Labels) > 0 {
		row("labels", strings.Join(r.Labels, ", "))
	}
	for _, warning := range r.Warnings {
		row("warning", warning)
	}
	return w.Flush()
}

// kindOf says what a value is that need not be a tensor.
func kindOf(kind, elements string) string {
	if kind == "" {
		return elements
	}
	return kind + " of " + elements
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// engines are those of this build, with the library that the environment names.
func (p *Process) engines() *app.Engines { return p.enginesOf(1) }

// enginesOf returns engines whose calls may use so many threads.
func (p *Process) enginesOf(threads int) *app.Engines {
	library, _ := p.Lookup("ONNXGATE_ORT_LIBRARY")
	return app.NewEngines(library, threads)
}

// engineBoth measures both engines in turn.
const engineBoth schema.Engine = "both"

// addEngine adds the flag that chooses the engine, and returns what reads it.
func addEngine(cmd *cobra.Command, choices ...schema.Engine) func() (schema.Engine, error) {
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = string(c)
	}
	engine := cmd.Flags().String("engine", words[0], "engine: "+strings.Join(words, ", "))
	complete := cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("engine", complete) // fails only without such a flag
	return func() (schema.Engine, error) {
		if !slices.Contains(words, *engine) {
			return "", usagef("unknown engine %q; choose %s", *engine, strings.Join(words, ", "))
		}
		return schema.Engine(*engine), nil
	}
}

func emptyOutputs(program inference.Program) []*tensor.Tensor {
	outputs := make([]*tensor.Tensor, len(program.Outputs()))
	for i := range outputs {
		outputs[i] = new(tensor.Tensor)
	}
	return outputs
}

// numberList reads the value of a flag such as --rows, as 1,16,1000.
func numberList(flag, s string) ([]int, error) {
	var all []int
	for part := range strings.SplitSeq(s, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(part))
		if err != nil || n < 1 {
			return nil, usagef("%q is not a list of numbers from 1; write %s 1,16,1000", s, flag)
		}
		all = append(all, n)
	}
	return all, nil
}
