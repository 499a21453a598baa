package exec_test

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// What a mutated model may do: load within mutantTime, stop mutantGrace after the
// deadline of its run, and allocate slack and growth times its file for either,
// what it gives back included: of a loop what it holds, since it makes and leaves
// memory as long as it runs. The budget of a run is mutantMemory.
const (
	mutantTime     = time.Second
	mutantDeadline = 200 * time.Millisecond
	mutantGrace    = 50 * time.Millisecond
	mutantMemory   = 24 << 20
	slack          = 64 << 20
	growth         = 4
	fewMutants     = 1500
)

// Whatever is changed in a model, in its bytes or in its structure, loading and
// running it with the limits of a service ends soon, in a result or a
// classified error, and in bounded memory. The models are the fixtures and, where
// they are built, ONNX's node tests.
//
// MUTANTS is how many are tried (1,500), SEED the number of the first: a
// failure names the number of its mutant, which SEED=n MUTANTS=1 tries again.
func TestMutatedModelsDoNoHarm(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes seconds")
	}
	seeds := mutationSeeds(t)
	first, count := uint64(testkit.Number(t, "SEED", 1)), uint64(testkit.Number(t, "MUTANTS", fewMutants))
	sum := tallyOfMutants{patience: everyDay}
	if os.Getenv("MUTANTS") != "" {
		sum.patience = 1
	}
	for i := first; i < first+count && sum.failed < 50; i++ {
		data := mutant(rand.New(rand.NewPCG(i, 4)), seeds)
		report := sum.try(t, i, data)
		// A machine that is busy with other work is slow once, not always.
		for again := 0; report != "" && again < 3; again++ {
			report = sum.try(t, i, data)
		}
		if report != "" {
			sum.failed++
			t.Errorf("mutant %d (%d bytes): %s", i, len(data), report)
		}
	}
	t.Logf("the slowest load (%d) took %v; %d runs met their deadline, and ended at most %v after it; %d left more behind than they held",
		sum.slow, sum.slowest, sum.late, sum.latest, sum.loops)
	t.Logf("in all: %d mutants of %d models, %d loaded, %d with a result; at most %d MiB for a load and %d MiB for a run",
		count, len(seeds), sum.loaded, sum.ran, sum.largest>>20, sum.widest>>20)
	if sum.ran < count/20 {
		t.Errorf("only %d of %d mutants ran: they are broken too much to say anything", sum.ran, count)
	}
}

// mutationSeeds are the models that are mutated.
func mutationSeeds(t *testing.T) [][]byte {
	t.Helper()
	var seeds [][]byte
	for _, name := range modelNames(t) {
		data, _ := readModel(t, name)
		seeds = append(seeds, data)
	}
	for _, c := range operatorCases(t) {
		seeds = append(seeds, c.Model)
	}
	folder := os.Getenv("NODETESTS")
	if folder == "" {
		folder = filepath.Join("..", "..", "..", ".cache", "nodetests", "cases")
	}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".onnx" {
			return err
		}
		data, err := os.ReadFile(path)
		if len(data) < 64<<10 { // the time goes with the size
			seeds = append(seeds, data)
		}
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return seeds
}

// everyDay is how many times longer a mutant may take where the run is none of
// many on a machine of its own: the race detector alone makes it ten times.
const everyDay = 20

type tallyOfMutants struct {
	patience                  int // times the bounds
	loaded, ran, late, failed uint64
	slowest                   time.Duration // load
	slow                      uint64        // its mutant
	largest, widest           uint64        // bytes of a load, and of a run
	latest                    time.Duration // after a deadline
	loops                     int           // runs that left memory behind
}

// try loads and runs one mutant and returns what is wrong.
func (s *tallyOfMutants) try(t *testing.T, i uint64, data []byte) string {
	t.Helper()
	watchdog := time.AfterFunc(time.Duration(30*s.patience)*mutantTime, func() { panic(fmt.Sprintf("mutant %d does not end", i)) })
	defer watchdog.Stop()
	start, before := time.Now(), allocated()
	p, err := exec.Load(data, onnx.Limits{RunMemory: mutantMemory})
	took, bytes := time.Since(start), allocated()-before
	if s.largest = max(s.largest, bytes); took > s.slowest {
		s.slowest, s.slow = took, i
	}
	switch {
	case err != nil && (fault.KindOf(err) != fault.Content || fault.As(err).Msg == ""):
		return fmt.Sprintf("load: %v: %v", err, fault.As(err).Err)
	case took > time.Duration(s.patience)*mutantTime:
		return fmt.Sprintf("the load took %v", took)
	case bytes > slack+growth*uint64(len(data)):
		return fmt.Sprintf("the load took %d MiB", bytes>>20)
	case err != nil:
		return ""
	}
	s.loaded++
	return s.run(t, p, rand.New(rand.NewPCG(i, 5)), len(data))
}

func (s *tallyOfMutants) run(t *testing.T, p *exec.Program, r *rand.Rand, size int) string {
	t.Helper()
	in := make([]*tensor.Tensor, len(p.Inputs()))
	for i := range in {
		if in[i] = randomValue(t, r, &p.Inputs()[i]); in[i] == nil {
			return ""
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), mutantDeadline)
	defer cancel()
	start, before := time.Now(), allocated()
	err := p.Run(ctx, in, results(len(p.Outputs())))
	took, bytes := time.Since(start), allocated()-before
	kind := fault.KindOf(err)
	if bytes <= slack {
		s.widest = max(s.widest, bytes)
	}
	switch {
	case err != nil && kind != fault.Content && kind != fault.Timeout:
		return fmt.Sprintf("run: %v: %v", err, fault.As(err).Err)
	case took > mutantDeadline+time.Duration(s.patience)*mutantGrace:
		return fmt.Sprintf("the run took %v and ended so: %v", took, err)
	case bytes > slack+growth*uint64(size) && s.holds(t, p, in) > slack+growth*uint64(size):
		return fmt.Sprintf("the run took %d MiB and holds more than it may of them", bytes>>20)
	case err == nil:
		s.ran++
	case kind == fault.Timeout:
		s.late++
	}
	s.latest = max(s.latest, took-mutantDeadline)
	return ""
}

// holds runs p again and returns how many bytes were in use at once.
func (s *tallyOfMutants) holds(t *testing.T, p *exec.Program, in []*tensor.Tensor) uint64 {
	t.Helper()
	const live = "/gc/heap/live:bytes"
	runtime.GC()
	before, most := metric(live), uint64(0)
	ctx, cancel := context.WithTimeout(t.Context(), mutantDeadline)
	defer cancel()
	done := make(chan struct{})
	out := results(len(p.Outputs()))
	go func() {
		defer close(done)
		_ = p.Run(ctx, in, out) // as it ended before
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		runtime.GC()
		most = max(most, metric(live))
	}
	runtime.KeepAlive(out)
	s.loops++
	return most - min(most, before)
}

// allocated returns the bytes that were allocated so far.
func allocated() uint64 { return metric("/gc/heap/allocs:bytes") }

func metric(name string) uint64 {
	sample := []metrics.Sample{{Name: name}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
