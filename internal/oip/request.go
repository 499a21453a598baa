// Package oip reads and writes the messages of the Open Inference Protocol,
// version 2, over REST: JSON with tensors by name, each with a shape, a datatype
// and its elements, and behind it the tensors that travel as bytes (Triton's
// binary tensor data extension). It owns the form of requests and responses. It
// must not know transports, models or the engine: the caller says which inputs
// and outputs there are.
package oip

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

// Contract is what a request must fit.
type Contract struct {
	// Inputs and Outputs are the model's, in its order.
	Inputs, Outputs []tensor.Spec
	// MaxRows bounds the first extent of inputs where the model leaves it free,
	// before memory is taken for them; 0 means that nothing does.
	MaxRows int
}

// Request is a request to infer. One that a Reader has read is valid until it
// reads another.
type Request struct {
	// ID is the client's name for the request; the response repeats it.
	ID string
	// Inputs are in the order of the contract's.
	Inputs []*tensor.Tensor
	// Outputs are indexes into the contract's outputs, in the order in which the
	// request asks for them. A request that asks for none gets all.
	Outputs []int
	// Parts names of each of Outputs the one tensor of it that is asked for, as Flat
	// does; empty for all of it. Nil: every one is asked for as a whole.
	Parts []string
	// Binary says of each of Outputs whether it is to travel as bytes.
	Binary []bool
}

// Parse reads one request of JSON alone into tensors of its own. Faults are those
// of Reader.Read.
func Parse(body []byte, inputs, outputs []tensor.Spec) (*Request, error) {
	into := make([]*tensor.Tensor, len(inputs))
	for i := range into {
		into[i] = new(tensor.Tensor)
	}
	return new(Reader).Read(Message{JSON: body}, Contract{Inputs: inputs, Outputs: outputs}, into)
}

// Reader reads requests one after another, in the same memory. The zero value is
// ready.
type Reader struct {
	contract Contract
	message  Message
	buf      bytes.Buffer
	dec      jsontext.Decoder

	request Request
	entries []entry
	extents []int  // of all shapes, one behind the other
	used    int    // bytes of the message's tensors that inputs have claimed
	given   []int  // the entry of each input, -1 without one; nil where some input is a list
	parts   *parts // of inputs that are lists
	binary  bool   // what an output is that does not say
	asked   []choice
	raws    [][]byte // raw_input_contents
}

// choice is what a request says about an output's form.
type choice uint8

const (
	unsaid choice = iota
	asJSON
	asBytes
)

// entry is one member of "inputs", not yet understood. What it holds is part of
// the message.
type entry struct {
	name, datatype []byte
	data           []byte // JSON, one value
	raw            []byte // elements as bytes
	shape          []int
	from, to       int // of its shape in extents
	shaped, binary bool
	wire, typed    bool // of a protobuf message; data is its InferTensorContents
}

// Read reads one request into the tensors, one for each input, whose memory it
// uses again. Elements go from the message into them directly. Faults: Syntax for
// what is not JSON, Content for what does not fit, Unsupported for extensions of
// the protocol that are not served.
func (r *Reader) Read(m Message, c Contract, into []*tensor.Tensor) (*Request, error) {
	r.begin(m, c)
	defer r.end()
	if err := r.document(); err != nil {
		return nil, err
	}
	if left := len(m.Tensors) - r.used; left > 0 {
		return nil, fault.Newf(fault.Content, "%d bytes follow the JSON and the tensors that it announces by binary_data_size", left)
	}
	r.choose()
	r.request.Inputs = into
	return &r.request, r.fill(into)
}

func (r *Reader) begin(m Message, c Contract) {
	r.contract, r.message = c, m
	r.buf = *bytes.NewBuffer(m.JSON)
	r.dec.Reset(&r.buf)
	r.request = Request{Outputs: r.request.Outputs[:0], Binary: r.request.Binary[:0]}
	r.entries, r.extents, r.asked = r.entries[:0], r.extents[:0], r.asked[:0]
	r.used, r.binary, r.parts, r.given = 0, false, nil, r.given[:0]
	r.raws = r.raws[:0]
	if slices.ContainsFunc(c.Inputs, isList) {
		r.parts = newParts(c.Inputs)
		return
	}
	for range c.Inputs {
		r.given = append(r.given, -1)
	}
}

// end lets go of the message.
func (r *Reader) end() {
	r.message, r.contract, r.parts = Message{}, Contract{}, nil
	r.buf = bytes.Buffer{}
	r.dec.Reset(&r.buf)
	clear(r.entries)
	clear(r.raws)
}

// choose settles which outputs are wanted in which form.
func (r *Reader) choose() {
	q := &r.request
	if len(q.Outputs) == 0 {
		for i := range r.contract.Outputs {
			q.Outputs, r.asked = append(q.Outputs, i), append(r.asked, unsaid)
		}
	}
	for _, asked := range r.asked {
		q.Binary = append(q.Binary, asked == asBytes || asked == unsaid && r.binary)
	}
}

// fill decodes the inputs.
func (r *Reader) fill(into []*tensor.Tensor) error {
	for i := range r.entries {
		e := &r.entries[i]
		e.shape = r.extents[e.from:e.to]
	}
	if r.parts != nil {
		return r.parts.fill(r.entries, into)
	}
	for i := range r.contract.Inputs {
		s := &r.contract.Inputs[i]
		if r.given[i] < 0 {
			return missing(s.Name)
		}
		e := &r.entries[r.given[i]]
		if err := r.fits(s, e); err != nil {
			return err
		}
		if err := e.decode(s.DType, into[i]); err != nil {
			return err
		}
	}
	return nil
}

// fits holds a shape against the model's before memory is taken for it.
func (r *Reader) fits(s *tensor.Spec, e *entry) error {
	if s.Kind != tensor.KindTensor || !s.Ranked {
		return nil
	}
	if !s.Fits(e.shape) {
		return fault.Newf(fault.Content, "input %q must have shape %s, not %s", s.Name, extents(Extents(s)), extents(e.shape))
	}
	if most := r.contract.MaxRows; most > 0 && len(s.Dims) > 0 && s.Dims[0].Size < 0 && e.shape[0] > most {
		return fault.Newf(fault.Content, "input %q must hold at most %d rows, not %d", s.Name, most, e.shape[0])
	}
	return nil
}

func missing(name string) error {
	return fault.Newf(fault.Content, "input %q is missing", name)
}

// place notes which input an entry is for. Entries come in the order of the
// inputs mostly.
func (r *Reader) place(e *entry) error {
	if r.parts != nil {
		return r.parts.place(len(r.entries), e)
	}
	inputs := r.contract.Inputs
	k := len(r.entries)
	if k >= len(inputs) || inputs[k].Name != string(e.name) {
		k = indexOf(e.name, "input-", inputs)
	}
	switch {
	case k < 0:
		return unknownInput(e, inputs)
	case r.given[k] >= 0:
		return fault.Newf(fault.Content, "input %q is given twice", e.name)
	}
	r.given[k] = len(r.entries)
	return nil
}

func unknownInput(e *entry, inputs []tensor.Spec) error {
	return fault.Newf(fault.Content, "there is no input %q; there is %s", cut(e.name), list(inputs))
}

// indexOf finds a spec by its name, or by prefix and number: "input-0".
func indexOf(name []byte, prefix string, specs []tensor.Spec) int {
	i := slices.IndexFunc(specs, func(s tensor.Spec) bool { return s.Name == string(name) })
	if number, ok := bytes.CutPrefix(name, []byte(prefix)); ok && i < 0 {
		if n, err := strconv.ParseUint(string(number), 10, 16); err == nil && int(n) < len(specs) {
			return int(n)
		}
	}
	return i
}

// Names of a client's are shown as far as they help, and a model's inputs as far
// as one line holds them.
const (
	shownName  = 128
	shownSpecs = 32
)

func cut(name []byte) string {
	if len(name) > shownName {
		return strings.ToValidUTF8(string(name[:shownName]), "") + "…"
	}
	return string(name)
}

func list(specs []tensor.Spec) string {
	var names []string
	for i := range specs {
		for name := range FlatSpec(&specs[i]) {
			if len(names) == shownSpecs {
				return strings.Join(names, ", ") + ", …"
			}
			names = append(names, strconv.Quote(name))
		}
	}
	return strings.Join(names, ", ")
}

func isList(s tensor.Spec) bool {
	return s.Kind == tensor.KindSequence || s.Kind == tensor.KindOptional || s.Kind == tensor.KindMap
}

// Extents returns a spec's shape as the protocol writes it: -1 where any extent
// is accepted. It is nil where not even the rank is known.
func Extents(s *tensor.Spec) []int {
	if !s.Ranked {
		return nil
	}
	shape := make([]int, len(s.Dims))
	for i, d := range s.Dims {
		shape[i] = max(d.Size, -1)
	}
	return shape
}

// extents writes a shape as JSON does.
func extents(shape []int) string {
	return string(appendAll(nil, shape, func(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }))
}
