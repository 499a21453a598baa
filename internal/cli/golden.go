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
		return nil, fmt.Errorf("%s: %w", file, schema.InOneLine(asideHint(err, contract)))
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
	p.tellBeyond(g, file, orElse(m.Manifest, "the graph"))
	for _, d := range differences[:min(len(differences), maxShown)] {
		p.complain(d)
	}
	if n := len(differences); n > 0 {
		cause := "see docs/exporting.md for exports that lose a step"
		if len(g.Targets()) > 0 {
			cause = "a model need not repeat what it was trained on: compare it with its library's answers, in a column prediction (docs/exporting.md)"
		}
		return fmt.Errorf("%d of %d rows, counted from 0, differ from what %s said; %s", n, g.Len(), g.Said(), cause)
	}
	agree := "agree"
	if g.Len() == 1 {
		agree = "agrees"
	}
	return p.printf("golden    %s   %s %s\n", file, counted(g.Len(), "row"), agree)
}

// tellBeyond names the rows that a server would refuse.
func (p *Process) tellBeyond(g *golden.Rows, file, rules string) {
	beyond := g.Beyond()
	if len(beyond) == 0 {
		return
	}
	p.complain(fmt.Sprintf("warning: %s: a server would refuse %d of %s, counted from 0, by the rules of %s; they are compared all the same",
		file, len(beyond), counted(g.Len(), "row"), rules))
	for _, f := range beyond[:min(len(beyond), maxShown)] {
		p.complain(fmt.Sprintf("warning: %s: %s %s", file, f.Pointer, f.Detail))
	}
}
