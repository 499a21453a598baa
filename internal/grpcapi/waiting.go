package grpcapi

import (
	"sync"

	"onnxgate/internal/fault"
)

// waiting are the streams that wait for their clients, which a server that stops
// does not wait for.
type waiting struct {
	withdrawn chan struct{} // closed by withdraw

	mu       sync.Mutex // guards what follows
	arrivals map[*arrival]struct{}
	away     bool // withdrawn is closed
	over     bool
}

func newWaiting() waiting {
	return waiting{withdrawn: make(chan struct{}), arrivals: map[*arrival]struct{}{}}
}

// stopping is the fault of a stream that a server has no time for.
func stopping() *fault.Error {
	return fault.New(fault.Unavailable, "The server stops; try again, at another one if there is")
}

// begin notes a stream that waits; when the server stops, it ends.
func (w *waiting) begin(a *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrivals[a] = struct{}{}
	if w.over {
		a.end(stopping())
	}
}

// done notes that a stream waits no more.
func (w *waiting) done(a *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.arrivals, a)
}

// withdraw tells who watches the server's health.
func (w *waiting) withdraw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.away {
		w.away = true
		close(w.withdrawn)
	}
}

// end ends what waits, now and later.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	for a := range w.arrivals {
		a.end(stopping())
	}
}
