package cli

import (
	"context"
	"fmt"
	"strings"

	"onnxgate/internal/app"
	"onnxgate/internal/regular"
	"onnxgate/internal/schema"
	"onnxgate/internal/schema/golden"
)

// maxShown is how many differences are shown.
const maxShown = 10

func readGolden(ctx context.Context, file string, contract *schema.Schema, target []string) (*golden.Rows, error) {
	data, _, err := regular.ReadFile(file, maxRequest)
	if err != nil {
		return nil, err
	}
	read := golden.ReadCSV
	if strings.HasSuffix(file, ".json") {
		read = golden.ReadJSON
	}
	rows, err := read(ctx, data, contract, target)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, schema.InOneLine(asideHint(err)))
	}
	return rows, nil
}

// checkGolden fails when the model answers otherwise than its training library.
func (p *Process) checkGolden(ctx context.Context, m *app.Model, file string, target []string) error {
	g, err := readGolden(ctx, file, m.Schema, target)
	if err != nil {
		return err
	}
	differences, err := g.Compare(ctx, m.Program)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if n := g.Beyond(); n > 0 {
		p.complain(fmt.Sprintf("warning: %s: a server would refuse %d of %s by the rules of %s; they are compared all the same",
			file, n, counted(g.Len(), "row"), orElse(m.Manifest, "the graph")))
	}
	for _, d := range differences[:min(len(differences), maxShown)] {
		p.complain(d)
	}
	if n := len(differences); n > 0 {
		return fmt.Errorf("%d of %d rows differ from what %s said; see docs/exporting.md for exports that lose a step", n, g.Len(), g.Said())
	}
	agree := "agree"
	if g.Len() == 1 {
		agree = "agrees"
	}
	return p.printf("golden    %s   %s %s\n", file, counted(g.Len(), "row"), agree)
}
