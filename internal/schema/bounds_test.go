package schema_test

import (
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"onnxgate/internal/fault"
	"onnxgate/internal/tensor"
)

func TestFaultsAreBounded(t *testing.T) {
	s := pondSchema(t)
	b := s.NewBatch()
	for name, tc := range map[string]struct {
		body      string
		fields    int
		truncated bool
	}{
		"a hundred":             {"[" + strings.TrimSuffix(strings.Repeat(`{"depth":1,"area":2,"acidity (pH)":15},`, 100), ",") + "]", 100, false},
		"one more":              {"[" + strings.TrimSuffix(strings.Repeat(`{"depth":1,"area":2,"acidity (pH)":15},`, 101), ",") + "]", 100, true},
		"empty rows":            {"[" + strings.TrimSuffix(strings.Repeat(`{},`, 5000), ",") + "]", 100, true},
		"unknown names":         {"{" + members(900) + `"depth":1}`, 100, true},
		"rows that are numbers": {"[" + strings.TrimSuffix(strings.Repeat("1,", 5000), ",") + "]", 100, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := fault.As(s.Decode(t.Context(), b, []byte(tc.body), 10000))
			if e == nil || e.Kind != fault.Content || len(e.Fields) != tc.fields || e.Truncated != tc.truncated {
				t.Errorf("got %.300s", faultText(e))
			}
		})
	}
	wide := compile(t, "", []tensor.Spec{spec("w", tensor.Float32, -1, 5000)}, []tensor.Spec{spec("y", tensor.Float32, -1)})
	e := fault.As(wide.Decode(t.Context(), wide.NewBatch(), []byte(`[{"w_4999":"x","v":1},{}]`), 10000))
	if len(e.Fields) != 100 || !e.Truncated || e.Fields[0].Pointer != "#/0/w_0" || e.Fields[99].Pointer != "#/0/w_99" {
		t.Errorf("wide row: got %.300s", faultText(e))
	}
}

func TestLongNumbersAreCheap(t *testing.T) {
	digits := strings.Repeat("9", 1_000_000)
	s := herdSchema(t)
	b := s.NewBatch()
	for _, number := range []string{digits, "1." + digits, "1e" + digits, "1e-" + digits, "0." + strings.Repeat("0", 1_000_000) + "1e1000001", digits + "e-1000000"} {
		for _, member := range []string{"age", "id", "weight", "legs"} {
			// What matters is that it ends at once; the verdicts have tests of their own.
			err := s.Decode(t.Context(), b, []byte(herdWith(member, number)), 1)
			if e := fault.As(err); e != nil && e.Kind != fault.Content {
				t.Errorf("%s: %v", member, err)
			}
		}
	}
}

func TestDecodeAllocatesNothingForArrays(t *testing.T) {
	s := fourSchema(t)
	b := s.NewBatch()
	body := []byte("[" + strings.TrimSuffix(strings.Repeat(oneFourRow+",", 100), ",") + "]")
	allocs := testing.AllocsPerRun(100, func() {
		if err := s.Decode(t.Context(), b, body, 100); err != nil {
			t.Error(faultText(err))
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations, want 0", allocs)
	}
	// Package validator has one copy of the row to look at.
	body = []byte(oneFourRow)
	allocs = testing.AllocsPerRun(100, func() {
		if err := s.Decode(t.Context(), b, body, 100); err != nil {
			t.Error(faultText(err))
		}
	})
	if allocs > 1 {
		t.Errorf("one row: %v allocations, want 1", allocs)
	}
}

func TestBatchOfAnotherSchemaIsRefused(t *testing.T) {
	if err := pondSchema(t).Decode(t.Context(), herdSchema(t).NewBatch(), []byte(`{}`), 1); fault.KindOf(err) != fault.Internal {
		t.Errorf("got %v", err)
	}
}

func TestHostileBodiesTakeLittleMemory(t *testing.T) {
	const size = 1 << 20
	fill := func(s string) string { return strings.Repeat(s, size/len(s)) }
	s := pondSchema(t)
	b := s.NewBatch()
	for name, body := range map[string]string{
		"empty rows":             "[" + fill("{},") + "{}]",
		"rows beyond the bound":  "[" + fill(`{"a":1,"b":2},`) + "{}]",
		"numbers for rows":       "[" + fill("1,") + "1]",
		"unknown names":          "[" + fill(`{"dept":1,"aaea":2,"acid":3},`) + "{}]",
		"members without end":    "{" + members(size/10) + `"x":1}`,
		"objects in a value":     `{"depth":[` + fill(`{"a":1,"b":2},`) + "1]}",
		"one long string":        `{"depth":"` + fill("a") + `"}`,
		"one long escaped name":  `{"` + fill(`\u0041`) + `":1}`,
		"one long escaped value": `{"depth":"` + fill(`\u0041`) + `"}`,
		"blanks":                 fill(" "),
		"brackets":               fill("["),
	} {
		t.Run(name, func(t *testing.T) {
			text := []byte(body)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := s.Decode(t.Context(), b, text, 1000)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Error("accepted")
			}
			if used := after.TotalAlloc - before.TotalAlloc; used > 4*size {
				t.Errorf("%d bytes allocated for %d of body", used, len(text))
			}
		})
	}
}

func TestOneSchemaServesManyBatchesAtOnce(t *testing.T) {
	s := herdSchema(t)
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			b := s.NewBatch()
			for k := range 50 {
				age := (i*50 + k) % 60
				err := s.Decode(t.Context(), b, []byte(herdWith("age", strconv.Itoa(age))), 1)
				if (err == nil) != (age <= 40) {
					t.Errorf("age %d: %v", age, err)
				}
				if err == nil && tensor.Of[int64](b.Inputs[2])[0] != int64(age) {
					t.Errorf("age %d became %v", age, tensor.Of[int64](b.Inputs[2]))
				}
			}
		})
	}
	group.Wait()
}

func TestArraysOfAnyRankAreBoundedInDepth(t *testing.T) {
	s := compile(t, "", []tensor.Spec{{Name: "x", DType: tensor.Int32}}, []tensor.Spec{spec("y", tensor.Float32, -1)})
	b := s.NewBatch()
	nested := func(depth int) []byte {
		return []byte(`{"x":` + strings.Repeat("[", depth) + "1" + strings.Repeat("]", depth) + "}")
	}
	if err := s.Decode(t.Context(), b, nested(31), 1); err != nil {
		t.Errorf("31 around 1, and the row: %s", faultText(err))
	}
	if rank := len(b.Inputs[0].Shape()); rank != 31 {
		t.Errorf("rank %d, want 31", rank)
	}
	for _, depth := range []int{32, 33, 34, 100000} {
		if err := s.Decode(t.Context(), b, nested(depth), 1); fault.KindOf(err) != fault.Syntax {
			t.Errorf("%d around 1: %s", depth, faultText(err))
		}
	}
	// The first element settles the rank.
	want := "content: the input does not fit the model\n#/x/1 must be an integer, not an array"
	if got := faultText(s.Decode(t.Context(), b, []byte(`{"x":[1,[2],3]}`), 1)); got != want {
		t.Errorf("got %s", got)
	}
}
