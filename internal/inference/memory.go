package inference

import (
	"fmt"
	"math"
)

// memory adds up what the loaded versions take, within a bound.
type memory struct {
	limit int64
	used  int64
	held  map[*version]bool
}

// newMemory returns a memory of so many bytes, of any number when limit is 0,
// that holds what a snapshot does.
func newMemory(limit int64, before *snapshot) *memory {
	m := &memory{limit: limit, held: map[*version]bool{}}
	if limit == 0 {
		m.limit = math.MaxInt64
	}
	if before != nil {
		for _, loaded := range before.sorted {
			m.hold(loaded.versions...)
		}
	}
	return m
}

const (
	// baseMemory is what a version takes whatever its file: its contract, its
	// rules and a warm call.
	baseMemory = 128 << 10
	// tableFactor and maxTables are for what the engine works out ahead of small
	// models to answer them faster.
	tableFactor, maxTables = 4, 2 << 20
)

// estimate returns what a version takes with a file of so many bytes. Of 135
// exports of scikit-learn, XGBoost, LightGBM and CatBoost none takes more; large
// forests take half as much.
func estimate(file int64) int64 {
	return baseMemory + file + min(tableFactor*file, maxTables)
}

// noRoomError says that a version does not fit among the others.
type noRoomError struct{ needs, used, limit int64 }

func (e *noRoomError) Error() string {
	return fmt.Sprintf("it would take about %s, the other models take %s, and all together may take %s: raise ONNXGATE_MODELS_MEMORY, or remove a model",
		megabytes(e.needs), megabytes(e.used), megabytes(e.limit))
}

func megabytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

// room refuses a version that needs more than there is, when the one that it
// replaces is gone; nil replaces none.
func (m *memory) room(needs int64, old *version) error {
	used := m.used
	if m.held[old] {
		used -= old.memory
	}
	if needs > m.limit-used {
		return &noRoomError{needs, used, m.limit}
	}
	return nil
}

// hold counts versions, each once.
func (m *memory) hold(versions ...*version) {
	for _, v := range versions {
		if !m.held[v] {
			m.held[v] = true
			m.used += v.memory
		}
	}
}

// release no longer counts versions.
func (m *memory) release(versions ...*version) {
	for _, v := range versions {
		if m.held[v] {
			delete(m.held, v)
			m.used -= v.memory
		}
	}
}
