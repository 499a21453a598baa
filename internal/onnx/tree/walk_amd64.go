//go:build !purego

package tree

import "golang.org/x/sys/cpu"

// shiftsAnywhere says whether the processor has what walk_amd64.s needs.
var shiftsAnywhere = cpu.X86.HasBMI2

// The walks of walk_amd64.s know no bounds. They need none: newSteps makes no
// place outside nodes and no slot outside the words, and a step leads to one of
// the two places that it names.

// walkApart is walkApartGo for whole groups of rows.
func walkApart(nodes []step, words []uint32, shift uint, root uint32, depth, size int, at []uint32) {
	if depth == 0 { // a tree that is one leaf
		for r := range at {
			at[r] = root
		}
		return
	}
	if !shiftsAnywhere || len(at) < lanes || len(at)%lanes != 0 {
		walkApartGo(nodes, words, shift, root, depth, size, at)
		return
	}
	const wordBytes = 4
	walkGroups(&nodes[0], &words[0], shift, root, depth, len(at)/lanes, size*wordBytes, &at[0])
}

// stepTogether is stepTogetherGo. The walks are a multiple of four.
func stepTogether(nodes []step, words []uint32, shift uint, at []uint32) {
	if !shiftsAnywhere || len(at)%4 != 0 || len(at) == 0 {
		stepTogetherGo(nodes, words, shift, at)
		return
	}
	stepLanes(&nodes[0], &words[0], shift, &at[0], len(at))
}
