package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// floodLogins is how many sign-ins are under way at any time.
	floodLogins = 1000
	// pace is the time between two predictions whose latency is taken.
	pace = 5 * time.Millisecond
	// floodTime is how long each of the two measurements takes.
	floodTime = 10 * time.Second
)

// flood prints how long predictions take while a thousand callers try passwords,
// beside how long they take without, and what becomes of the sign-ins.
func flood(ctx context.Context, gate *server) error {
	quiet, err := latencies(ctx, gate)
	if err != nil {
		return err
	}
	logins := startLogins(ctx, gate)
	busy, err := latencies(ctx, gate)
	if stopErr := logins.stop(); err == nil {
		err = stopErr
	}
	if err != nil {
		return err
	}
	fmt.Printf("p99 of a prediction while %d sign-ins are tried at once   %.2f ms   without %.2f ms   ratio %.2f\n",
		floodLogins, p99(busy), p99(quiet), p99(busy)/p99(quiet))
	fmt.Printf("of these sign-ins %d were judged and %d sent away (503); p99 until sent away %.1f ms\n",
		logins.judged.Load(), logins.refused.Load(), p99(logins.waits))
	return nil
}

// latencies returns how long predictions take that are sent at an even pace, in
// milliseconds.
func latencies(ctx context.Context, gate *server) ([]float64, error) {
	conn, err := gate.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // the answers are in
	reader := bufio.NewReader(conn)
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var all []float64
	for i := 0; len(all) < int(floodTime/pace); i++ {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
		start := time.Now()
		if _, err := conn.Write(gate.requests[i%len(gate.requests)]); err != nil {
			return nil, err
		}
		if err := receive(reader, io.Discard, nil); err != nil {
			return nil, err
		}
		all = append(all, float64(time.Since(start))/float64(time.Millisecond))
	}
	return all, nil
}

// logins are callers that try passwords, each over its own connection.
type logins struct {
	group           *errgroup.Group
	cancel          context.CancelFunc
	judged, refused atomic.Int64

	mu    sync.Mutex
	waits []float64 // until sent away, in milliseconds
}

func startLogins(ctx context.Context, gate *server) *logins {
	ctx, cancel := context.WithCancel(ctx)
	l := &logins{cancel: cancel}
	var ready sync.WaitGroup
	l.group, ctx = errgroup.WithContext(ctx)
	for i := range floodLogins {
		ready.Add(1)
		l.group.Go(func() error {
			conn, err := gate.dial(ctx)
			ready.Done()
			if err != nil {
				return err
			}
			defer conn.Close() //nolint:errcheck // the answers are in
			defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
			form := fmt.Sprintf("username=somebody-%d&password=not-the-right-password", i)
			request := fmt.Appendf(nil, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
				"Content-Length: %d\r\n\r\n%s", gate.addr, len(form), form)
			reader := bufio.NewReader(conn)
			for ctx.Err() == nil {
				if _, err := conn.Write(request); err != nil {
					return ignoreEnd(ctx, err)
				}
				if err := l.answer(ctx, reader); err != nil {
					return ignoreEnd(ctx, err)
				}
			}
			return nil
		})
	}
	ready.Wait()
	return l
}

// ignoreEnd forgives an error that the end of the measurement caused.
func ignoreEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the connection was told to end
	}
	return err
}

// answer takes one answer: a sign-in is judged, or sent away to come back later,
// as every caller then does.
func (l *logins) answer(ctx context.Context, reader *bufio.Reader) error {
	start := time.Now()
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it is read to its end
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusTooManyRequests:
		l.judged.Add(1)
		return nil
	case http.StatusServiceUnavailable:
		l.refused.Add(1)
		l.mu.Lock()
		l.waits = append(l.waits, float64(time.Since(start))/float64(time.Millisecond))
		l.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(time.Second): // as Retry-After asks
		}
		return nil
	}
	return fmt.Errorf("a sign-in was answered %s", resp.Status)
}

func (l *logins) stop() error {
	l.cancel()
	return l.group.Wait()
}

func p99(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*99/100)]
}
