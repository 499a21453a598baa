package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// modestPace is the time between two predictions of the tenant whose latency is
	// taken: 50 in a second.
	modestPace = 20 * time.Millisecond
	// times is how many times as many the other tenant sends.
	times = 100
	// neighbourTime is how long each measurement takes; they alternate for
	// neighbourRounds.
	neighbourTime   = 4 * time.Second
	neighbourRounds = 5
	// batchCallers send batches of batchRows, one behind the other.
	batchCallers = 8
	batchRows    = 4000
	// swapPace is the time between two changes of a model.
	swapPace = 200 * time.Millisecond
)

// neighbour is what goes on beside the predictions of the modest tenant.
type neighbour struct{ kind, text string }

// neighbours are compared with the first.
var neighbours = []neighbour{
	{floodEven, "beside another tenant with the same load"},
	{floodTenant, fmt.Sprintf("beside another tenant with %d times the load", times)},
	{floodBatches, fmt.Sprintf("beside %d callers with batches of %d rows", batchCallers, batchRows)},
	{swaps, "beside models that are reloaded"},
	{floodFull, "beside another tenant that takes all it gets"},
}

// besideOthers prints how long the predictions of one tenant take beside another
// that asks for much more. An error of one of them ends the measurement.
func besideOthers(ctx context.Context, opt options, dir string) error {
	models := filepath.Join(dir, "models")
	if err := sharedModel(models); err != nil {
		return err
	}
	gate, err := startGate(ctx, opt.binary, filepath.Join(dir, "shared"), filepath.Join(dir, "shared.log"), "ONNXGATE_MODELS_DIR="+models, "ONNXGATE_DEFAULT_MODEL=iris", "ONNXGATE_QUEUE_TIMEOUT=10s")
	if err != nil {
		return err
	}
	defer gate.stop()
	other, err := tenantKey(ctx, opt.binary, gate)
	if err != nil {
		return err
	}
	gate.requests = predictions(gate.addr, gate.key)
	took := map[string][]float64{}
	for range neighbourRounds {
		for _, n := range neighbours {
			some, err := besideOne(ctx, gate, dir, models, n.kind, other)
			if err != nil {
				return fmt.Errorf("%s: %w", n.text, err)
			}
			took[n.kind] = append(took[n.kind], some...)
		}
	}
	quiet := percentile(took[neighbours[0].kind], 99)
	fmt.Println("p99 of a tenant's predictions, 50 in a second, none of which failed")
	for _, n := range neighbours {
		p99 := percentile(took[n.kind], 99)
		fmt.Printf("  %-48s %.2f ms   ratio %.2f\n", n.text, p99, p99/quiet)
	}
	return nil
}

func besideOne(ctx context.Context, gate *server, dir, models, kind, key string) ([]float64, error) {
	if kind == swaps {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- swapping(ctx, models) }()
		took, err := latencies(ctx, gate, modestPace, neighbourTime)
		cancel()
		return took, errors.Join(err, <-done)
	}
	c, err := startCallers(ctx, gate, dir, kind, "KEY="+key)
	if err != nil {
		return nil, err
	}
	took, err := latencies(ctx, gate, modestPace, neighbourTime)
	_, stopErr := c.stop()
	return took, errors.Join(err, stopErr)
}

// swapping changes the contract of a model again and again, until ctx ends.
func swapping(ctx context.Context, models string) error {
	ticker := time.NewTicker(swapPace)
	defer ticker.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := writeModel(models, "swapped", fmt.Sprint("Change ", i, ".")); err != nil {
			return err
		}
	}
}

// sharedModel writes the shipped model into a folder, for all tenants.
func sharedModel(models string) error {
	return errors.Join(writeModel(models, "iris", "For all."), writeModel(models, "swapped", "For all."))
}

func writeModel(models, name, description string) error {
	folder := filepath.Join(models, name)
	if err := os.MkdirAll(filepath.Join(folder, "1"), 0o700); err != nil {
		return err
	}
	graph, err := os.ReadFile("models/iris/1/model.onnx")
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile("models/iris/model.yaml")
	if err != nil {
		return err
	}
	text := strings.Replace(string(manifest), "name: iris", "name: "+name, 1)
	text = strings.Replace(text, "roles: [admin]", "roles: [admin]\n  share: ['*']", 1)
	text = strings.Replace(text, "Tells which", description+" Tells which", 1)
	file := filepath.Join(folder, "model.yaml")
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil { //nolint:gosec // a folder of our own
		return err
	}
	err = os.Rename(file+".new", file)
	if at := filepath.Join(folder, "1", "model.onnx"); err == nil {
		err = os.WriteFile(at, graph, 0o600) //nolint:gosec // a folder of our own
	}
	return err
}

// tenantKey makes a tenant and returns a key of it.
func tenantKey(ctx context.Context, binary string, gate *server) (string, error) {
	run := func(args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, binary, append(args, "--data-dir", gate.data, "--json")...) //nolint:gosec // the server's own binary
		cmd.Stderr = os.Stderr
		return cmd.Output()
	}
	if _, err := run("tenant", "create", "busy"); err != nil {
		return "", err
	}
	out, err := run("apikey", "create", "busy", "--role", "admin", "--tenant", "busy")
	if err != nil {
		return "", err
	}
	var made struct{ Key string }
	err = json.Unmarshal(out, &made)
	return made.Key, err
}

// batch is a request for many rows.
func batch(addr, token string) []byte {
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // test data that repeats
	rows := make([]string, batchRows)
	for i := range rows {
		x := row(random)
		rows[i] = fmt.Sprintf(`{"sepal_length":%.1f,"sepal_width":%.1f,"petal_length":%.1f,"petal_width":%.1f}`, x[0], x[1], x[2], x[3])
	}
	return post(addr, token, "/models/iris/predict", "", "["+strings.Join(rows, ",")+"]")
}
