// Package ops holds the operators: for each a parse function, which reads a
// node once when the model is compiled, and a kernel, which computes it on
// every run. It sees no protobuf, no graph around the node and no other node.
//
// # To add an operator
//
//  1. In the file of its family (arithmetic.go, shape.go, linear.go …) write a
//     parse function. It gets a Node: attributes, operator-set version, types
//     of the inputs, and the values of those that are constant. It sets the
//     type of each output as exactly as it can and returns a Kernel.
//  2. Write the kernel next to it. It gets a Frame: Input for what it reads,
//     Output for its results, Scratch for memory in between. It writes every
//     element of every output, allocates nothing when the Frame's tensors are
//     large enough, and calls poll in long loops.
//  3. Add a row to the table of the family, at the head of its file: domain,
//     name, the first version with this meaning, how many inputs and outputs. A
//     new family is also named in registry.go.
//  4. Add cases with ONNX Runtime's answers to scripts/fixtures.
//
// # Sequences, maps and optionals
//
// A value that is no tensor travels in a *tensor.Tensor as a list; see package
// tensor. In the parse function Node.Sequence and Node.Map give the types of
// such an input, and onnx.SequenceOf, onnx.MapOf and onnx.OptionalOf make types
// for SetOut. In the kernel:
//
//   - Entries[K, V](f, i) gives the keys and the values of input i, a map;
//   - f.Items(i) gives the elements of input i, a sequence, or what is in an
//     optional;
//   - f.OutputList(i, kind, n) makes output i a sequence or an optional, whose n
//     elements the kernel sets: to elements of its inputs, which may be shared,
//     to what Item makes, or to copies of tensors by f.Keep.
//
// What is in a list is never written again in the same run, so that lists can
// share it. The one exception to lists is what ZipMap makes, a tensor with the
// names of its columns; an operator that takes a sequence of maps is given a
// list in its place.
//
// # Subgraphs
//
// The parse function of an operator with a graph attribute calls Node.Body with
// what it knows of the graph's inputs, and gets what is known of its outputs.
// The kernel runs the Body on tensors of its choice: inputs of the node,
// outputs, scratch, elements of lists. What the graph captures of the graphs
// around it is the engine's business. Budget.passes keeps what a loop takes
// from adding up, and Budget.holding tells it what outlives a pass.
//
// The parse function refuses what does not fit; what depends on the extents of
// a run is refused by the kernel, as fault.Content. Sticky errors keep parse
// functions straight: Node's accessors remember the first thing that is wrong,
// and the caller of the parse function asks for it. An attribute that a parse
// function does not read is an error, so that no setting is ignored in silence.
package ops
