package tree

import (
	"encoding/binary"
	"math"
	"testing"
)

// decodeFuzz makes attributes of bytes: small numbers, so that many of them
// are trees, with some out of every range.
func decodeFuzz(data []byte) Attributes {
	next := func() int64 {
		if len(data) == 0 {
			return 0
		}
		b := int8(data[0])
		data = data[1:]
		switch b {
		case math.MaxInt8:
			return math.MaxInt64
		case math.MinInt8:
			return math.MinInt64
		}
		return int64(b)
	}
	a := Attributes{
		Classifier: next()&1 == 1, Targets: int(next()), Double: next()&1 == 1,
		Aggregate: Aggregate(next()), Transform: Transform(next()),
	}
	for range next() & 3 {
		a.Base = append(a.Base, float64(next()))
	}
	nodes, votes, missing := next()&63, next()&63, next()&1 == 1
	for range nodes {
		a.TreeIDs, a.NodeIDs = append(a.TreeIDs, next()), append(a.NodeIDs, next())
		a.FeatureIDs, a.Modes = append(a.FeatureIDs, next()), append(a.Modes, Mode(next()))
		a.TrueIDs, a.FalseIDs = append(a.TrueIDs, next()), append(a.FalseIDs, next())
		a.Values = append(a.Values, float32(next()))
		if missing {
			a.MissingTrue = append(a.MissingTrue, next())
		}
	}
	for range votes {
		a.VoteTreeIDs, a.VoteNodeIDs = append(a.VoteTreeIDs, next()), append(a.VoteNodeIDs, next())
		a.VoteTargets, a.VoteWeights = append(a.VoteTargets, next()), append(a.VoteWeights, float32(next()))
	}
	return a
}

// FuzzCompile compiles attributes and runs what compiles: nothing panics, and
// one row alone gives what it gives among others.
func FuzzCompile(f *testing.F) {
	two := []byte{1, 2, 0, 1, 0, 0, 3, 2, 0, 0, 0, 0, 0, 1, 2, 1, 0, 1, 0, 7, 0, 0, 0, 0, 2, 0, 7, 0, 0, 0, 0, 1, 0, 1, 0, 2, 1, 1}
	f.Add(two)
	f.Add(append([]byte{0, 3, 1, 2, 1, 1, 5}, two[6:]...))
	f.Add([]byte{0, 1, 0, 1, 0, 0, 1, 1, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 5})
	f.Add([]byte{1, 1, 0, 1, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0, 1, 0, 1, 0, 5, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		a := decodeFuzz(data)
		if a.Targets > 64 {
			return
		}
		e, err := Compile(a)
		if err != nil {
			return
		}
		const rows = 9
		x := make([]float32, rows*e.Features())
		for i := range x {
			if len(data) >= 4 {
				x[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[i%(len(data)-3):]))
			}
		}
		scores, labels := make([]float32, rows*e.Outputs()), make([]int32, rows)
		if err := e.Run(t.Context(), x, rows, scores, labels); err != nil {
			t.Fatal(err)
		}
		one, label := make([]float32, e.Outputs()), make([]int32, 1)
		for r := range rows {
			if err := e.Run(t.Context(), x[r*e.Features():(r+1)*e.Features()], 1, one, label); err != nil {
				t.Fatal(err)
			}
			if label[0] != labels[r] || int(label[0]) >= e.Outputs() {
				t.Fatalf("row %d: label %d alone, %d among others", r, label[0], labels[r])
			}
			for i, s := range one {
				if w := scores[r*e.Outputs()+i]; math.Float32bits(s) != math.Float32bits(w) {
					t.Fatalf("row %d: score %v alone, %v among others", r, s, w)
				}
			}
		}
	})
}
