//go:build !purego

package tree

import "golang.org/x/sys/cpu"

// shiftsAnywhere says whether the processor has what walk_amd64.s needs.
var shiftsAnywhere = cpu.X86.HasBMI2

// comparesEight says whether it has what searchColumns needs.
var comparesEight = cpu.X86.HasAVX2 && cpu.X86.HasPOPCNT

// The walks of walk_amd64.s know no bounds. They need none: newSteps makes no
// place outside nodes and no slot outside the words, and a step leads to one of
// the two places that it names.

// walkApart is walkApartGo for whole groups of rows.
func walkApart(nodes []step, words []uint32, shift uint, root uint32, depth, size int, at []uint32) {
	if depth == 0 {
		fill(at, root)
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

// fill ends the walks through a tree that is one leaf.
func fill(at []uint32, root uint32) {
	for i := range at {
		at[i] = root
	}
}

// walkSmallApart is walkSmallApartGo for whole groups of rows.
func walkSmallApart(s *smallNodes, words []uint32, root uint32, depth, size int, at []uint32) {
	if depth == 0 {
		fill(at, root)
		return
	}
	if !shiftsAnywhere || len(at) < lanes || len(at)%lanes != 0 {
		walkSmallApartGo(s, words, root, depth, size, at)
		return
	}
	const wordBytes = 4
	walkSmallGroups(&s.nodes[0], &words[0], s.slot-gap, s.child, root, depth, len(at)/lanes, size*wordBytes, &at[0])
}

// walkSmallTogether is walkSmallTogetherGo. The walks are a multiple of eight.
func walkSmallTogether(s *smallNodes, words, roots, at []uint32, steps int) {
	if !shiftsAnywhere || len(at)%8 != 0 || len(at) == 0 || steps == 0 {
		walkSmallTogetherGo(s, words, roots, at, steps)
		return
	}
	walkSmallLanes(&s.nodes[0], &words[0], s.slot, s.child, &roots[0], &at[0], len(at), steps)
}

// stepsAScan is how many steps of one row take as long as a branch of scanTree.
func stepsAScan() int {
	if comparesEight {
		return stepsAVectorScan
	}
	return stepsAScanGo
}

// scanTree is scanTreeGo. newScans makes no column outside columns.
func scanTree(branches []scanBranch, columns []uint8, at *[scanRows]uint8) {
	if !comparesEight || len(branches) == 0 {
		scanTreeGo(branches, columns, at)
		return
	}
	scanBytes((*uint64)(&branches[0]), len(branches), &columns[0], &at[0])
}

// useVectors lets a finder of float32 compare several bounds at once.
func useVectors[T float](f *finder[T]) {
	if single, ok := any(f).(*finder[float32]); ok && comparesEight && len(f.columns) > 0 {
		single.search = func(x []float32, cells []uint32) {
			_, _ = x[single.features-1], cells[len(single.columns)-1]
			searchColumns(&x[0], &single.columns[0].lo, len(single.columns), &single.starts[0], &single.bounds[0], &cells[0])
		}
	}
}
