// Package decode turns the bytes of an ONNX file into an onnx.Model. It alone
// knows protobuf.
//
// It reads the wire with protowire and not with code generated from
// onnx.proto, for three reasons: generated code has made the whole message
// tree in memory before anything can look at its size, while here every limit
// is checked before the memory that it bounds is asked for; it needs
// reflection and a registry of messages that the binary carries for nothing
// else; and it merges or replaces a singular field that comes twice, where a
// model must not mean two things to two readers. The price is small, because
// the engine needs few of the messages and these are stable.
//
// Whatever the bytes are, Model returns an error or a model whose size is in
// proportion to the file; it never panics.
package decode

import (
	"fmt"
	"strings"
	"sync/atomic"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/filekind"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/crew"
)

// Model decodes a ModelProto. Its errors are fault.Content and say which part
// of the file is at fault. The model keeps no reference to data.
func Model(data []byte, limits onnx.Limits) (*onnx.Model, error) {
	limits = limits.WithDefaults()
	if len(data) > limits.Bytes {
		return nil, fault.Newf(fault.Content, "the ONNX file has %d bytes; at most %d are allowed", len(data), limits.Bytes)
	}
	if what := filekind.Model(data); what != "" {
		return nil, fault.Newf(fault.Content, "this is not an ONNX file but %s", what)
	}
	d := newDecoder(data, limits)
	m, err := d.model(data)
	if err == nil {
		err = d.fill(data)
	}
	if err != nil && isText(data) {
		return nil, fault.New(fault.Content, "this is not an ONNX file but text; give the binary .onnx file")
	}
	if err != nil {
		return nil, fault.Newf(fault.Content, "the ONNX file cannot be read: %s", clip(err.Error()))
	}
	return m, nil
}

// clip leaves out the middle of a message that is long because the file nests
// deep.
func clip(msg string) string {
	const head, tail = 150, 250
	if len(msg) <= head+tail {
		return msg
	}
	return strings.ToValidUTF8(msg[:head], "") + " … " + strings.ToValidUTF8(msg[len(msg)-tail:], "")
}

// A decoded model may take slack bytes plus growth times its file. Files that
// exporters write stay below; what goes over is made of empty entries.
const (
	slack  = 32 << 20
	growth = 4
)

// What one decoded message takes in memory, in bytes, rounded up: a node, a graph
// inside another, an initializer and an operator set with what is made of them
// when the model is compiled, and a name with the room that a growing list of them
// leaves.
const (
	nodeSize        = 1 << 10
	subgraphSize    = 4 << 10
	functionSize    = 320
	initializerSize = 400
	opsetSize       = 256
	attributeSize   = 264
	valueSize       = 128
	tensorSize      = 160
	stringSize      = 16
	nameSize        = 5 * stringSize
)

type decoder struct {
	limits       onnx.Limits
	memory       *atomic.Int64 // bytes that may still be taken
	nodes        int
	initializers int
	words        map[string]string // short strings seen before
	recent       [2]string         // the last of them

	inPlace bool           // long lists are read where they are met
	later   []func() error // what reads the others
}

// fill reads the long lists that were left for later, on two threads. When one is
// damaged, what data has is read once more in the memory that is left, so that the
// error says where that is.
func (d *decoder) fill(data []byte) error {
	damaged := crew.New(2).Share(len(d.later), func(i int) error { return d.later[i]() })
	if damaged == nil {
		return nil
	}
	d.inPlace, d.nodes, d.initializers = true, 0, 0
	if _, err := d.model(data); err != nil {
		return err
	}
	return damaged
}

func newDecoder(data []byte, limits onnx.Limits) *decoder {
	d := &decoder{limits: limits, memory: new(atomic.Int64), words: map[string]string{}}
	d.memory.Store(int64(slack) + growth*int64(len(data)))
	return d
}

// take accounts for n bytes that are about to be allocated.
func (d *decoder) take(n int) error {
	if n < 0 || d.memory.Add(-int64(n)) < 0 {
		d.memory.Add(max(int64(n), 0))
		return fmt.Errorf("it needs more memory than a file of its size may (%d times its bytes and %d MiB)", growth, slack>>20)
	}
	return nil
}

// text reads a string and accounts for it.
func (d *decoder) text(f field, dst *string) error {
	if err := d.take(stringSize + len(f.body)); err != nil {
		return err
	}
	return f.string(dst)
}

// texts appends an entry of a repeated string.
func (d *decoder) texts(f field, dst *[]string) error {
	var s string
	if err := d.take(nameSize - stringSize); err != nil {
		return err
	}
	if err := d.text(f, &s); err != nil {
		return err
	}
	*dst = append(*dst, s)
	return nil
}

// word returns b as a string. Short ones, such as the modes of tree nodes, are
// kept once.
func (d *decoder) word(b []byte) string {
	const short, most = 32, 1 << 12
	if len(b) > short {
		return string(b)
	}
	for _, s := range d.recent {
		if s == string(b) {
			return s
		}
	}
	s, ok := d.words[string(b)]
	if !ok {
		s = string(b)
		if len(d.words) < most {
			d.words[s] = s
		}
	}
	d.recent = [2]string{s, d.recent[0]}
	return s
}

// within reads a length-delimited field as a message, and says where an error
// was.
func within(f field, where string, read func(b []byte) error) error {
	err := f.want(protowire.BytesType)
	if err == nil {
		err = read(f.body)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", where, err)
	}
	return nil
}

// element is within for entry i of a repeated message.
func element(f field, where string, i int, read func(b []byte) error) error {
	err := f.want(protowire.BytesType)
	if err == nil {
		err = read(f.body)
	}
	if err != nil {
		return fmt.Errorf("%s %d: %w", where, i, err)
	}
	return nil
}

func (d *decoder) model(b []byte) (*onnx.Model, error) {
	m := &onnx.Model{}
	err := message(b, fields(1, 2, 3, 4, 5, 6, 7), func(f field) error {
		switch f.num {
		case 1:
			return f.int64(&m.IRVersion)
		case 2:
			return d.text(f, &m.Producer)
		case 3:
			return d.text(f, &m.ProducerVersion)
		case 4:
			return d.text(f, &m.Domain)
		case 5:
			return f.int64(&m.Version)
		case 7:
			return within(f, "graph", func(b []byte) (err error) {
				m.Graph, err = d.graph(b, 1)
				return err
			})
		case 8:
			return element(f, "opset_import", len(m.Opsets), func(b []byte) error { return d.opset(b, &m.Opsets) })
		case 14:
			return element(f, "metadata_props", len(m.Metadata), func(b []byte) error { return d.property(b, &m.Metadata) })
		case 25:
			return element(f, "function", len(m.Functions), func(b []byte) error { return d.function(b, &m.Functions) })
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if m.Graph == nil {
		return nil, fmt.Errorf("it has no graph; is it an ONNX model?")
	}
	return m, nil
}

func (d *decoder) opset(b []byte, dst *[]onnx.Opset) error {
	if err := d.take(opsetSize); err != nil {
		return err
	}
	var o onnx.Opset
	err := message(b, fields(1, 2), func(f field) error {
		switch f.num {
		case 1:
			return d.domain(f, &o.Domain)
		case 2:
			return f.int64(&o.Version)
		}
		return nil
	})
	*dst = append(*dst, o)
	return err
}

// domain reads an operator domain. "ai.onnx" is another spelling of "".
func (d *decoder) domain(f field, dst *string) error {
	err := d.text(f, dst)
	if *dst == "ai.onnx" {
		*dst = ""
	}
	return err
}

func (d *decoder) property(b []byte, dst *[]onnx.Property) error {
	if err := d.take(valueSize); err != nil {
		return err
	}
	var p onnx.Property
	err := message(b, fields(1, 2), func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, &p.Key)
		case 2:
			return d.text(f, &p.Value)
		}
		return nil
	})
	*dst = append(*dst, p)
	return err
}

func (d *decoder) function(b []byte, dst *[]*onnx.Function) error {
	if err := d.take(functionSize); err != nil {
		return err
	}
	fn := &onnx.Function{}
	err := message(b, fields(1, 8, 10, 13), func(f field) error {
		switch f.num {
		case 1:
			return d.text(f, &fn.Name)
		case 4:
			return d.texts(f, &fn.Inputs)
		case 5:
			return d.texts(f, &fn.Outputs)
		case 6:
			return d.texts(f, &fn.Attributes)
		case 7:
			return element(f, "node", len(fn.Nodes), func(b []byte) error { return d.node(b, 1, &fn.Nodes) })
		case 9:
			return element(f, "opset_import", len(fn.Opsets), func(b []byte) error { return d.opset(b, &fn.Opsets) })
		case 10:
			return d.domain(f, &fn.Domain)
		case 11:
			return element(f, "attribute_proto", len(fn.Attributes), func(b []byte) error {
				a, err := d.attribute(b, 1)
				fn.Attributes, fn.Defaults = append(fn.Attributes, a.Name), append(fn.Defaults, a)
				return err
			})
		case 13:
			return d.text(f, &fn.Overload)
		}
		return nil
	})
	*dst = append(*dst, fn)
	return err
}
