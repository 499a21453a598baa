//go:build !amd64 || purego

package tree

func walkApart(nodes []step, words []uint32, shift uint, depth int, at *[lanes]uint32) {
	walkApartGo(nodes, words, shift, depth, at)
}

func stepTogether(nodes []step, words []uint32, shift uint, at []uint32) {
	stepTogetherGo(nodes, words, shift, at)
}
