package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/npy"
	"onnxgate/internal/oip"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// answerFlags say how an answer is written, and what of it.
type answerFlags struct {
	format  string
	outputs []string
}

func addAnswer(cmd *cobra.Command) *answerFlags {
	f := &answerFlags{}
	addFormat(cmd, &f.format, "format", "output format (default that of the input; JSON if a NumPy array has several outputs)")
	cmd.Flags().StringSliceVar(&f.outputs, "output", nil, "write only the output `NAME`; may be repeated")
	return f
}

func (f *answerFlags) check() error { return checkFormat("format", f.format) }

// answer is how the outputs of a run are written.
type answer struct {
	*request
	format string
	wanted []int    // outputs, in order
	parts  []string // of each of them the one tensor that the protocol asks for; see oip.Request
	// contract is of these outputs alone.
	contract *schema.Schema
}

// choose settles the form of the answer, before anything is run.
func (r *request) choose(f *answerFlags) (*answer, error) {
	a := &answer{request: r, format: f.format, contract: r.contract}
	specs := r.program.Outputs()
	for _, name := range f.outputs {
		i := slices.IndexFunc(specs, func(s tensor.Spec) bool { return s.Name == name })
		if i < 0 {
			return nil, usagef("the model has no output %q; it has %s", name, inputNames(specs))
		}
		if slices.Contains(a.wanted, i) {
			return nil, usagef("output %q is named twice", name)
		}
		a.wanted = append(a.wanted, i)
	}
	switch {
	case len(f.outputs) > 0:
	case r.oip != nil:
		a.wanted, a.parts = r.oip.Outputs, r.oip.Parts
	default:
		for i := range specs {
			a.wanted = append(a.wanted, i)
		}
	}
	single := len(a.wanted) == 1 && (specs[a.wanted[0]].Kind == tensor.KindTensor || specs[a.wanted[0]].Kind == tensor.KindMapSequence)
	switch {
	case a.format == "" && r.format == formatNPY && !single:
		a.format = formatJSON
	case a.format == "":
		a.format = r.format
	case a.format == formatNPY && !single:
		return nil, usagef("a .npy file holds one tensor, and the model has the outputs %s; choose one with --output", inputNames(specs))
	}
	return a, a.narrow()
}

// narrow makes the contract that answers by rows need.
func (a *answer) narrow() (err error) {
	all := len(a.wanted) == len(a.program.Outputs()) && slices.IsSorted(a.wanted)
	byRows := a.format == formatCSV || a.format == formatJSON && a.batch != nil
	if byRows && a.contract == nil {
		a.contract, err = app.Contract(a.model, a.program)
	}
	if byRows && !all && err == nil {
		a.contract = a.contract.Only(a.wanted)
	}
	return err
}

// of returns the elements at the given places.
func of[T any](all []T, places []int) []T {
	some := make([]T, len(places))
	for i, at := range places {
		some[i] = all[at]
	}
	return some
}

// append writes the outputs of a run.
func (a *answer) append(outputs []*tensor.Tensor) ([]byte, error) {
	name, version := app.ModelName(a.model)
	switch {
	case a.format == formatNPY:
		return npy.Append(nil, outputs[a.wanted[0]])
	case a.format == formatCSV:
		return a.contract.AppendTable(nil, a.rows(), of(outputs, a.wanted))
	case a.batch != nil:
		text, err := a.contract.AppendResponse(nil, a.batch, of(outputs, a.wanted), version)
		return append(text, '\n'), err
	}
	id := ""
	if a.oip != nil {
		id = a.oip.ID
	}
	text, _ := oip.AppendResponse(nil, &oip.Response{
		Model: name, Version: version, ID: id, Specs: a.program.Outputs(), Outputs: outputs, Wanted: a.wanted, Parts: a.parts,
	})
	return text, nil
}

// rows returns the rows of the request, which tensors count along their first
// axis.
func (a *answer) rows() *schema.Batch {
	if a.batch != nil {
		return a.batch
	}
	b := a.contract.NewBatch()
	b.Rows = sampleRows(a.inputs)
	return b
}
