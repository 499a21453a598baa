package onnx

import "onnxgate/internal/onnx/crew"

// Limits bounds what a file may make the engine do. A zero field takes its
// default, so that the zero value is safe. Each bound is checked before the
// memory that it bounds is asked for.
type Limits struct {
	// Bytes is the size of the file. 512 MiB.
	Bytes int
	// Nodes is the number of nodes, those of subgraphs and functions included.
	// One million.
	Nodes int
	// Initializers is the number of initializers, those of subgraphs included.
	// 100,000.
	Initializers int
	// Elements is the number of elements of one tensor, in the file or made by
	// a run. 2^28.
	Elements int
	// AttributeLength is the number of entries of one attribute's list, and of
	// bytes of one attribute's string. 2^26.
	AttributeLength int
	// Depth is how deep graphs and types nest. 32.
	Depth int
	// RunMemory is how many bytes the results of all nodes of one run take
	// together. 256 MiB.
	RunMemory int
	// Crew has the threads that a long run may use beside its own. None.
	Crew *crew.Crew
}

// WithDefaults returns the limits with every zero field replaced.
func (l Limits) WithDefaults() Limits {
	for _, f := range []struct {
		field    *int
		fallback int
	}{
		{&l.Bytes, 512 << 20},
		{&l.Nodes, 1_000_000},
		{&l.Initializers, 100_000},
		{&l.Elements, 1 << 28},
		{&l.AttributeLength, 1 << 26},
		{&l.Depth, 32},
		{&l.RunMemory, 256 << 20},
	} {
		if *f.field <= 0 {
			*f.field = f.fallback
		}
	}
	return l
}
