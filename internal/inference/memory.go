package inference

import (
	"fmt"
	"math"

	"onnxgate/internal/identity"
)

// memory adds up what the loaded versions take, within a bound for all and one for
// each tenant but the default one.
type memory struct {
	limit, tenantLimit int64
	used               int64
	byTenant           map[string]int64
	held               map[*version]bool
}

// tenantShare is the part of all memory that the models of one tenant may take by
// default: the inverse.
const tenantShare = 4

// TenantMemory returns how much of the memory of all models those of one tenant may
// take by default, in bytes; 0 of 0, which is no bound.
func TenantMemory(all int64) int64 { return all / tenantShare }

// newMemory returns a memory of the configured size that holds what a snapshot
// does.
func newMemory(cfg *Config, before *snapshot) *memory {
	m := &memory{limit: cfg.MaxMemory, tenantLimit: cfg.MaxTenantMemory, byTenant: map[string]int64{}, held: map[*version]bool{}}
	if m.tenantLimit == 0 {
		m.tenantLimit = TenantMemory(m.limit)
	}
	if m.limit == 0 {
		m.limit = math.MaxInt64
	}
	if m.tenantLimit == 0 {
		m.tenantLimit = math.MaxInt64
	}
	if before != nil {
		for _, loaded := range before.sorted {
			m.hold(loaded.versions...)
		}
	}
	return m
}

const (
	// baseMemory is what a version takes whatever its file: its contract of up to
	// baseContract, its rules and a warm call.
	baseMemory, baseContract = 128 << 10, 32 << 10
	// tableFactor and maxTables are for what the engine works out ahead of small
	// models to answer them faster.
	tableFactor, maxTables = 4, 2 << 20
)

// estimate returns what a version takes with a file and a contract of so many
// bytes. Of 135
// exports of scikit-learn, XGBoost, LightGBM and CatBoost none takes more; large
// forests take half as much.
func estimate(file, contract int64) int64 {
	return baseMemory + file + min(tableFactor*file, maxTables) + max(0, contract-baseContract)
}

// noRoomError says that a version does not fit among the others: among those of
// its tenant where ofTenant is set.
type noRoomError struct {
	needs, used, limit int64
	ofTenant           bool
}

func (e *noRoomError) Error() string {
	others, all, setting := "the other models", "all", "ONNXGATE_MODELS_MEMORY"
	if e.ofTenant {
		others, all, setting = "the tenant's other models", "those of one tenant", "ONNXGATE_TENANT_MODELS_MEMORY"
	}
	return fmt.Sprintf("it would take about %s, %s take %s, and %s together may take %s: raise %s, or remove a model",
		megabytes(e.needs), others, megabytes(e.used), all, megabytes(e.limit), setting)
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// room refuses a version of a tenant that needs more than there is, when the one
// that it replaces is gone; nil replaces none.
func (m *memory) room(tenant string, needs int64, old *version) error {
	var freed int64
	if m.held[old] {
		freed = old.memory
	}
	if own := m.byTenant[tenant] - freed; tenant != identity.DefaultTenant && needs > m.tenantLimit-own {
		return &noRoomError{needs, own, m.tenantLimit, true}
	}
	if used := m.used - freed; needs > m.limit-used {
		return &noRoomError{needs, used, m.limit, false}
	}
	return nil
}

// hold counts versions, each once.
func (m *memory) hold(versions ...*version) {
	for _, v := range versions {
		if !m.held[v] {
			m.held[v] = true
			m.take(v.tenant, v.memory)
		}
	}
}

// take counts bytes for a tenant.
func (m *memory) take(tenant string, bytes int64) {
	m.used += bytes
	m.byTenant[tenant] += bytes
}

// release no longer counts versions.
func (m *memory) release(versions ...*version) {
	for _, v := range versions {
		if m.held[v] {
			delete(m.held, v)
			m.take(v.tenant, -v.memory)
		}
	}
}
