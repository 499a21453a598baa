package decode

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/onnx"
	"onnxgate/internal/tensor"
)

// The fields of AttributeProto that hold values, by attribute type. A value in
// the field of another type than the declared one is an error: readers that
// believe the one or the other would disagree.
var valueFields = [...]number{
	onnx.FloatAttribute: 2, onnx.IntAttribute: 3, onnx.StringAttribute: 4,
	onnx.TensorAttribute: 5, onnx.GraphAttribute: 6, onnx.FloatsAttribute: 7,
	onnx.IntsAttribute: 8, onnx.StringsAttribute: 9, onnx.TensorsAttribute: 10,
	onnx.GraphsAttribute: 11, onnx.TypeAttribute: 14, onnx.TypesAttribute: 15,
}

// attributeValues are all value fields, sparse tensors (22, 23) among them.
var attributeValues = fields(2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 15, 22, 23)

// lists are the fields whose entries are read all at once: floats, ints and
// strings.
var lists = fields(7, 8, stringList)

// longList is of how many bytes an attribute is whose list is read later.
const longList = 1 << 16

// nodeAttribute adds an attribute to a node that stands depth graphs deep.
func (d *decoder) nodeAttribute(b []byte, depth int, n *onnx.Node) error {
	if len(n.Attributes) == maxAttributes {
		return fmt.Errorf("a node has more than %d attributes", maxAttributes)
	}
	if d.inPlace || len(b) < longList || !isList(b) {
		a, err := d.attribute(b, depth)
		n.Attributes = append(n.Attributes, a)
		return err
	}
	at := len(n.Attributes)
	n.Attributes = append(n.Attributes, onnx.Attribute{})
	d.later = append(d.later, func() (err error) {
		own := &decoder{limits: d.limits, memory: d.memory, words: map[string]string{}}
		n.Attributes[at], err = own.attribute(b, depth)
		return err
	})
	return nil
}

// isList reports whether the first value of an attribute is an entry of a list. It
// is wrong of damaged ones alone: a value of another type beside it is refused.
func isList(b []byte) bool {
	for len(b) > 0 {
		f, n, err := next(b)
		if err != nil {
			return false
		}
		if attributeValues.has(f.num) {
			return lists.has(f.num)
		}
		b = b[n:]
	}
	return false
}

// attribute decodes an AttributeProto of a node that stands depth graphs deep.
func (d *decoder) attribute(b []byte, depth int) (onnx.Attribute, error) {
	a := onnx.Attribute{}
	if err := d.take(attributeSize); err != nil {
		return a, err
	}
	head, err := d.attributeHead(b, &a)
	if err == nil {
		err = d.attributeValue(b, &a, head, depth)
	}
	if err != nil && a.Name != "" {
		err = fmt.Errorf("%s: %w", onnx.Quote(a.Name), err)
	}
	return a, err
}

// attributeHead is what is known of an attribute before its value is read.
type attributeHead struct {
	present set   // of the value fields
	list    field // the last with entries of a list
	lists   int   // how many of them there are, runs counted as one
}

// attributeHead reads name and type, and sizes the list.
func (d *decoder) attributeHead(b []byte, a *onnx.Attribute) (attributeHead, error) {
	var head attributeHead
	var typ int64
	entries := 0
	err := messageRuns(b, fields(1, 2, 3, 4, 5, 6, 13, 14, 20, 21, 22), lists, func(f field) error {
		if attributeValues.has(f.num) {
			head.present |= 1 << f.num
		}
		if lists.has(f.num) {
			head.list, head.lists = f, head.lists+1
		}
		switch f.num {
		case 1:
			return d.text(f, &a.Name)
		case 7:
			return count(f, 4, &entries)
		case 8:
			return count(f, 0, &entries)
		case stringList:
			entries += 1 + f.more
		case 10, 11, 15, 23:
			entries++
		case 20:
			return f.int64(&typ)
		case 21:
			return d.text(f, &a.Ref)
		}
		return nil
	})
	if err != nil {
		return head, err
	}
	if entries > d.limits.AttributeLength {
		return head, fmt.Errorf("the list has %d entries; at most %d are allowed", entries, d.limits.AttributeLength)
	}
	if typ < 0 || typ > 255 {
		return head, fmt.Errorf("attribute type %d is unknown", typ)
	}
	a.Type = onnx.AttributeType(typ)
	return head, d.makeList(a, entries)
}

func count(f field, width int, entries *int) error {
	n, err := f.scalars(width)
	*entries += n
	return err
}

// makeList allocates the list of a, whose length is known by now.
func (d *decoder) makeList(a *onnx.Attribute, n int) error {
	switch a.Type { //nolint:exhaustive // lists of messages grow as they are read, each entry accounted for
	case onnx.FloatsAttribute:
		if err := d.take(4 * n); err != nil {
			return err
		}
		a.Floats = make([]float32, 0, n)
	case onnx.IntsAttribute:
		if err := d.take(8 * n); err != nil {
			return err
		}
		a.Ints = make([]int64, 0, n)
	case onnx.StringsAttribute:
		if err := d.take(stringSize * n); err != nil {
			return err
		}
		a.Strings = make([]string, 0, n)
	}
	return nil
}

// attributeValue reads the value of the declared type.
func (d *decoder) attributeValue(b []byte, a *onnx.Attribute, head attributeHead, depth int) error {
	present := head.present
	if a.Ref != "" {
		if present != 0 {
			return fmt.Errorf("it has a value and also refers to %s", onnx.Quote(a.Ref))
		}
		return nil
	}
	var want number
	if int(a.Type) < len(valueFields) {
		want = valueFields[a.Type]
	}
	if want == 0 {
		return fmt.Errorf("attribute type %d (%v) is not supported", a.Type, a.Type)
	}
	if present&^(1<<want) != 0 {
		return fmt.Errorf("it says that it is of type %v but has a value of another type", a.Type)
	}
	scalar := fields(2, 3, 4, 7, 8, 9, 10, 11, 15) // proto3 writers leave out zeros and empty lists
	if present == 0 && !scalar.has(want) {
		return fmt.Errorf("it has no value")
	}
	if lists.has(want) && head.lists == 1 {
		return d.attributeField(head.list, a, depth)
	}
	return messageRuns(b, 0, lists, func(f field) error {
		if f.num != want {
			return nil
		}
		return d.attributeField(f, a, depth)
	})
}

func (d *decoder) attributeField(f field, a *onnx.Attribute, depth int) (err error) {
	switch a.Type {
	case onnx.FloatAttribute:
		return f.float32(&a.Float)
	case onnx.IntAttribute:
		return f.int64(&a.Int)
	case onnx.StringAttribute:
		a.String, err = d.attributeString(f)
	case onnx.FloatsAttribute:
		a.Floats, err = float32s(a.Floats, f)
	case onnx.IntsAttribute:
		a.Ints, err = varints(a.Ints, f)
	case onnx.StringsAttribute:
		err = f.eachText(func(text field) error {
			s, err := d.attributeString(text)
			a.Strings = append(a.Strings, s)
			return err
		})
	case onnx.TensorAttribute:
		err = within(f, "tensor", func(b []byte) (err error) {
			_, a.Tensor, err = d.tensor(b)
			return err
		})
	case onnx.TensorsAttribute:
		err = element(f, "tensor", len(a.Tensors), func(b []byte) error {
			var t *tensor.Tensor
			_, t, err = d.tensor(b)
			a.Tensors = append(a.Tensors, t)
			return err
		})
	case onnx.GraphAttribute, onnx.GraphsAttribute:
		err = within(f, "graph", func(b []byte) error { return d.subgraph(b, a, depth) })
	case onnx.TypeAttribute, onnx.TypesAttribute:
		err = within(f, "type", func(b []byte) error { return d.attributeTypeProto(b, a) })
	case onnx.UndefinedAttribute: // refused before
	}
	return err
}

func (d *decoder) subgraph(b []byte, a *onnx.Attribute, depth int) error {
	g, err := d.graph(b, depth+1)
	if a.Type == onnx.GraphAttribute {
		a.Graph = g
	} else {
		a.Graphs = append(a.Graphs, g)
	}
	return err
}

func (d *decoder) attributeTypeProto(b []byte, a *onnx.Attribute) error {
	t, err := d.typ(b, 1)
	if a.Type == onnx.TypeAttribute {
		a.OfType = t
	} else {
		a.Types = append(a.Types, t)
	}
	return err
}

// attributeString reads a string, which AttributeProto has as bytes.
func (d *decoder) attributeString(f field) (string, error) {
	if err := f.want(protowire.BytesType); err != nil {
		return "", err
	}
	if len(f.body) > d.limits.AttributeLength {
		return "", fmt.Errorf("the string has %d bytes; at most %d are allowed", len(f.body), d.limits.AttributeLength)
	}
	if err := d.take(len(f.body)); err != nil {
		return "", err
	}
	s := d.word(f.body)
	return s, validText(s)
}
