package grpcapi

import "sync"

// waiting are the streams that wait for their clients, which a server that stops
// does not wait for.
type waiting struct {
	stopping chan struct{} // closed by end

	mu       sync.Mutex // guards what follows
	arrivals map[*arrival]struct{}
	over     bool
}

func newWaiting() waiting {
	return waiting{stopping: make(chan struct{}), arrivals: map[*arrival]struct{}{}}
}

// begin notes a stream that waits; when the server stops, it ends.
func (w *waiting) begin(a *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.arrivals[a] = struct{}{}
	if w.over {
		a.end()
	}
}

// done notes that a stream waits no more.
func (w *waiting) done(a *arrival) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.arrivals, a)
}

// end ends what waits, now and later.
func (w *waiting) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	close(w.stopping)
	for a := range w.arrivals {
		a.end()
	}
}
