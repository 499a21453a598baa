package inference_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// adder adds the number that its file holds.
type adder struct {
	doubler
	number float32
}

func (a adder) Run(_ context.Context, in, out []*tensor.Tensor) error {
	x := tensor.Of[float32](in[0])
	y := tensor.Reset[float32](out[0], len(x), 1)
	for i := range x {
		y[i] = x[i] + a.number
	}
	return nil
}

func compileAdder(data []byte, _ schema.Engine) (inference.Program, []string, error) {
	n, err := strconv.Atoi(string(data))
	return adder{number: float32(n)}, nil, err
}

// consistent makes one prediction and reports whether everything about it is of
// one state of the model: its number is that of the file and of the manifest.
func consistent(ctx context.Context, c *inference.Catalog, version string) (err error) {
	call, err := c.Open(ctx, user, "m", version)
	if err != nil {
		return err
	}
	defer call.Close()
	if err := call.Schema().Decode(ctx, call.Batch(), []byte(`[{"x": 1}, {"x": 2}]`), 2); err != nil {
		return err
	}
	out, err := call.Predict(ctx)
	if err != nil {
		return err
	}
	y := tensor.Of[float32](out[0])
	state := fmt.Sprintf("version %s, state %g", call.Version(), y[0]-1)
	if len(y) != 2 || y[1] != y[0]+1 || call.Schema().Description() != state {
		return fmt.Errorf("%s predicts %v under the contract of %s", state, y, call.Schema().Description())
	}
	return nil
}

// A model that is being loaded, however long that takes, keeps no prediction waiting:
// the version that it will replace serves until it is there, and so do other models.
func TestALoadThatTakesLongHoldsUpNoPrediction(t *testing.T) {
	contract := func(state int) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, "description: version 1, state %d\naccess: {roles: [user]}\n", state)}
	}
	fsys := fstest.MapFS{"m/1/model.onnx": {Data: []byte("0")}, "m/1/model.yaml": contract(0)}
	compiling, compiled := make(chan struct{}), make(chan struct{})
	compile := func(data []byte, engine schema.Engine) (inference.Program, []string, error) {
		if string(data) == "1" {
			close(compiling)
			<-compiled
		}
		return compileAdder(data, engine)
	}
	c, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: compile, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	fsys["m/1/model.onnx"], fsys["m/1/model.yaml"] = &fstest.MapFile{Data: []byte("1")}, contract(1)
	loaded := make(chan error, 1)
	go func() { loaded <- c.Reload(t.Context(), "m") }()
	<-compiling
	for range 100 {
		if err := consistent(t.Context(), c, ""); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-loaded:
		t.Fatalf("the load has ended before the predictions: %v", err)
	default:
	}
	close(compiled)
	if err := <-loaded; err != nil {
		t.Error(err)
	}
	if err := consistent(t.Context(), c, ""); err != nil {
		t.Error(err)
	}
}

// TestNoRequestFailsOrMixesVersionsWhileModelsAreSwapped makes SWAPS of them (50),
// in turn in the place of a version, and by a newer one.
func TestNoRequestFailsOrMixesVersionsWhileModelsAreSwapped(t *testing.T) {
	swaps := 50
	if text := os.Getenv("SWAPS"); text != "" {
		var err error
		if swaps, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	fsys := fstest.MapFS{}
	place := func(version, state int) {
		folder := fmt.Sprintf("m/%d/", version)
		fsys[folder+"model.onnx"] = &fstest.MapFile{Data: []byte(strconv.Itoa(state))}
		fsys[folder+"model.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "description: version %d, state %d\naccess: {roles: [user]}\n", version, state)}
		fsys["m/model.yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil, "versions: {serve: latest, labels: {live: %d}}\n", version)}
	}
	version := 1
	place(version, 0)
	c, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: compileAdder, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	var answered atomic.Int64
	var clients sync.WaitGroup
	for _, name := range []string{"", "live", "", "live"} {
		clients.Go(func() {
			for ctx.Err() == nil {
				if err := consistent(ctx, c, name); err != nil {
					stop(err)
					return
				}
				answered.Add(1)
			}
		})
	}
	for state := 1; state <= swaps && ctx.Err() == nil; state++ {
		if state%2 == 0 {
			version++
		}
		place(version, state)
		if err := c.Reload(ctx, "m"); err != nil {
			t.Error(err)
		}
		for seen := answered.Load(); ctx.Err() == nil && answered.Load() < seen+20; { // some meet each state
			time.Sleep(100 * time.Microsecond)
		}
	}
	stop(nil)
	clients.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := fmt.Sprintf("%d", version); opened(t, c, "m", "") != "forbidden" || c.All()[0].Version != got || len(c.All()[0].Versions) != 1 {
		t.Errorf("in the end %+v is served, want version %s", c.All(), got)
	}
	t.Logf("in all: %d swaps under %d predictions", swaps, answered.Load())
}
