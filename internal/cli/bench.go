package cli

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// measurement is one line of `model bench`. Times are medians over slices.
type measurement struct {
	Engine        string  `json:"engine"`
	Rows          int     `json:"rows"`
	Threads       int     `json:"threads"`
	CallThreads   int     `json:"call_threads"`
	NsPerCall     float64 `json:"ns_per_call"`
	NsPerRow      float64 `json:"ns_per_row"`
	RowsPerSecond float64 `json:"rows_per_second"`
	AllocsPerCall float64 `json:"allocs_per_call"`
}

func modelBench(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "bench FILE", Short: "Measure how fast a model runs", Args: exactly("FILE")}
	chosen := addEngine(cmd, schema.EngineAuto, schema.EngineNative, schema.EngineORT, engineBoth)
	rows := cmd.Flags().String("rows", "1,16,1000", "rows per call; comma-separated for several runs")
	threads := cmd.Flags().Int("threads", 1, "number of threads that call at the same time")
	perCall := cmd.Flags().String("call-threads", "1", "threads that one call of the native engine may use when it has many rows; comma-separated for several runs")
	input := addInput(cmd, "(default random input; rows are used in turn)")
	length := cmd.Flags().Duration("time", time.Second, "how long to measure each run")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		engine, err := chosen()
		if err != nil {
			return err
		}
		counts, err := numberList("--rows", *rows)
		if err != nil {
			return err
		}
		callThreads, err := numberList("--call-threads", *perCall)
		if err != nil {
			return err
		}
		if *threads < 1 || *length <= 0 {
			return usagef("--threads and --time must be more than 0")
		}
		if engine, err = p.settled(args[0], engine); err != nil {
			return err
		}
		b := &bench{now: p.Now, threads: *threads, length: *length}
		var loads []loading
		if b.contestants, loads, err = p.contestants(args[0], engine, callThreads); err != nil {
			return err
		}
		if len(input.files) > 0 {
			given, err := p.readRequest(cmd.Context(), args[0], b.contestants[0].program, input)
			if err != nil {
				return err
			}
			b.sample = given.inputs
			if !cmd.Flags().Changed("rows") {
				counts = []int{sampleRows(b.sample)}
			}
		}
		results, err := b.all(cmd.Context(), counts)
		if err != nil {
			return err
		}
		return p.printMeasurements(*asJSON, loads, results)
	}
	return cmd
}

// settled returns the engine that a server would run the model by, for that
// which goes by the model.
func (p *Process) settled(file string, engine schema.Engine) (schema.Engine, error) {
	switch {
	case engine != schema.EngineAuto:
		return engine, nil
	case !app.HasORT:
		return schema.EngineNative, nil
	}
	program, _, err := p.engines().LoadProgram(file, engine)
	if err != nil {
		return "", err
	}
	return app.EngineOf(program), nil
}

// contestant is an engine with the model loaded.
type contestant struct {
	engine  schema.Engine
	threads int // that one call may use
	program inference.Program
}

// contestants loads the model by each engine that is wanted, by the native one
// for each number of threads, and measures that, too.
func (p *Process) contestants(file string, engine schema.Engine, threads []int) ([]contestant, []loading, error) {
	var all []contestant
	if engine != schema.EngineORT {
		for _, n := range slices.Backward(slices.Sorted(slices.Values(threads))) {
			all = append(all, contestant{engine: schema.EngineNative, threads: n})
		}
	}
	if engine != schema.EngineNative {
		all = append(all, contestant{engine: schema.EngineORT, threads: 1})
	}
	var loads []loading
	for i := range all {
		c := &all[i]
		l, err := p.measureLoad(file, c.engine, func() (err error) {
			c.program, _, err = p.enginesOf(c.threads).LoadProgram(file, c.engine)
			return err
		})
		if err != nil {
			return nil, nil, err
		}
		if i == 0 || all[i-1].engine != c.engine {
			loads = append(loads, l)
		}
	}
	return all, loads, nil
}

func (p *Process) printMeasurements(asJSON bool, loads []loading, results []measurement) error {
	if asJSON {
		return p.printJSON(struct {
			Loads   []loading     `json:"loads"`
			Results []measurement `json:"results"`
		}{loads, results})
	}
	for i := range loads {
		if err := p.printf("%v\n", &loads[i]); err != nil {
			return err
		}
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(w, "engine\trows\tthreads\teach\tns/call\tns/row\trows/s\tallocs/call\t")
	for _, m := range results {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%.0f\t%g\t\n",
			m.Engine, m.Rows, m.Threads, m.CallThreads, m.NsPerCall, m.NsPerRow, m.RowsPerSecond, m.AllocsPerCall)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for i := 1; i < len(results); i++ {
		if a, b := &results[i-1], &results[i]; a.Rows == b.Rows {
			if err := p.printf("rows %d: %s is %.2f times as fast as %s\n", a.Rows, a.name(b), b.NsPerCall/a.NsPerCall, b.name(a)); err != nil {
				return err
			}
		}
	}
	return nil
}

// name tells m from another measurement.
func (m *measurement) name(other *measurement) string {
	if m.CallThreads == other.CallThreads {
		return m.Engine
	}
	return fmt.Sprintf("%s (%d)", m.Engine, m.CallThreads)
}

// sampleRows is the first extent of the first input that has one.
func sampleRows(sample []*tensor.Tensor) int {
	for _, t := range sample {
		if s := t.Shape(); t.Kind() == tensor.KindTensor && len(s) > 0 {
			return s[0]
		}
	}
	return 1
}

// bench measures one model, on one engine or on several in turn.
type bench struct {
	contestants []contestant
	sample      []*tensor.Tensor // nil: random input
	threads     int
	length      time.Duration
	now         func() time.Time
}

func (b *bench) all(ctx context.Context, counts []int) ([]measurement, error) {
	var results []measurement
	for _, rows := range counts {
		m, err := b.measure(ctx, rows)
		if err != nil {
			return nil, fmt.Errorf("%d rows: %w", rows, err)
		}
		results = append(results, m...)
	}
	return results, nil
}

// ringRows and ringElements bound the rows that take turns in a measurement. The
// same row again and again would flatter an engine whose branches the processor
// then foresees, and whose path through a model it keeps in its nearest cache.
const (
	ringRows     = 8192
	ringElements = 1 << 22
)

// worker is one thread with memory of its own. Its calls take the inputs of the
// ring in turn.
type worker struct {
	program inference.Program
	ring    [][]*tensor.Tensor
	next    int
	out     []*tensor.Tensor
}

func (b *bench) worker(program inference.Program, rows int, seed uint64) (*worker, error) {
	w := &worker{program: program, out: emptyOutputs(program)}
	source := rand.New(rand.NewPCG(seed, uint64(rows))) //nolint:gosec // G404, G115: input for a measurement
	size := max(1, ringRows/max(1, rows))
	if b.sample != nil {
		size = min(size, sampleRows(b.sample))
	}
	for len(w.ring) < max(1, size) {
		in, elements, err := b.input(program, rows, len(w.ring), source)
		if err != nil {
			return nil, err
		}
		w.ring = append(w.ring, in)
		size = min(size, ringElements/max(1, elements))
	}
	return w, nil
}

// input makes that one of the ring's inputs whose number is given: the next rows
// of the sample, or random ones.
func (b *bench) input(program inference.Program, rows, number int, source *rand.Rand) (in []*tensor.Tensor, elements int, err error) {
	for i, spec := range program.Inputs() {
		var t *tensor.Tensor
		if b.sample != nil {
			t, err = tile(b.sample[i], number*rows, rows)
		} else {
			t, err = random(&spec, rows, source)
		}
		if err != nil {
			return nil, 0, fmt.Errorf("input %q: %w", spec.Name, err)
		}
		in, elements = append(in, t), elements+t.Len()
	}
	return in, elements, nil
}

// series is what is measured of one contestant.
type series struct {
	contestant

	workers []*worker
	plan    plan
	allocs  float64
	times   []float64 // nanoseconds of a call, in each slice and thread
}

// measure takes slices of all engines in turn, so that what else happens on the
// machine meets all of them.
func (b *bench) measure(ctx context.Context, rows int) ([]measurement, error) {
	all := make([]*series, len(b.contestants))
	for i, c := range b.contestants {
		var err error
		if all[i], err = b.prepare(ctx, c, rows); err != nil {
			return nil, fmt.Errorf("engine %s: %w", c.engine, err)
		}
	}
	for left := true; left; {
		left = false
		for _, s := range all {
			if len(s.times) >= s.plan.slices*b.threads {
				continue
			}
			if err := b.slice(ctx, s); err != nil {
				return nil, err
			}
			left = true
		}
	}
	results := make([]measurement, len(all))
	for i, s := range all {
		perCall := median(s.times)
		results[i] = measurement{
			Engine: string(s.engine), Rows: rows, Threads: b.threads, CallThreads: s.threads,
			NsPerCall: perCall, NsPerRow: perCall / float64(rows),
			RowsPerSecond: float64(rows*b.threads) / perCall * 1e9, AllocsPerCall: s.allocs,
		}
	}
	return results, nil
}

func (b *bench) prepare(ctx context.Context, c contestant, rows int) (*series, error) {
	s := &series{contestant: c, workers: make([]*worker, b.threads)}
	var err error
	for i := range s.workers {
		if s.workers[i], err = b.worker(c.program, rows, uint64(i)); err != nil {
			return nil, err
		}
	}
	if s.plan, err = b.calibrate(ctx, s.workers[0]); err != nil {
		return nil, err
	}
	s.allocs, err = b.allocations(ctx, s.workers[0], s.plan)
	return s, err
}

// slice measures one slice of calls on every thread.
func (b *bench) slice(ctx context.Context, s *series) error {
	times, errs := make([]float64, b.threads), make([]error, b.threads)
	var wg sync.WaitGroup
	for i, w := range s.workers {
		wg.Go(func() {
			var took time.Duration
			took, errs[i] = b.run(ctx, w, s.plan.calls)
			times[i] = float64(took) / float64(s.plan.calls)
		})
	}
	wg.Wait()
	s.times = append(s.times, times...)
	return errors.Join(errs...)
}

// run calls n times and returns how long all took.
func (b *bench) run(ctx context.Context, w *worker, n int) (time.Duration, error) {
	start := b.now()
	for range n {
		if err := w.program.Run(ctx, w.ring[w.next], w.out); err != nil {
			return 0, err
		}
		if w.next++; w.next == len(w.ring) {
			w.next = 0
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
