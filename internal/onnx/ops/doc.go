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
//  2. Write the kernel next to it. It gets a Frame: Of its inputs, Output for
//     its results, Scratch for memory in between. It writes every element of
//     every output, allocates nothing when the Frame's tensors are large
//     enough, and calls Frame.Poll now and then in long loops.
//  3. Add a row to the table of the family, at the head of its file: domain,
//     name, the first version with this meaning, how many inputs and outputs. A
//     new family is also named in registry.go.
//  4. Add cases with ONNX Runtime's answers to scripts/fixtures.
//
// The parse function refuses what does not fit; what depends on the extents of
// a run is refused by the kernel, as fault.Content. Sticky errors keep parse
// functions straight: Node's accessors remember the first thing that is wrong,
// and the caller of the parse function asks for it. An attribute that a parse
// function does not read is an error, so that no setting is ignored in silence.
package ops
