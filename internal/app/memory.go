package app

import (
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"onnxgate/internal/config"
)

// modelsMemory returns how many bytes all loaded models may take: what is
// configured, else half of what the container or the machine has; 0, which is no
// bound, when that cannot be told.
func modelsMemory(cfg *config.Config) int64 {
	if cfg.ModelsMemory != 0 {
		return cfg.ModelsMemory
	}
	least := uint64(math.MaxInt64)
	for _, has := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if limit, err := has(); err == nil {
			least = min(least, limit)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return int64(least / 2)
}
