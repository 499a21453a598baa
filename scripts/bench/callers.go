package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"golang.org/x/sync/errgroup"
)

// The kinds of flood.
const (
	floodLogins = "logins"
	burstLogins = "logins at once"
	burstLivez  = "livez at once"
	// Of a tenant with the load of the one that is measured, with many times that,
	// with as much as it gets, and with large batches; with the key of the
	// environment variable KEY.
	floodEven    = "even"
	floodTenant  = "tenant"
	floodFull    = "full"
	floodBatches = "batches"
	// swaps is no flood: models change.
	swaps = "swaps"
)

// plan is how a flood comes: so many callers, each at every beat, all at the same
// moment or evenly spread. Without a beat each sends as soon as it has its answer.
type plan struct {
	callers int
	beat    time.Duration
	spread  bool
}

func planOf(kind string) plan {
	switch kind {
	case floodEven:
		return plan{callers: 1, beat: modestPace, spread: true}
	case floodTenant:
		return plan{callers: times, beat: modestPace, spread: true}
	case floodLogins:
		return plan{callers: floodCallers}
	case floodFull:
		return plan{callers: times}
	case floodBatches:
		return plan{callers: batchCallers}
	}
	return plan{callers: floodCallers, beat: beat}
}

const (
	// floodCallers is how many send at the same time.
	floodCallers = 1000
	// beat is the time between two requests of a caller. All send at the same
	// moment; one who has no answer yet lets a beat go by.
	beat = time.Second
)

// tally is what became of the requests of a flood.
type tally struct {
	Judged    int       `json:"judged"`
	Throttled int       `json:"throttled"`
	Away      []float64 `json:"away"` // until sent away, in milliseconds
}

func (t *tally) add(other *tally) {
	t.Judged += other.Judged
	t.Throttled += other.Throttled
	t.Away = append(t.Away, other.Away...)
}

// caller is one of many, with its own connection.
type caller struct {
	conn    net.Conn
	request []byte
	beat    time.Duration
	offset  time.Duration // of its beats
	tally   tally
}

// runCallers floods the server until standard input ends, then prints the tally.
func runCallers(ctx context.Context, kind, addr, cert string) error {
	s := &server{addr: addr}
	if err := s.ready(ctx, cert); err != nil {
		return err
	}
	all, err := connectCallers(ctx, s, kind)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	fmt.Println("ready")
	first := time.Now()
	var group errgroup.Group
	for _, c := range all {
		group.Go(func() error { return c.call(ctx, first) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	var total tally
	for _, c := range all {
		total.add(&c.tally)
	}
	return json.NewEncoder(os.Stdout).Encode(total)
}

func connectCallers(ctx context.Context, s *server, kind string) ([]*caller, error) {
	p := planOf(kind)
	all := make([]*caller, p.callers)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i := range all {
		group.Go(func() error {
			conn, err := s.dial(ctx)
			all[i] = &caller{conn: conn, request: floodRequest(s, kind, i), beat: p.beat}
			if p.spread {
				all[i].offset = p.beat * time.Duration(i) / time.Duration(p.callers)
			}
			return err
		})
	}
	return all, group.Wait()
}

func floodRequest(s *server, kind string, i int) []byte {
	switch kind {
	case floodEven, floodTenant, floodFull:
		return post(s.addr, os.Getenv("KEY"), "/models/iris/predict", "", `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`)
	case floodBatches:
		return batch(s.addr, os.Getenv("KEY"))
	case burstLivez:
		return fmt.Appendf(nil, "GET /livez HTTP/1.1\r\nHost: %s\r\n\r\n", s.addr)
	}
	form := fmt.Sprintf("username=somebody-%d&password=not-the-right-password", i)
	return fmt.Appendf(nil, "POST /token HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n"+
		"Content-Length: %d\r\n\r\n%s", s.addr, len(form), form)
}

// call sends at every beat after first, until ctx ends.
func (c *caller) call(ctx context.Context, first time.Time) error {
	defer c.conn.Close() //nolint:errcheck // the answers are in
	defer context.AfterFunc(ctx, func() { _ = c.conn.SetDeadline(time.Now()) })()
	reader := bufio.NewReader(c.conn)
	for {
		next := first
		if c.beat > 0 {
			next = first.Add(c.offset + (time.Since(first) - c.offset).Truncate(c.beat) + c.beat)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Until(next)):
		}
		if err := c.exchange(reader); err != nil {
			if ctx.Err() != nil {
				return nil // the end of the measurement caused it
			}
			return err
		}
	}
}

// exchange sends one request and counts its answer.
func (c *caller) exchange(reader *bufio.Reader) error {
	start := time.Now()
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusUnauthorized:
		c.tally.Judged++
	case http.StatusTooManyRequests:
		c.tally.Throttled++
	case http.StatusServiceUnavailable:
		c.tally.Away = append(c.tally.Away, milliseconds(time.Since(start)))
	default:
		return fmt.Errorf("a caller was answered %s", resp.Status)
	}
	return nil
}
