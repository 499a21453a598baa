package tree

import "math"

// scans is how steps takes blocks of many rows through a forest whose numbers
// are small, as boosters have: up to 256 leaves of a tree, and not many more cells
// of a slot. Cells then are bytes, and one instruction compares those of many rows
// with a branch. A slot of more cells has several columns of bytes, each for the
// next 255 bounds. All branches of a tree are asked, the one above before those
// below; a row's place is the first leaf below the branch that it is at, so that
// an answer counts when the place is that of the branch's near side, and moves it
// to that of the far side. What a row takes does not depend on its way, and no
// row waits for another's memory.
//
// It is the idea of RapidScorer (Ye et al., KDD 2018) with places instead of sets
// of leaves.
type scans[T float] struct {
	branches []scanBranch
	trees    []scannedTree
	votes    []T      // of the leaves of each tree, padded to 256 of the last
	leaf     []uint32 // else their numbers, or places when votes are there
	columns  []int    // of each slot: its first, and at last how many there are
	least    int      // rows that are worth a block
}

// scanBranch is one branch. It has, from its lowest byte up, four bytes for where
// the cells of its slot begin; the first cell on the far side, less signed; the
// first leaf of the near side; and how far from there that of the far side is.
type scanBranch uint64

func newScanBranch(column uint32, cell, near, far int) scanBranch {
	return scanBranch(column) | scanBranch(uint8(cell-signed))<<32 | scanBranch(uint8(near))<<40 | scanBranch(uint8(far))<<48 //nolint:gosec // below 256, by newScans and the number of branches
}

func (b scanBranch) column() uint32 { return uint32(b) }      //nolint:gosec // the lowest bytes
func (b scanBranch) cell() int8     { return int8(b >> 32) }  //nolint:gosec // one byte
func (b scanBranch) near() uint8    { return uint8(b >> 40) } //nolint:gosec // one byte
func (b scanBranch) far() uint8     { return uint8(b >> 48) } //nolint:gosec // one byte

// scannedTree is one tree: where its branches and its leaves begin.
type scannedTree struct{ branches, leaves int }

const (
	scanRows   = 256 // rows of a block
	maxLeaves  = 256
	maxColumns = 1 << 10 // 256 KiB of cells
	columnSize = 255     // bounds of a column
	signed     = 128     // of a cell as a signed byte
	// Measured: the pick of BenchmarkBlocks is right with them.
	stepsAVectorScan = 5
	stepsAScanGo     = 700
)

// newScans returns nil for a forest whose numbers are not small.
func newScans[T float](s *steps[T]) *scans[T] {
	slots := s.find.slots
	columns := make([]int, 1, len(slots)+1)
	for i := range slots {
		all := columns[i] + max(slots[i].axis.cells()-1+columnSize-1, columnSize)/columnSize
		if all > maxColumns {
			return nil
		}
		columns = append(columns, all)
	}
	w := scanWriter[T]{s: s, scans: &scans[T]{columns: columns, trees: make([]scannedTree, 0, len(s.trees))}}
	walked := 0 // steps of a row
	for i := range s.trees {
		if !w.tree(s.trees[i].root) {
			return nil
		}
		walked += int(s.trees[i].usual)
	}
	w.pad()
	// A branch takes as long as so many steps, however many rows of the block there
	// are, and a column of a row about as long as one.
	walked = max(walked-columns[len(slots)]+len(slots), 1)
	w.scans.least = len(w.scans.branches)*stepsAScan()/walked + 2*lanes
	return w.scans
}

// scanWriter turns the steps of a forest into scans.
type scanWriter[T float] struct {
	s      *steps[T]
	scans  *scans[T]
	leaves int    // of this tree
	root   uint32 // of this tree
}

// tree appends a tree, and reports whether it is small enough.
func (w *scanWriter[T]) tree(root uint32) bool {
	c := w.scans
	w.leaves, w.root = 0, root
	c.trees = append(c.trees, scannedTree{branches: len(c.branches), leaves: max(len(c.votes), len(c.leaf))})
	return w.put(root)
}

// put appends what is at a place and below. As a place of the steps may be below
// several, it counts what it appends.
func (w *scanWriter[T]) put(at uint32) bool {
	c := w.scans
	slot, cell, leads := w.s.nodes.node(w.root, at)
	if leads == at {
		w.leaf(at)
		return w.leaves <= maxLeaves
	}
	own := len(c.branches)
	if own-c.trees[len(c.trees)-1].branches >= maxLeaves-1 {
		return false
	}
	near := w.leaves
	c.branches = append(c.branches, 0)
	if !w.put(leads) {
		return false
	}
	column := c.columns[slot] + int(cell)/columnSize
	c.branches[own] = newScanBranch(place(column*scanRows), int(cell)%columnSize+1, near, w.leaves-near)
	return w.put(leads + 1)
}

func (w *scanWriter[T]) leaf(at uint32) {
	w.leaves++
	switch {
	case w.s.votes == nil:
		w.scans.leaf = append(w.scans.leaf, w.s.leaf[at])
	case w.s.width == 1:
		w.scans.votes = append(w.scans.votes, w.s.votes[at])
	default:
		w.scans.leaf = append(w.scans.leaf, at)
	}
}

// pad makes room behind the leaves of the last tree, so that any byte is the
// number of one.
func (w *scanWriter[T]) pad() {
	for range maxLeaves {
		if w.s.width == 1 {
			w.scans.votes = append(w.scans.votes, T(math.NaN()))
		} else {
			w.scans.leaf = append(w.scans.leaf, 0)
		}
	}
}

// scanScratch is the working memory of one block.
type scanScratch struct {
	columns []uint8 // of each slot: the cells of the rows
	at      [scanRows]uint8
	leaves  [scanRows]uint32
	cells   []uint32 // of one row
}

func (c *scans[T]) newScratch() *scanScratch {
	slots := len(c.columns) - 1
	return &scanScratch{columns: make([]uint8, max(c.columns[slots], 1)*scanRows), cells: make([]uint32, slots)}
}

// scan sums up to scanRows rows.
func (s *steps[T]) scan(x []T, cols int, b *scanScratch, sums []T) {
	k := s.tally.targets
	rows := len(sums) / k
	for r := range rows {
		s.find.cells(x[r*cols:(r+1)*cols], b.cells)
		s.scans.fill(b.cells, b.columns[r:])
	}
	c := s.scans
	for i := range c.trees {
		t, last := &c.trees[i], len(c.branches)
		if i+1 < len(c.trees) {
			last = c.trees[i+1].branches
		}
		scanTree(c.branches[t.branches:last], b.columns, &b.at)
		if c.votes != nil {
			addScanned((*[maxLeaves]T)(c.votes[t.leaves:]), b.at[:rows], sums[s.trees[i].target:], k)
			continue
		}
		leaf := (*[maxLeaves]uint32)(c.leaf[t.leaves:])
		for r, at := range b.at[:rows] {
			b.leaves[r] = leaf[at]
		}
		if s.votes != nil {
			addRows(s.votes, k, b.leaves[:rows], sums)
		} else {
			s.tally.add(b.leaves[:rows], sums)
		}
	}
}

// fill sets the bytes of a row, which are scanRows apart.
func (c *scans[T]) fill(cells []uint32, own []uint8) {
	column := 0
	for i, cell := range cells {
		for ; column < c.columns[i+1]; column++ {
			part := min(cell, columnSize)
			own[column*scanRows] = uint8(part) - signed
			cell -= part
		}
	}
}

// addScanned adds to each row's first of k sums the vote of its leaf.
func addScanned[T float](votes *[maxLeaves]T, at []uint8, sums []T, k int) {
	if k > 1 {
		for r, a := range at {
			sums[r*k] += votes[a]
		}
		return
	}
	sums = sums[:len(at)]
	for r, a := range at {
		sums[r] += votes[a]
	}
}

// scanTreeGo sets the places of a block's rows after all branches of a tree.
func scanTreeGo(branches []scanBranch, columns []uint8, at *[scanRows]uint8) {
	clear(at[:])
	for _, b := range branches {
		column := (*[scanRows]uint8)(columns[b.column():])
		cell, near, far := b.cell(), b.near(), b.far()
		for r, a := range at {
			if a == near && int8(column[r]) >= cell { //nolint:gosec // its bits
				at[r] = a + far
			}
		}
	}
}
