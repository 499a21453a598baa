package cli

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
)

func modelCheck(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "check FILE", Short: "Say whether a server could serve the model, and why not", Args: exactly("FILE")}
	goldenFile := cmd.Flags().String("golden", "", "`FILE` of rows with the training library's answers as \"prediction\" (CSV or JSON), to compare with")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		m, err := p.engines().LoadModel(args[0])
		info := m.Inspect()
		if err != nil {
			if info != nil {
				p.explain(info)
			}
			return err
		}
		if err := p.printCheck(m, info); err != nil {
			return err
		}
		for _, w := range m.Warnings {
			p.complain("warning: " + w)
		}
		if *goldenFile != "" {
			if err := p.checkGolden(cmd.Context(), m, *goldenFile); err != nil {
				return err
			}
		}
		return p.printf("%s can be served (contract: %s)\n", args[0], orElse(m.Manifest, "the graph alone, for the role admin"))
	}
	return cmd
}

// printCheck prints what runs the model, what it is made of, and what the API
// will show of it.
func (p *Process) printCheck(m *app.Model, info *exec.Info) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { _, _ = fmt.Fprintln(w, strings.Join(cells, "\t")) }
	row("engine", string(app.EngineOf(m.Program)))
	if info != nil {
		for _, o := range info.Opsets {
			row("opset", cmp.Or(o.Domain, "ai.onnx"), fmt.Sprint(o.Version))
		}
		for _, o := range info.Operators {
			row("operator", o.Domain+"."+o.Name, fmt.Sprint(o.Version), counted(o.Nodes, "node"))
		}
	}
	features := m.Schema.Features()
	for i := range features {
		f := &features[i]
		row("feature", f.Name, kindOf(f.Kind, f.Type), bounds(f.Min != nil || f.ExclusiveMin != nil || f.Max != nil || f.ExclusiveMax != nil || len(f.Enum) > 0))
	}
	for _, o := range m.Schema.Outputs() {
		row("output", o.Name, o.Type, string(o.Role))
	}
	if labels := m.Schema.Labels(); len(labels) > 0 {
		row("labels", strings.Join(labels, ", "))
	}
	return w.Flush()
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
		return "see onnxgate model ops for what is, or run the model by ONNX Runtime: make build-ort"
	}
	return "it is no operator of ONNX's; export the model without it"
}
