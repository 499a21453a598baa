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

// room is what connections may take together.
type room struct{ memory, files int64 }

// connectionsRoom is a quarter of the memory, where that is known, and half of the files
// that the process may open, of which the database, the log and the models need theirs.
func connectionsRoom() room {
	r := room{memory: math.MaxInt64, files: math.MaxInt32}
	if memory := hasMemory(); memory != 0 {
		r.memory = memory / 4
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		r.files = int64(min(files.Cur, math.MaxInt32)) / 2
	}
	return r
}

// otherFiles is the part of the files that a listener may have beside the public one:
// the inverse.
const otherFiles = 8

// public, grpc and admin return how many connections these listeners may have.
func (r room) public() int { return r.places(limit.MaxAllConnections, limit.ConnectionSize, r.files) }

func (r room) grpc() int {
	return r.places(limit.MaxAllGRPCConnections, limit.GRPCConnectionSize, r.files/otherFiles)
}

func (r room) admin() int {
	return r.places(limit.MaxConnections, limit.ConnectionSize, r.files/otherFiles)
}

func (r room) places(most, size, files int64) int {
	return int(max(min(most, r.memory/size, files), 1))
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
