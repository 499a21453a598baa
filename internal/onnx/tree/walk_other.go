//go:build !amd64 || purego

package tree

func walkApart(nodes []step, words []uint32, shift uint, root uint32, depth, size int, at []uint32) {
	walkApartGo(nodes, words, shift, root, depth, size, at)
}

func stepTogether(nodes []step, words []uint32, shift uint, at []uint32) {
	stepTogetherGo(nodes, words, shift, at)
}

func walkSmallApart(s *smallNodes, words []uint32, root uint32, depth, size int, at []uint32) {
	walkSmallApartGo(s, words, root, depth, size, at)
}

func walkSmallTogether(s *smallNodes, words, roots, at []uint32, steps int) {
	walkSmallTogetherGo(s, words, roots, at, steps)
}

func stepsAScan() int { return stepsAScanGo }

func scanTree(branches []scanBranch, columns []uint8, at *[scanRows]uint8) {
	scanTreeGo(branches, columns, at)
}

func useVectors[T float](*finder[T]) {}
