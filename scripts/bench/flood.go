package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

const (
	// pace is the time between two predictions whose latency is taken.
	pace = 5 * time.Millisecond
	// sliceTime is how long each measurement takes; they alternate for floodRounds.
	sliceTime   = 3 * time.Second
	floodRounds = 5
)

// flood prints how long predictions take while a thousand callers try passwords,
// all at once in every second; beside how long they take without, and while as
// many callers ask for /livez in the same way. What a thousand requests at once
// cost by themselves, here and on the two cores that callers and server share,
// is in both floods: what hashing adds is the difference between them. The
// callers are a process of its own with the lowest priority, so that they take
// what the server leaves, as callers on other machines do.
func flood(ctx context.Context, gate *server, dir string) error {
	var quiet, livez, logins, loginsOverQuiet, loginsOverLivez []float64
	total := tally{}
	for range floodRounds {
		q, _, err := beside(ctx, gate, dir, "")
		if err != nil {
			return err
		}
		l, _, err := beside(ctx, gate, dir, floodLivez)
		if err != nil {
			return err
		}
		p, counted, err := beside(ctx, gate, dir, floodLogins)
		if err != nil {
			return err
		}
		quiet, livez, logins = append(quiet, q), append(livez, l), append(logins, p)
		loginsOverQuiet, loginsOverLivez = append(loginsOverQuiet, p/q), append(loginsOverLivez, p/l)
		total.add(counted)
	}
	fmt.Printf("p99 of a prediction, quiet                         %.2f ms\n", median(quiet))
	fmt.Printf("  beside %d GET /livez at once in every second   %.2f ms\n", floodCallers, median(livez))
	fmt.Printf("  beside %d sign-ins at once in every second     %.2f ms   ratio to quiet %.2f, to GET /livez %.2f\n",
		floodCallers, median(logins), median(loginsOverQuiet), median(loginsOverLivez))
	fmt.Printf("of these sign-ins %d were judged, %d told to wait (429) and %d sent away (503) after %.1f ms p50, %.1f ms p99\n",
		total.Judged, total.Throttled, len(total.Away), percentile(total.Away, 50), percentile(total.Away, 99))
	return nil
}

// beside returns the p99 of predictions in milliseconds beside a flood of the
// given kind, none when it is empty, and what became of the flood.
func beside(ctx context.Context, gate *server, dir, kind string) (float64, *tally, error) {
	if kind == "" {
		took, err := latencies(ctx, gate, pace, sliceTime)
		return percentile(took, 99), nil, err
	}
	callers, err := startCallers(ctx, gate, dir, kind)
	if err != nil {
		return 0, nil, err
	}
	took, err := latencies(ctx, gate, pace, sliceTime)
	counted, stopErr := callers.stop()
	return percentile(took, 99), counted, errors.Join(err, stopErr)
}

// latencies returns how long predictions take that are sent at an even pace for so
// long, in milliseconds.
func latencies(ctx context.Context, gate *server, pace, length time.Duration) ([]float64, error) {
	conn, err := gate.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // the answers are in
	reader := bufio.NewReader(conn)
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	var all []float64
	for end := time.Now().Add(length); time.Now().Before(end); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-ticker.C:
		}
		start := time.Now()
		if _, err := conn.Write(gate.requests[len(all)%len(gate.requests)]); err != nil {
			return nil, err
		}
		if err := receive(reader, io.Discard, nil); err != nil {
			return nil, err
		}
		all = append(all, milliseconds(time.Since(start)))
	}
	return all, nil
}

// callers are the process that floods.
type callers struct {
	cmd   *exec.Cmd
	stdin io.Closer
	out   *bufio.Reader
}

// startCallers returns when all callers are connected.
func startCallers(ctx context.Context, gate *server, dir, kind string, env ...string) (*callers, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cert := filepath.Join(gate.data, "tls", "cert.pem")
	if cert, err = filepath.Abs(cert); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "nice", "-n", "19", self, "-flood", kind, "-addr", gate.addr, "-cert", cert) //nolint:gosec // this very program
	cmd.Dir, cmd.Stderr, cmd.Env = dir, os.Stderr, append(os.Environ(), env...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &callers{cmd: cmd, stdin: stdin, out: bufio.NewReader(stdout)}
	if _, err := c.out.ReadString('\n'); err != nil {
		_, stopErr := c.stop()
		return nil, errors.Join(err, stopErr)
	}
	return c, nil
}

// stop ends the process and returns what it counted.
func (c *callers) stop() (*tally, error) {
	closeErr := c.stdin.Close()
	counted := new(tally)
	err := json.NewDecoder(c.out).Decode(counted)
	return counted, errors.Join(closeErr, err, c.cmd.Wait())
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func percentile(values []float64, percent int) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)]
}
