package app

import (
	"cmp"
	"math"
	"syscall"

	"github.com/KimMachineGun/automemlimit/memlimit"

	"onnxgate/internal/config"
	"onnxgate/internal/inference"
	"onnxgate/internal/limit"
)

// modelsMemory returns how many bytes all loaded models may take: what is
// configured, else half of what the container or the machine has; 0, which is no
// bound, when that cannot be told.
func modelsMemory(cfg *config.Config) int64 {
	if cfg.ModelsMemory != 0 {
		return cfg.ModelsMemory
	}
	return hasMemory() / 2
}

// hasMemory returns how many bytes the container or the machine has; 0 when that
// cannot be told.
func hasMemory() int64 {
	least := uint64(math.MaxInt64)
	for _, has := range []memlimit.Provider{memlimit.FromCgroup, memlimit.FromSystem} {
		if limit, err := has(); err == nil {
			least = min(least, limit)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return int64(least)
}

// adminPart is the part of all connections that the administration listener may have
// besides: the inverse.
const adminPart = 8

// mostConnections returns how many connections the public listeners may have here.
func mostConnections() int {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		files.Cur = math.MaxInt32
	}
	return connectionsWithin(hasMemory(), int64(min(files.Cur, math.MaxInt32)))
}

// connectionsWithin returns how many connections fit into a quarter of the memory, in
// bytes, 0 being any, and half of the files that the process may open, of which the
// database, the log and the models need theirs.
func connectionsWithin(memory, files int64) int {
	most := min(limit.MaxAllConnections, files/2)
	if memory != 0 {
		most = min(most, memory/4/limit.ConnectionSize)
	}
	return int(max(most, 1))
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
