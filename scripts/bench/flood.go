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
	sliceTime   = 5 * time.Second
	floodRounds = 5
	// settled is how long a flood lasts before anything is measured beside it.
	settled = 1500 * time.Millisecond
)

// flood prints how long predictions take while a thousand callers try passwords, each
// again as soon as it is refused; and while they do so all at the same moment of every
// second, beside as many who ask for /livez in that way: what a thousand requests at
// once cost by themselves, here and on the two cores that callers and server share, is
// in both. The callers are a process of its own with the lowest priority, so that they
// take what the server leaves, as callers on other machines do.
func flood(ctx context.Context, gate *server, dir string) error {
	p99, overQuiet := map[string][]float64{}, map[string][]float64{}
	total := map[string]*tally{floodLogins: {}, burstLogins: {}, burstLivez: {}}
	for range floodRounds {
		var quiet float64
		for _, kind := range []string{"", floodLogins, burstLivez, burstLogins} {
			p, counted, err := beside(ctx, gate, dir, kind)
			if err != nil {
				return err
			}
			if kind == "" {
				quiet = p
			} else {
				total[kind].add(counted)
			}
			p99[kind], overQuiet[kind] = append(p99[kind], p), append(overQuiet[kind], p/quiet)
		}
	}
	fmt.Printf("p99 of a prediction, quiet                               %.2f ms\n", median(p99[""]))
	for _, one := range []struct{ what, kind string }{
		{"sign-ins, each again once refused (at most 2)", floodLogins},
		{"GET /livez at once in every second", burstLivez},
		{"sign-ins at once in every second", burstLogins},
	} {
		fmt.Printf("  beside %d %-46s %.2f ms   ratio to quiet %.2f\n", floodCallers, one.what, median(p99[one.kind]), median(overQuiet[one.kind]))
		if t := total[one.kind]; len(t.Away) > 0 {
			fmt.Printf("    %d were judged, %d told to wait (429) and %d sent away (503) after %.1f ms p50, %.1f ms p99\n",
				t.Judged, t.Throttled, len(t.Away), percentile(t.Away, 50), percentile(t.Away, 99))
		}
	}
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
	time.Sleep(settled)
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
