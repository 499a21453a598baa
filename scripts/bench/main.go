// Command bench measures what the whole server costs, beside a bare TLS
// handler that does the same work with none of the security:
//
//	go run ./scripts/bench -onnxgate bin/onnxgate
//
// Both servers run as processes of their own, take the same requests over
// keep-alive HTTP/1.1 in short slices that alternate, and send the same bytes
// and headers; the same is done for gRPC. The CPU time is that of /proc/PID/stat. Everything is printed as
// the median over the slices; compare ratios, not times.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	var opt options
	flag.StringVar(&opt.binary, "onnxgate", "bin/onnxgate", "the server's binary")
	flag.StringVar(&opt.bare, "bare", "", "serve as the bare handler with the files of this folder (used by the program itself)")
	flag.IntVar(&opt.rounds, "rounds", 15, "slices for each server")
	flag.IntVar(&opt.requests, "requests", 8000, "requests in a slice")
	flag.IntVar(&opt.connections, "connections", 4, "connections that send at the same time")
	flag.StringVar(&opt.flood, "flood", "", "be the callers of such a flood (used by the program itself)")
	flag.StringVar(&opt.addr, "addr", "", "the server that is flooded")
	flag.StringVar(&opt.cert, "cert", "", "the file of its certificate")
	flag.BoolVar(&opt.onlyFlood, "only-flood", false, "measure only predictions beside a flood of sign-ins")
	flag.BoolVar(&opt.onlyRedis, "only-redis", false, "measure only what rates in Redis cost")
	flag.BoolVar(&opt.onlyResident, "only-resident", false, "measure only the memory of a server that has answered 100,000 predictions")
	flag.BoolVar(&opt.onlyNeighbours, "only-neighbours", false, "measure only the predictions of a tenant beside another")
	flag.Parse()
	if opt.flood != "" {
		return runCallers(ctx, opt.flood, opt.addr, opt.cert)
	}
	if opt.bare != "" {
		return serveBare(ctx, opt.bare)
	}
	dir, err := os.MkdirTemp("", "onnxgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	return measure(ctx, opt, dir)
}

type options struct {
	binary, bare                  string
	flood, addr, cert             string
	onlyFlood, onlyNeighbours     bool
	onlyRedis, onlyResident       bool
	rounds, requests, connections int
}

func measure(ctx context.Context, opt options, dir string) error {
	if opt.onlyNeighbours {
		return besideOthers(ctx, opt, dir)
	}
	outside, err := newIssuer(dir)
	if err != nil {
		return err
	}
	gate, err := startGate(ctx, opt.binary, filepath.Join(dir, "data"), filepath.Join(dir, "gate.log"), "ONNXGATE_ISSUERS_FILE="+outside.file)
	if err != nil {
		return err
	}
	defer gate.stop()
	token, err := gate.login(ctx)
	if err != nil {
		return err
	}
	gate.requests = predictions(gate.addr, token)
	switch {
	case opt.onlyFlood:
		return flood(ctx, gate, dir)
	case opt.onlyRedis:
		return shared(ctx, opt, gate, dir)
	case opt.onlyResident:
		gate.stop()
		return resident(ctx, opt, dir, token)
	default:
		return all(ctx, opt, dir, gate, outside)
	}
}

// all measures everything.
func all(ctx context.Context, opt options, dir string, gate *server, outside *issuer) error {
	token := gate.token
	sample, err := exchange(ctx, gate)
	if err != nil {
		return err
	}
	if err := grpcOf(gate, token).record(ctx, dir); err != nil {
		return err
	}
	bare, err := startBare(ctx, dir, gate, sample)
	if err != nil {
		return err
	}
	defer bare.stop()
	bare.requests = predictions(bare.addr, token)
	if err := compare(ctx, opt, pair{"server CPU per authenticated HTTPS POST /predict", "onnxgate", "bare net/http", gate, bare}); err != nil {
		return err
	}
	unary, bareUnary := *gate, *bare
	unary.calls, bareUnary.calls = grpcOf(gate, token), grpcOf(bare, token)
	if err := compare(ctx, opt, pair{"server CPU per authenticated gRPC ModelInfer", "onnxgate", "bare grpc-go", &unary, &bareUnary}); err != nil {
		return err
	}
	byKey := *gate
	byKey.requests = predictions(gate.addr, gate.key)
	if err := compare(ctx, opt, pair{"server CPU per HTTPS POST /predict, by credential", "API key", "access token", &byKey, gate}); err != nil {
		return err
	}
	byIssuer := *gate
	byIssuer.requests = predictions(gate.addr, outside.token)
	if err := compare(ctx, opt, pair{"server CPU per HTTPS POST /predict, by credential", "outside issuer's token", "access token", &byIssuer, gate}); err != nil {
		return err
	}
	if err := shared(ctx, opt, gate, dir); err != nil {
		return err
	}
	if err := protocols(ctx, opt, dir); err != nil {
		return err
	}
	if err := besideOthers(ctx, opt, dir); err != nil {
		return err
	}
	return gateOnly(ctx, opt, gate, dir)
}

// pair is two ways to do the same.
type pair struct {
	what, name, otherName string
	one, other            *server
}

// compare prints the CPU time per request of both and their ratio.
func compare(ctx context.Context, opt options, p pair) error {
	var ratios, costs, otherCosts []float64
	for round := range opt.rounds + 1 {
		c, err := cost(ctx, opt, p.one)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		o, err := cost(ctx, opt, p.other)
		if err != nil {
			return fmt.Errorf("%s: %w", p.otherName, err)
		}
		if round == 0 {
			continue // warm-up
		}
		costs, otherCosts, ratios = append(costs, c), append(otherCosts, o), append(ratios, c/o)
	}
	fmt.Printf("%-50s %s %.1f µs   %s %.1f µs   ratio %.2f (%.2f to %.2f)\n", p.what,
		p.name, median(costs), p.otherName, median(otherCosts), median(ratios), slices.Min(ratios), slices.Max(ratios))
	return nil
}

// gateOnly prints what has no counterpart: memory, size, a flood of sign-ins and
// start.
func gateOnly(ctx context.Context, opt options, gate *server, dir string) error {
	info, err := os.Stat(opt.binary)
	if err != nil {
		return err
	}
	fmt.Printf("binary                                             %.1f MB\n", float64(info.Size())/1e6)
	if err := flood(ctx, gate, dir); err != nil {
		return err
	}
	token := gate.token
	gate.stop()
	if err := starts(ctx, opt, dir, token); err != nil {
		return err
	}
	return resident(ctx, opt, dir, token)
}

// starts prints how long a server takes until its first prediction: on data that
// nothing but one sign-in was done with, and on those of all the requests before, of
// which it reads the newest segment of the audit log.
func starts(ctx context.Context, opt options, dir, token string) error {
	prepared := filepath.Join(dir, "prepared")
	gate, err := startGate(ctx, opt.binary, prepared, filepath.Join(dir, "gate.log"))
	if err != nil {
		return err
	}
	fresh, err := gate.login(ctx)
	gate.stop()
	if err != nil {
		return err
	}
	for _, on := range []struct{ what, data, token string }{
		{"prepared data folder", prepared, fresh}, {"data of many requests", filepath.Join(dir, "data"), token},
	} {
		var all []float64
		for range 9 {
			elapsed, err := startToPrediction(ctx, opt.binary, on.data, filepath.Join(dir, "gate.log"), on.token)
			if err != nil {
				return err
			}
			all = append(all, float64(elapsed)/float64(time.Millisecond))
		}
		fmt.Printf("start to first prediction, %-23s %.0f ms\n", on.what, median(all))
	}
	return nil
}

// resident prints the memory of a server that has answered 100,000 predictions
// since it started, on the data that an earlier one left.
func resident(ctx context.Context, opt options, dir, token string) error {
	gate, err := startGate(ctx, opt.binary, filepath.Join(dir, "data"), filepath.Join(dir, "gate.log"))
	if err != nil {
		return err
	}
	defer gate.stop()
	gate.requests = predictions(gate.addr, token)
	for sent := 0; sent < 100_000; sent += opt.requests {
		if err := load(ctx, gate, opt.connections, opt.requests); err != nil {
			return err
		}
	}
	bytes, err := gate.resident()
	if err != nil {
		return err
	}
	fmt.Printf("resident after 100,000 predictions                 %.1f MiB\n", float64(bytes)/(1<<20))
	return nil
}

// startToPrediction starts the server on the data that an earlier one left and
// returns the time until the first prediction is answered.
func startToPrediction(ctx context.Context, binary, data, logFile, token string) (time.Duration, error) {
	gate, err := startGate(ctx, binary, data, logFile)
	if err != nil {
		return 0, err
	}
	defer gate.stop()
	gate.requests = predictions(gate.addr, token)
	if _, err := exchange(ctx, gate); err != nil {
		return 0, err
	}
	return time.Since(gate.started), nil
}

// cost returns the server's CPU time per request over one slice, in µs.
func cost(ctx context.Context, opt options, s *server) (float64, error) {
	before, err := s.cpu()
	if err != nil {
		return 0, err
	}
	if err := load(ctx, s, opt.connections, opt.requests); err != nil {
		return 0, err
	}
	after, err := s.cpu()
	if err != nil {
		return 0, err
	}
	if after == before {
		return 0, errors.New("no CPU time was counted; send more -requests")
	}
	return float64(after-before) / float64(time.Microsecond) / float64(opt.requests), nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
