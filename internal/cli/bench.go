package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

// measurement is one line of `model bench`. Times are medians over slices.
type measurement struct {
	Engine        string  `json:"engine"`
	Rows          int     `json:"rows"`
	Threads       int     `json:"threads"`
	NsPerCall     float64 `json:"ns_per_call"`
	NsPerRow      float64 `json:"ns_per_row"`
	RowsPerSecond float64 `json:"rows_per_second"`
	AllocsPerCall float64 `json:"allocs_per_call"`
}

func modelBench(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "bench FILE", Short: "Measure how fast the model runs", Args: exactly("FILE")}
	checkEngine := addEngine(cmd, "native", "ort", "both")
	rows := cmd.Flags().String("rows", "1,16,1000", "rows of a call, several separated by commas")
	threads := cmd.Flags().Int("threads", 1, "threads that call at the same time")
	input := cmd.Flags().String("input", "", "file with an Open Inference Protocol request (default: random input)")
	length := cmd.Flags().Duration("time", time.Second, "how long to measure each number of rows")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkEngine(); err != nil {
			return err
		}
		counts, err := rowList(*rows)
		if err != nil {
			return err
		}
		if *threads < 1 || *length <= 0 {
			return usagef("--threads and --time must be more than 0")
		}
		b := &bench{now: p.Now, threads: *threads, length: *length}
		if b.program, _, err = app.LoadProgram(args[0]); err != nil {
			return err
		}
		if *input != "" {
			if b.sample, err = readInput(*input, b.program); err != nil {
				return err
			}
			if !cmd.Flags().Changed("rows") {
				counts = []int{sampleRows(b.sample)}
			}
		}
		results, err := b.all(cmd.Context(), counts)
		if err != nil {
			return err
		}
		return p.printMeasurements(*asJSON, results)
	}
	return cmd
}

func (p *Process) printMeasurements(asJSON bool, results []measurement) error {
	if asJSON {
		return p.printJSON(struct {
			Results []measurement `json:"results"`
		}{results})
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "engine\trows\tthreads\tns/call\tns/row\trows/s\tallocs/call\t")
	for _, m := range results {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%.1f\t%.1f\t%.0f\t%g\t\n",
			m.Engine, m.Rows, m.Threads, m.NsPerCall, m.NsPerRow, m.RowsPerSecond, m.AllocsPerCall)
	}
	return w.Flush()
}

func readInput(file string, program inference.Program) ([]*tensor.Tensor, error) {
	f, err := os.Open(file) //nolint:gosec // G304: the operator names the file
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(f, maxRequest))
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	req, err := oip.Parse(body, program.Inputs(), program.Outputs())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return req.Inputs, nil
}

// sampleRows is the first extent of the first input that has one.
func sampleRows(sample []*tensor.Tensor) int {
	for _, t := range sample {
		if s := t.Shape(); len(s) > 0 {
			return s[0]
		}
	}
	return 1
}

// bench measures one program.
type bench struct {
	program inference.Program
	sample  []*tensor.Tensor // nil: random input
	threads int
	length  time.Duration
	now     func() time.Time
}

func (b *bench) all(ctx context.Context, counts []int) ([]measurement, error) {
	var results []measurement
	for _, rows := range counts {
		m, err := b.measure(ctx, rows)
		if err != nil {
			return nil, fmt.Errorf("%d rows: %w", rows, err)
		}
		results = append(results, m)
	}
	return results, nil
}

// worker is one thread with memory of its own.
type worker struct {
	in, out []*tensor.Tensor
}

func (b *bench) worker(rows int, seed uint64) (*worker, error) {
	w := &worker{out: emptyOutputs(b.program)}
	source := rand.New(rand.NewPCG(seed, uint64(rows))) //nolint:gosec // G404, G115: input for a measurement
	for i, spec := range b.program.Inputs() {
		var t *tensor.Tensor
		var err error
		if b.sample != nil {
			t, err = tile(b.sample[i], rows)
		} else {
			t, err = random(&spec, rows, source)
		}
		if err != nil {
			return nil, fmt.Errorf("input %q: %w", spec.Name, err)
		}
		w.in = append(w.in, t)
	}
	return w, nil
}

func (b *bench) measure(ctx context.Context, rows int) (measurement, error) {
	workers := make([]*worker, b.threads)
	for i := range workers {
		var err error
		if workers[i], err = b.worker(rows, uint64(i)); err != nil {
			return measurement{}, err
		}
	}
	plan, err := b.calibrate(ctx, workers[0])
	if err != nil {
		return measurement{}, err
	}
	allocs, err := b.allocations(ctx, workers[0], plan)
	if err != nil {
		return measurement{}, err
	}
	times := make([][]float64, b.threads)
	errs := make([]error, b.threads)
	var wg sync.WaitGroup
	for i, w := range workers {
		wg.Go(func() { times[i], errs[i] = b.repeat(ctx, w, plan) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return measurement{}, err
	}
	perCall := median(slices.Concat(times...))
	return measurement{
		Engine: "native", Rows: rows, Threads: b.threads,
		NsPerCall: perCall, NsPerRow: perCall / float64(rows),
		RowsPerSecond: float64(rows*b.threads) / perCall * 1e9, AllocsPerCall: allocs,
	}, nil
}

// run calls n times and returns how long all took.
func (b *bench) run(ctx context.Context, w *worker, n int) (time.Duration, error) {
	start := b.now()
	for range n {
		if err := b.program.Run(ctx, w.in, w.out); err != nil {
			return 0, err
		}
	}
	return b.now().Sub(start), nil
}

// plan is how a measurement is cut into slices, whose median counts.
type plan struct{ slices, calls int }

// calibrate finds how many calls fill one slice of 25, or makes fewer slices of
// one call each when calls are long. It warms everything up, too.
func (b *bench) calibrate(ctx context.Context, w *worker) (plan, error) {
	slice := b.length / 25
	for n := 1; ; n *= 2 {
		took, err := b.run(ctx, w, n)
		if err != nil {
			return plan{}, err
		}
		if took >= slice {
			fit := max(3, min(25, int(b.length/took)))
			return plan{slices: fit, calls: n}, nil
		}
	}
}

// repeat measures slices of calls and returns the nanoseconds of one call in
// each.
func (b *bench) repeat(ctx context.Context, w *worker, p plan) ([]float64, error) {
	times := make([]float64, p.slices)
	for i := range times {
		took, err := b.run(ctx, w, p.calls)
		if err != nil {
			return nil, err
		}
		times[i] = float64(took) / float64(p.calls)
	}
	return times, nil
}

// allocations counts those of one warm call.
func (b *bench) allocations(ctx context.Context, w *worker, p plan) (float64, error) {
	calls := min(p.calls, 100)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := b.run(ctx, w, calls); err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / uint64(calls)), nil //nolint:gosec // G115: from 1 to 100
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
