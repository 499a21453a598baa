package tree

import "testing"

func TestOneRowAllocatesNothing(t *testing.T) {
	small, large := iris(t), forestOf(60, 6, 9, 1)
	for name, a := range map[string]*Attributes{"diagram": &small, "steps": &large} {
		t.Run(name, func(t *testing.T) {
			e, err := Compile(*a)
			if err != nil {
				t.Fatal(err)
			}
			if _, isDiagram := e.single.layout.(*diagram[float32]); isDiagram != (name == "diagram") {
				t.Fatalf("the layout is %T", e.single.layout)
			}
			ctx, x := t.Context(), randomRows(1, e.Features())
			scores, labels := make([]float32, e.Outputs()), make([]int32, 1)
			if n := testing.AllocsPerRun(200, func() {
				if err := e.Run(ctx, x, 1, scores, labels); err != nil {
					t.Fatal(err)
				}
			}); n != 0 {
				t.Errorf("%v allocations for one row, want none", n)
			}
		})
	}
}
