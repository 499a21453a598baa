package tensor

import "sync/atomic"

// Retention tells of memory that a run has used whether it is worth keeping for the
// next runs. What is small is; what is large is kept only as long as runs need as
// much time and again: that of one extraordinary run is let go of. The zero value is
// ready, and safe for concurrent use.
type Retention struct {
	// peak is the most that a run has used, in bytes, less a part for every run since.
	peak atomic.Int64
}

const (
	// smallMemory is more than one row takes of nearly every model: 4 MiB.
	smallMemory = 4 << 20
	// mostMemory is never exceeded by what is kept: a run that needs more takes longer
	// than the system does to give it: 64 MiB.
	mostMemory = 64 << 20
	// peakRuns is how many runs it takes until a peak is down to a third.
	peakRuns = 32
	// spareFactor is how many times a peak the memory that is kept may be.
	spareFactor = 4
)

// Keep reports whether to keep memory of so many bytes, of which the run that has
// just ended used some.
func (r *Retention) Keep(used, size int) bool {
	peak := int(r.peak.Load())
	if used > smallMemory || peak > smallMemory {
		r.peak.Store(int64(max(used, peak-peak/peakRuns)))
	}
	if peak <= smallMemory {
		return size <= smallMemory
	}
	return size <= min(spareFactor*peak, mostMemory)
}
