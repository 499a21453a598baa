package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/fault"
	"onnxgate/internal/filekind"
	"onnxgate/internal/inference"
	"onnxgate/internal/npy"
	"onnxgate/internal/oip"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// The formats of requests and answers.
const (
	formatJSON = "json"
	formatCSV  = "csv"
	formatNPY  = "npy"
)

func formats() []string { return []string{formatJSON, formatCSV, formatNPY} }

// maxRequest bounds a request that is read from a file or standard input.
const maxRequest = 1 << 30

// inputFlags say where a request is and how it is written.
type inputFlags struct {
	files []string
	from  string
	// target are columns of rows that the model does not see.
	target []string
}

func addInput(cmd *cobra.Command, what string) *inputFlags {
	f := &inputFlags{}
	cmd.Flags().StringArrayVar(&f.files, "input", nil, "input `FILE` (.json, .csv or .npy), - for standard input; "+
		"NAME=FILE gives a .npy for one of several inputs "+what)
	cmd.Flags().StringSliceVar(&f.target, "target", nil, "`COLUMN` of the rows that the model does not see, such as what it was trained to predict; may be repeated")
	addFormat(cmd, &f.from, "from", "input format (default by the file's extension, else its contents)")
	return f
}

// addFormat adds a flag whose value is a format.
func addFormat(cmd *cobra.Command, into *string, name, usage string) {
	cmd.Flags().StringVar(into, name, "", usage+": "+strings.Join(formats(), ", "))
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(formats(), cobra.ShellCompDirectiveNoFileComp)) // fails only without such a flag
}

func checkFormat(flag, format string) error {
	if format != "" && !slices.Contains(formats(), format) {
		return usagef("--%s must be one of %s, not %q", flag, strings.Join(formats(), ", "), format)
	}
	return nil
}

// request is what a model is given.
type request struct {
	model   string // its file
	file    string // that the request is in; empty for standard input and for several
	program inference.Program
	inputs  []*tensor.Tensor
	format  string
	target  []string // columns of rows that are left out
	// oip is set for a request of the Open Inference Protocol.
	oip *oip.Request
	// batch and contract are set for rows by the names of features.
	batch    *schema.Batch
	contract *schema.Schema
}

// readRequest reads what the flags name for a model that is loaded.
func (p *Process) readRequest(ctx context.Context, model string, program inference.Program, flags *inputFlags) (*request, error) {
	if err := checkFormat("from", flags.from); err != nil {
		return nil, err
	}
	r := &request{model: model, program: program, target: flags.target}
	if len(flags.files) > 1 || len(flags.files) == 1 && r.names(flags.files[0]) {
		return r, p.readArrays(r, flags)
	}
	file := "-"
	if len(flags.files) == 1 {
		file = flags.files[0]
	}
	body, err := p.readBody(file)
	if err != nil {
		return nil, err
	}
	if file != "-" {
		r.file = file
	}
	if err := r.read(ctx, body, formatOf(file, flags.from, body)); err != nil {
		return nil, r.inFile(err)
	}
	if r.batch == nil && len(flags.target) > 0 {
		return nil, usagef("--target names a column of rows with named features, and the input has none")
	}
	return r, nil
}

// read reads a request that is written in a format, empty for none of them.
func (r *request) read(ctx context.Context, body []byte, format string) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return fault.New(fault.Content, "the input is empty")
	}
	if what := filekind.Data(body); what != "" {
		return fault.New(fault.Content, "the input is "+what)
	}
	r.format = format
	switch format {
	case formatCSV:
		return r.table(ctx, body)
	case formatNPY:
		return r.array(body)
	case formatJSON:
		return r.json(ctx, body)
	}
	return fault.New(fault.Content, "the input is neither JSON nor a CSV table nor a NumPy .npy file")
}

// inFile writes an error of the request in one line, with the file's name.
func (r *request) inFile(err error) error {
	if err == nil || r.file == "" {
		return schema.InOneLine(err)
	}
	return fmt.Errorf("%s: %w", r.file, schema.InOneLine(err))
}

// check holds tensors to the rules of the model's contract, which rows have
// been read by. A model whose model.yaml is wrong has none.
func (r *request) check(ctx context.Context) error {
	if r.batch != nil {
		return nil
	}
	contract, err := app.Contract(r.model, r.program)
	if err != nil {
		return nil //nolint:nilerr // `model check` says what is wrong with it
	}
	return r.inFile(contract.CheckTensors(ctx, r.inputs))
}

func (p *Process) readBody(file string) ([]byte, error) {
	if file == "-" {
		return readAll(p.Stdin)
	}
	f, err := os.Open(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, err
	}
	body, err := readAll(f)
	return body, errors.Join(err, f.Close())
}

// readAll refuses what is larger than a request may be, rather than cut it off.
func readAll(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, maxRequest+1))
	if err == nil && len(body) > maxRequest {
		return nil, fault.Newf(fault.Content, "the input is larger than %d MiB", maxRequest>>20)
	}
	return body, err
}

// formatOf settles how a request is written; empty for what is none of the
// formats.
func formatOf(file, from string, body []byte) string {
	if from != "" {
		return from
	}
	if end := strings.TrimPrefix(strings.ToLower(filepath.Ext(file)), "."); slices.Contains(formats(), end) {
		return end
	}
	const looked = 512 // no text has a NUL
	text := bytes.TrimSpace(body)
	switch {
	case npy.Is(body):
		return formatNPY
	case bytes.IndexByte(body[:min(len(body), looked)], 0) >= 0:
		return ""
	case len(text) == 0, text[0] == '{', text[0] == '[', bytes.IndexByte(text, '\n') < 0:
		return formatJSON
	}
	return formatCSV
}

// named returns which input NAME=FILE is for, or -1.
func (r *request) named(arg string) int {
	name, _, ok := strings.Cut(arg, "=")
	if !ok {
		return -1
	}
	return slices.IndexFunc(r.program.Inputs(), func(s tensor.Spec) bool { return s.Name == name })
}

// names reports whether arg is NAME=FILE, and not the name of a file with a sign
// in it.
func (r *request) names(arg string) bool {
	if r.named(arg) >= 0 {
		return true
	}
	_, err := os.Stat(arg)
	return strings.Contains(arg, "=") && err != nil
}

// readArrays reads a .npy file for each input.
func (p *Process) readArrays(r *request, flags *inputFlags) error {
	specs := r.program.Inputs()
	r.inputs, r.format = make([]*tensor.Tensor, len(specs)), formatNPY
	for _, arg := range flags.files {
		i := r.named(arg)
		if i < 0 {
			return usagef("--input %s: %s; write NAME=FILE for each", arg, noInput(arg, specs))
		}
		_, file, _ := strings.Cut(arg, "=")
		body, err := p.readBody(file)
		if err != nil {
			return err
		}
		if r.inputs[i], err = arrayFor(&specs[i], body); err != nil {
			return fmt.Errorf("%s: %w", file, schema.InOneLine(err))
		}
	}
	if i := slices.Index(r.inputs, nil); i >= 0 {
		return usagef("the model also takes %q; write --input %s=FILE", specs[i].Name, specs[i].Name)
	}
	return nil
}

// noInput says that what stands before the sign is no input.
func noInput(arg string, specs []tensor.Spec) string {
	name, _, ok := strings.Cut(arg, "=")
	if !ok {
		return "it does not name the input it is for; the model has " + inputNames(specs)
	}
	return fmt.Sprintf("the model has no input %q; it has %s", name, inputNames(specs))
}

func inputNames(specs []tensor.Spec) string {
	names := make([]string, len(specs))
	for i := range specs {
		names[i] = fmt.Sprintf("%q", specs[i].Name)
	}
	return strings.Join(names, ", ")
}

// array reads a .npy file for the only input.
func (r *request) array(body []byte) error {
	specs := r.program.Inputs()
	if len(specs) != 1 {
		return fault.Newf(fault.Content, "a .npy file holds one input, and the model takes %s; write --input NAME=FILE for each, or give it a CSV table",
			inputNames(specs))
	}
	t, err := arrayFor(&specs[0], body)
	r.inputs = []*tensor.Tensor{t}
	return err
}

// arrayFor reads a .npy file as the type of an input.
func arrayFor(s *tensor.Spec, body []byte) (*tensor.Tensor, error) {
	if s.Kind != tensor.KindTensor {
		return nil, fault.Newf(fault.Content, "input %q is a %v, which a .npy file cannot hold; give it as JSON", s.Name, s.Kind)
	}
	t, err := npy.Decode(body)
	if err != nil {
		return nil, err
	}
	if t, err = tensor.Convert(t, s.DType); err != nil {
		return nil, fault.Newf(fault.Content, "input %q is %v: %v", s.Name, s.DType, err)
	}
	return t, nil
}

// table reads a CSV table, whose columns are features of the model's contract,
// or of its graph when the header knows that better.
func (r *request) table(ctx context.Context, body []byte) error {
	contract, err := app.Contract(r.model, r.program)
	if err != nil {
		return err
	}
	name, _ := app.ModelName(r.model)
	graph, err := schema.CompileGraph(name, r.program.Inputs(), r.program.Outputs())
	if names := schema.Header(body); err == nil && graph.Columns(names) > contract.Columns(names) {
		contract = graph
	}
	if err := schema.CheckTable(body); err != nil {
		return err
	}
	r.decode(contract)
	_, err = contract.DecodeTable(ctx, r.batch, bytes.NewReader(body), math.MaxInt, r.target)
	return asideHint(err, contract)
}

// decode notes that rows come by the names of a contract's features.
func (r *request) decode(contract *schema.Schema) {
	r.contract, r.batch = contract, contract.NewBatch()
	r.inputs = r.batch.Inputs
}

// json reads a request of the Open Inference Protocol, or rows. A model whose
// model.yaml is wrong can be asked by the protocol all the same.
func (r *request) json(ctx context.Context, body []byte) error {
	r.format = formatJSON
	if !schema.IsText(body) {
		return fault.New(fault.Syntax, "the request "+schema.NotUTF8)
	}
	contract, err := app.Contract(r.model, r.program)
	r.contract = contract
	if err == nil && contract.Columns([]string{"inputs"}) > 0 || !isProtocol(body) {
		if err != nil {
			return err
		}
		r.decode(contract)
		if body, err = without(body, r.target); err != nil {
			return err
		}
		return asideHint(contract.Decode(ctx, r.batch, body, math.MaxInt), contract)
	}
	if r.oip, err = oip.Parse(body, r.program.Inputs(), r.program.Outputs()); err != nil {
		return err
	}
	r.inputs = r.oip.Inputs
	return nil
}

// without returns rows without some members.
func without(body []byte, names []string) ([]byte, error) {
	if len(names) == 0 {
		return body, nil
	}
	var rows []map[string]json.RawMessage
	single := bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("{"))
	if single {
		body = slices.Concat([]byte("["), body, []byte("]"))
	}
	if err := json.Unmarshal(body, &rows); err != nil {
		return nil, fault.Newf(fault.Syntax, "the rows are not an array of objects: %v", err)
	}
	for _, row := range rows {
		for _, name := range names {
			delete(row, name)
		}
	}
	if single && len(rows) == 1 {
		return json.Marshal(rows[0])
	}
	return json.Marshal(rows)
}

// shownNames is how many features a message names.
const shownNames = 10

// asideHint says how a column that is no feature can stay where it is; where none of
// the features is there, what they are.
func asideHint(err error, contract *schema.Schema) error {
	if err == nil {
		return nil
	}
	e := fault.As(err)
	if names, absent := absentFeatures(e, contract); absent {
		return fault.Newf(e.Kind, "none of the model's features is in the input; they are %s, named by model.yaml or else by the graph (onnxgate model init writes a model.yaml)",
			firstOf(names, shownNames))
	}
	for i := range e.Fields {
		if f := &e.Fields[i]; strings.HasSuffix(f.Detail, schema.NotAFeature) {
			f.Detail += " (--target names a column to leave out)"
		}
	}
	return err
}

// absentFeatures returns the names of the features, and whether there are several
// and none is there.
func absentFeatures(e *fault.Error, contract *schema.Schema) (names []string, absent bool) {
	missing := 0
	for i := range e.Fields {
		if e.Fields[i].Detail == schema.IsRequired {
			missing++
		}
	}
	features := contract.Features()
	for i := range features {
		names = append(names, features[i].Name)
	}
	return names, len(names) > 1 && missing == len(names) && len(e.Fields) > missing
}

// isProtocol reports whether a body is meant as a request of the protocol: an
// object with "inputs" before its first slip, or without any member.
func isProtocol(body []byte) bool {
	d := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true))
	if begin, err := d.ReadToken(); err != nil || begin.Kind() != jsontext.KindBeginObject {
		return false
	}
	if d.PeekKind() == jsontext.KindEndObject {
		return true
	}
	for d.PeekKind() == jsontext.KindString {
		name, err := d.ReadToken()
		if err == nil && name.String() == "inputs" {
			return true
		}
		if err != nil || d.SkipValue() != nil {
			return false
		}
	}
	return false
}
