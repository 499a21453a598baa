package app

import (
	"cmp"
	"math"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"onnxgate/internal/config"
	"onnxgate/internal/inference"
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

// diskFactor is how many times what its loaded models may take in memory the files
// of a tenant's models may have: there are versions that are not served.
const diskFactor = 4

// tenantFiles returns how many bytes the files of one tenant's models may have, but
// for the default one; 0 is no bound.
func tenantFiles(cfg *config.Config) int64 {
	memory := cmp.Or(cfg.TenantModelsMemory, inference.TenantMemory(modelsMemory(cfg)))
	return diskFactor * min(memory, math.MaxInt64/diskFactor)
}
