package cli

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/onnx/ops"
)

func modelOps(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "ops", Short: "List the supported operators and their versions", Args: exactly()}
	page := cmd.Flags().Bool("markdown", false, "print docs/operators.md")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *page {
			return p.printf("%s", operatorsPage())
		}
		w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
		for _, o := range operators() {
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", o.domain, o.name, o.versions)
		}
		return w.Flush()
	}
	return cmd
}

// operator is one name with all its meanings.
type operator struct{ domain, name, versions string }

// operators returns what the engine knows, by domain and name.
func operators() []operator {
	var all []operator
	for _, o := range ops.Operators() {
		domain, version := cmp.Or(o.Domain, "ai.onnx"), fmt.Sprint(o.Since)
		if n := len(all); n > 0 && all[n-1].domain == domain && all[n-1].name == o.Name {
			all[n-1].versions += ", " + version
			continue
		}
		all = append(all, operator{domain, o.Name, version})
	}
	return all
}

// operatorsPage is docs/operators.md.
func operatorsPage() string {
	var b strings.Builder
	b.WriteString("# Operators\n\n" +
		"What a model may be made of, written by `onnxgate model ops --markdown`. A version is the\n" +
		"first of its domain's operator set from which on the operator is understood as that version\n" +
		"defines it; one is enough where later versions only add types. A model with another operator\n" +
		"is refused with one error that names all that are missing.\n")
	all := operators()
	for len(all) > 0 {
		n := slices.IndexFunc(all, func(o operator) bool { return o.domain != all[0].domain })
		if n < 0 {
			n = len(all)
		}
		fmt.Fprintf(&b, "\n## %s\n\nUp to version %d of the operator set.\n\n| operator | since version |\n|---|---|\n", all[0].domain, ops.Newest(all[0].domain))
		for _, o := range all[:n] {
			fmt.Fprintf(&b, "| %s | %s |\n", o.name, o.versions)
		}
		all = all[n:]
	}
	return b.String()
}
