package tree

import (
	"fmt"
	"testing"
)

func TestEachSizeOfEnsembleHasItsLayoutAndAllocatesNothing(t *testing.T) {
	small, middling, large := iris(t), forestOf(100, 5, 10, 1), forestOf(60, 8, 9, 1)
	masks := "masks"
	if stepsAScan() == stepsAVectorScan {
		masks = "mixed" // with scans for many rows
	}
	for name, a := range map[string]*Attributes{"diagram": &small, masks: &middling, "steps": &large} {
		t.Run(name, func(t *testing.T) {
			e, err := Compile(*a)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := fmt.Sprintf("%T", e.single.layout), "*tree."+name+"[float32]"; got != want {
				t.Fatalf("the layout is %s, want %s", got, want)
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
