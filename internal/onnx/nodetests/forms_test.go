package nodetests

import (
	"fmt"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/tensor"
)

// form is a way to put a case. ONNX's models take every value from the caller,
// while exporters write axes, shapes and weights into the file, where the
// engine reads them once and computes what it can before any run: another path
// through most operators.
type form struct {
	name string
	// from is the first input that becomes an initializer of the model.
	from int
}

// forms are the ways that a case is put.
func forms(c *testCase) []form {
	return []form{
		{"as it comes", len(c.Inputs)},
		{"all inputs but the first in the model", 1},
		{"all inputs in the model", 0},
	}
}

// changed reports whether the model is not the one of the suite.
func (f form) changed(c *testCase) bool { return f.from < len(c.Inputs) }

// constant reports whether a form puts input i into the model. Only tensors can
// be there.
func (f form) constant(c *testCase, i int) bool { return i >= f.from && c.Inputs[i].Form == "tensor" }

// model returns the file of a case in this form.
func (f form) model(c *testCase, set string) ([]byte, error) {
	file, err := os.ReadFile(filepath.Join(casesFolder(), c.Folder, "model.onnx"))
	if err != nil {
		return nil, err
	}
	var initializers []byte
	for i, p := range c.Inputs {
		if !f.constant(c, i) {
			continue
		}
		data, err := os.ReadFile(portFile(c, set, "input", i))
		if err != nil {
			return nil, err
		}
		initializers = protowire.AppendTag(initializers, 5, protowire.BytesType)
		initializers = protowire.AppendBytes(initializers, renamed(data, p.Name))
	}
	const graph = 7
	return replaced(file, graph, func(body []byte) []byte { return append(body, initializers...) })
}

// given returns those of the inputs that a caller gives in this form, and their
// ports.
func (f form) given(c *testCase, in []*tensor.Tensor) ([]*tensor.Tensor, []port) {
	values, ports := []*tensor.Tensor{}, []port{}
	for i, p := range c.Inputs {
		if !f.constant(c, i) {
			values, ports = append(values, in[i]), append(ports, p)
		}
	}
	return values, ports
}

// portFile is the file of input or output i.
func portFile(c *testCase, set, what string, i int) string {
	return filepath.Join(casesFolder(), c.Folder, set, fmt.Sprintf("%s_%d.pb", what, i))
}

// renamed returns a TensorProto under another name.
func renamed(data []byte, name string) []byte {
	const field = 8
	var out []byte
	_ = fields(data, func(num protowire.Number, whole, _ []byte) error {
		if num != field {
			out = append(out, whole...)
		}
		return nil
	})
	out = protowire.AppendTag(out, field, protowire.BytesType)
	return protowire.AppendString(out, name)
}

// replaced returns a message whose length-delimited field num went through
// change.
func replaced(data []byte, num protowire.Number, change func(body []byte) []byte) ([]byte, error) {
	var out []byte
	err := fields(data, func(n protowire.Number, whole, body []byte) error {
		if n != num {
			out = append(out, whole...)
			return nil
		}
		out = protowire.AppendTag(out, num, protowire.BytesType)
		out = protowire.AppendBytes(out, change(append([]byte(nil), body...)))
		return nil
	})
	return out, err
}

// fields calls do for each field of a message: the field as a whole, and the
// body of a length-delimited one.
func fields(b []byte, do func(num protowire.Number, whole, body []byte) error) error {
	for len(b) > 0 {
		num, typ, head := protowire.ConsumeTag(b)
		if head < 0 {
			return protowire.ParseError(head)
		}
		size := protowire.ConsumeFieldValue(num, typ, b[head:])
		if size < 0 {
			return protowire.ParseError(size)
		}
		var body []byte
		if typ == protowire.BytesType {
			body, _ = protowire.ConsumeBytes(b[head:])
		}
		if err := do(num, b[:head+size], body); err != nil {
			return err
		}
		b = b[head+size:]
	}
	return nil
}
