package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

func modelCheck(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "check FILE", Short: "Check whether a server could serve a model, and if not, why", Args: exactly("FILE")}
	goldenFile := cmd.Flags().String("golden", "", "`FILE` of rows (CSV or JSON) with the training library's answers as \"prediction\", to compare with")
	target := cmd.Flags().StringSlice("target", nil, "`COLUMN` of the golden rows that the model does not see; compared if there is no \"prediction\"; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(*target) > 0 && *goldenFile == "" {
			return usagef("--target names a column of the golden rows, so --golden is needed too")
		}
		m, err := p.engines().LoadModel(args[0])
		info := m.Inspect()
		if err != nil {
			if info != nil {
				p.explain(info)
			}
			return err
		}
		served, err := m.Served()
		if err != nil {
			return err
		}
		if err := p.printCheck(m, info); err != nil {
			return err
		}
		if err := p.probe(cmd.Context(), m); err != nil {
			return err
		}
		if !served {
			p.complain(fmt.Sprintf("warning: the versions section of %s leaves version %s out: no server serves it", m.Manifest, m.Version))
		}
		for _, w := range slices.Concat(m.Warnings, undescribed(m.Schema)) {
			p.complain("warning: " + w)
		}
		if *goldenFile != "" {
			if err := p.checkGolden(cmd.Context(), m, *goldenFile, *target); err != nil {
				return err
			}
		}
		return p.printf("%s can be served (contract: %s)\n", args[0], orElse(m.Manifest, "the graph alone, for the role admin"))
	}
	return cmd
}

// probe says what the export has probably lost, which may be why its answers cannot
// be told apart by rows, and tries whether they can.
func (p *Process) probe(ctx context.Context, m *app.Model) error {
	for _, w := range doubts(m) {
		p.complain("warning: " + w)
	}
	outputs := emptyOutputs(m.Program)
	doubt, err := m.Schema.Probe(ctx, func(inputs []*tensor.Tensor) ([]*tensor.Tensor, error) {
		return outputs, m.Program.Run(ctx, inputs, outputs)
	})
	if doubt != "" {
		p.complain("warning: " + doubt)
	}
	return err
}

// printCheck prints what runs the model, what it is made of, and what the API
// will show of it.
func (p *Process) printCheck(m *app.Model, info *exec.Info) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	row("engine", string(app.EngineOf(m.Program)))
	if info != nil {
		named := map[string]bool{} // some exporters name ai.onnx twice
		for _, o := range info.Opsets {
			domain := cmp.Or(o.Domain, "ai.onnx")
			if at := domain + fmt.Sprint(" ", o.Version); !named[at] {
				named[at] = true
				row("opset", domain, fmt.Sprint(o.Version))
			}
		}
		for _, o := range info.Operators {
			row("operator", o.Domain+"."+o.Name, fmt.Sprint(o.Version), counted(o.Nodes, "node"))
		}
	}
	features := m.Schema.Features()
	for i := range features {
		f := &features[i]
		row("feature", f.Name, kindOf(f.Kind, f.Type), bounds(bounded(f)))
	}
	for _, o := range m.Schema.Outputs() {
		row("output", o.Name, o.Type, strings.Join(append([]string{string(o.Role)}, o.Targets...), " "))
	}
	if labels := m.Schema.Labels(); len(labels) > 0 {
		row("labels", strings.Join(labels, ", "))
	}
	return w.Flush()
}

// undescribed says what a model.yaml would make clear to callers.
func undescribed(s *schema.Schema) []string {
	var all []string
	var unbounded []string
	features := s.Features()
	for i := range features {
		if !bounded(&features[i]) {
			unbounded = append(unbounded, features[i].Name)
		}
	}
	if n := len(unbounded); n > 0 {
		const shown = 3
		all = append(all, fmt.Sprintf("%d of %s can have any value (%s): min and max, enum or max_length in model.yaml refuse what the model was not trained on",
			n, counted(len(features), "feature"), firstOf(unbounded, shown)))
	}
	if names := unnamed(s); names != "" {
		all = append(all, "the classes have no names but "+names+": labels in model.yaml gives them names")
	}
	return all
}

// unnamed returns the classes of a classifier that are known by their numbers
// alone; empty for any other model.
func unnamed(s *schema.Schema) string {
	classifies := slices.ContainsFunc(s.Outputs(), func(o schema.Output) bool { return o.Role == schema.RoleLabel && o.Type != "string" })
	labels := s.Labels()
	if !classifies || slices.ContainsFunc(labels, func(l string) bool { _, err := strconv.ParseInt(l, 10, 64); return err != nil }) {
		return ""
	}
	if len(labels) == 0 {
		return "their numbers"
	}
	const shown = 5
	return firstOf(labels, shown)
}

// firstOf joins the first names, with a mark where there are more.
func firstOf(names []string, shown int) string {
	text := strings.Join(names[:min(len(names), shown)], ", ")
	if len(names) > shown {
		text += ", …"
	}
	return text
}

// doubts says where the export has probably lost something, and how to find out.
func doubts(m *app.Model) []string {
	all := m.Doubts()
	for i := range all {
		all[i] += " (compare the model with its library: --golden, docs/exporting.md)"
	}
	return all
}

// bounded reports whether a rule keeps a feature from taking any value.
func bounded(f *schema.Feature) bool {
	return f.Min != nil || f.ExclusiveMin != nil || f.Max != nil || f.ExclusiveMax != nil || len(f.Enum) > 0 ||
		f.Pattern != "" || f.MaxLength > 0 || f.Type == "bool"
}

func bounds(bounded bool) string {
	if bounded {
		return "bounded"
	}
	return "any value"
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// explain names, for each operator that the engine lacks, where it is and what
// to do.
func (p *Process) explain(info *exec.Info) {
	for _, o := range info.Operators {
		if o.Supported {
			continue
		}
		where := counted(o.Nodes, "node")
		if o.Node != "" {
			where += ", the first is " + onnx.Quote(o.Node)
		}
		_, _ = fmt.Fprintf(p.Stderr, "%s.%s, version %d (%s): not in the native engine; %s\n",
			o.Domain, o.Name, o.Version, where, remedy(o.Domain))
	}
}

// remedy says how a model with an operator of the domain can run all the same.
func remedy(domain string) string {
	switch domain {
	case "ai.onnx", "ai.onnx.ml", "com.microsoft":
		return "see onnxgate model ops for those that are, or run the model with ONNX Runtime: make build-ort"
	}
	return "it is not an ONNX operator; export the model without it"
}
