package tree

// mixed is a forest in two layouts: one for few rows and one for many.
type mixed[T float] struct {
	few, many layout[T]
	least     int // rows that are many
	targets   int
}

// run evaluates rows: see layout.
func (m *mixed[T]) run(x []T, cols int, scores []T, labels []int32) {
	if len(scores) < m.least*m.targets {
		m.few.run(x, cols, scores, labels)
		return
	}
	m.many.run(x, cols, scores, labels)
}

// mix returns masks for few rows with scans for many, or masks alone where the
// forest cannot be scanned. A row takes less time as masks than in the walks that
// the least of scans is reckoned by.
func mix[T float](m *masks[T], s *steps[T]) layout[T] {
	if s == nil || s.scans == nil {
		return m
	}
	return &mixed[T]{few: m, many: s, least: s.scans.least * 3 / 2, targets: m.tally.targets}
}
