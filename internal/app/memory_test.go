package app

import (
	"testing"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"onnxgate/internal/config"
)

func TestModelsMayTakeHalfOfTheMemoryUnlessASettingSaysOtherwise(t *testing.T) {
	if got := modelsMemory(&config.Config{ModelsMemory: 5 << 20}); got != 5<<20 {
		t.Errorf("%d bytes, want those of the setting", got)
	}
	all, err := memlimit.FromSystem()
	if err != nil {
		t.Fatal(err)
	}
	if got := modelsMemory(&config.Config{}); got <= 0 || uint64(got) > all/2 {
		t.Errorf("%d bytes of a machine with %d, want half or, in a container, less", got, all)
	}
}
