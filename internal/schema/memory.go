package schema

import "onnxgate/internal/tensor"

// What the parts of a compiled contract take in memory, in bytes: more than was
// measured, with a warm batch and what is written of them in documents.
const (
	columnMemory      = 2560 // a feature with its tables, its rules and its share of examples
	instructionMemory = 128  // of a pattern
	enumMemory        = 192  // a value of an enumeration
	labelMemory       = 256  // a class
	textFactor        = 8    // a byte of names and descriptions
)

// Memory is about how many bytes a contract takes once Compile has made it of the
// manifest, which may be nil, and of a graph with such inputs: nil where the graph
// is not known yet.
func (m *Manifest) Memory(in []tensor.Spec) int64 {
	if m == nil {
		return columnsMemory(in)
	}
	n := instructionMemory*int64(m.instructions) + textFactor*int64(len(m.Name)+len(m.Description))
	for i := range m.Features {
		f := &m.Features[i]
		n += columnMemory + enumMemory*int64(len(f.Enum)) + textFactor*int64(len(f.Name)+len(f.Unit)+len(f.Description)+len(f.Pattern))
		for _, x := range f.Enum {
			if text, ok := x.(string); ok {
				n += textFactor * int64(len(text))
			}
		}
	}
	for _, l := range m.Labels {
		n += labelMemory + textFactor*int64(len(l.Name))
	}
	for _, name := range m.Outputs.Targets {
		n += labelMemory + textFactor*int64(len(name))
	}
	if len(m.Features) == 0 {
		n += columnsMemory(in)
	}
	return n
}

// columnsMemory is that of the features which the graph alone makes.
func columnsMemory(in []tensor.Spec) int64 {
	var n int64
	for i := range in {
		columns := int64(1)
		if dims := in[i].Dims; in[i].Kind == tensor.KindTensor && len(dims) == 2 && dims[1].Size <= maxColumns {
			columns = int64(max(1, dims[1].Size))
		}
		n += columns * (columnMemory + textFactor*int64(len(in[i].Name)))
	}
	return n
}
