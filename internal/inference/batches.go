package inference

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
)

// maxBatchSizes bounds how many sizes of batches have counters of their own.
const maxBatchSizes = 64

// batches count executions of more than one row by their rows. Sizes beyond the
// bound are counted together, and shown nowhere.
type batches struct {
	bySize sync.Map // of *batchCounters, by rows
	sizes  atomic.Int64
	others batchCounters
}

type batchCounters struct{ input, infer, output counter }

// of returns the counters of so many rows; nil for one.
func (b *batches) of(rows int) *batchCounters {
	if rows <= 1 {
		return nil
	}
	if known, ok := b.bySize.Load(rows); ok {
		own, _ := known.(*batchCounters)
		return own
	}
	if b.sizes.Add(1) > maxBatchSizes {
		b.sizes.Add(-1)
		return &b.others
	}
	known, raced := b.bySize.LoadOrStore(rows, new(batchCounters))
	if raced {
		b.sizes.Add(-1)
	}
	own, _ := known.(*batchCounters)
	return own
}

func (n *batchCounters) read(rows int) BatchStatistics {
	return BatchStatistics{Rows: uint64(max(rows, 0)), Input: n.input.read(), Infer: n.infer.read(), Output: n.output.read()}
}

// read returns what ran by rows: of one row, what is left of all.
func (b *batches) read(all *Statistics) []BatchStatistics {
	single := BatchStatistics{Rows: 1, Input: all.Input, Infer: all.Infer, Output: all.Output}
	single.without(b.others.read(0))
	var list []BatchStatistics
	b.bySize.Range(func(key, value any) bool {
		rows, _ := key.(int)
		if own, ok := value.(*batchCounters); ok {
			list = append(list, own.read(rows))
		}
		return true
	})
	for _, one := range list {
		single.without(one)
	}
	if single.Infer.Count > 0 {
		list = append(list, single)
	}
	list = slices.DeleteFunc(list, func(s BatchStatistics) bool { return s.Infer.Count == 0 })
	slices.SortFunc(list, func(a, b BatchStatistics) int { return cmp.Compare(a.Rows, b.Rows) })
	return list
}

// without takes away what has counters of its own. Requests go on meanwhile, so that
// there may be more of that by now.
func (s *BatchStatistics) without(other BatchStatistics) {
	for _, pair := range [][2]*Duration{{&s.Input, &other.Input}, {&s.Infer, &other.Infer}, {&s.Output, &other.Output}} {
		left, less := pair[0], pair[1]
		left.Count -= min(left.Count, less.Count)
		left.Total = max(0, left.Total-less.Total)
	}
}
