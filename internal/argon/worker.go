package argon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

const (
	// jobTime bounds one hash: a process that hangs is ended.
	jobTime = 20 * time.Second
	// idleTime is how long a process without work is kept.
	idleTime = 10 * time.Second
)

// Config says how a Worker starts its process.
type Config struct {
	// Path and Args are what is executed, Args with the name first; it must call
	// Serve with its standard input and output.
	Path string
	Args []string
	// Idle is how long the process is kept without work; zero means 10 s.
	Idle time.Duration
	// Failed is told of a process that could not be used, before the hash is
	// computed in this one; nil means that nobody is.
	Failed func(ctx context.Context, err error)
}

// Worker computes hashes one at a time in a process of its own, which starts with
// the first and ends when there was none for a while. A hash takes a core for a
// long time beside a prediction, and many times the memory: the operating system
// gives that process what others leave, and has the memory back with its end. No
// thread could do the same: the library computes in goroutines, which share the
// threads that answer requests. Worker is safe for concurrent use.
type Worker struct {
	cfg Config

	mu     sync.Mutex
	child  *child // nil when there is none
	idle   *time.Timer
	closed bool
}

// NewWorker returns a Worker, whose process is not started yet.
func NewWorker(cfg Config) *Worker {
	if cfg.Idle <= 0 {
		cfg.Idle = idleTime
	}
	return &Worker{cfg: cfg}
}

// Hash returns the hash. Where no process can be started or used, it is computed
// in this one: nobody is kept from signing in. The error is that of ctx.
func (w *Worker) Hash(ctx context.Context, job *Job) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	hash, err := w.hash(ctx, job)
	if err != nil {
		if w.cfg.Failed != nil {
			w.cfg.Failed(ctx, err)
		}
		return job.hash(), nil
	}
	return hash, nil
}

// hash has the process work. One that was ended from outside, while there was no
// work, is replaced.
func (w *Worker) hash(ctx context.Context, job *Job) ([]byte, error) {
	if w.closed {
		return nil, errors.New("the worker is closed")
	}
	if w.idle != nil {
		w.idle.Stop()
	}
	defer func() { w.idle = time.AfterFunc(w.cfg.Idle, w.rest) }()
	if w.child != nil {
		hash, err := w.child.do(job)
		if err == nil {
			return hash, nil
		}
		w.end()
	}
	var err error
	if w.child, err = start(ctx, &w.cfg); err != nil {
		return nil, err
	}
	hash, err := w.child.do(job)
	if err != nil {
		w.end()
	}
	return hash, err
}

// rest ends a process that has nothing to do.
func (w *Worker) rest() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
}

func (w *Worker) end() {
	if w.child != nil {
		w.child.end()
		w.child = nil
	}
}

// Close ends the process. What is asked for afterwards is computed in this one.
func (w *Worker) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.idle != nil {
		w.idle.Stop()
	}
	w.end()
	return nil
}

// child is the process: it takes jobs as JSON on its standard input and writes the
// hashes to its standard output.
type child struct {
	cmd *exec.Cmd
	in  io.Closer
	enc *json.Encoder
	dec *json.Decoder
}

func start(ctx context.Context, cfg *Config) (*child, error) {
	// Not bound to the sign-in that happens to be the first.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), cfg.Path) //nolint:gosec // the program itself
	cmd.Args = cfg.Args
	cmd.Env = []string{"GOMAXPROCS=1"} // and none of the secrets in ours
	apart(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &child{cmd: cmd, in: in, enc: json.NewEncoder(in), dec: json.NewDecoder(out)}, nil
}

func (c *child) do(job *Job) (hash []byte, err error) {
	late := time.AfterFunc(jobTime, func() { _ = c.cmd.Process.Kill() }) // reading then fails
	defer late.Stop()
	if err := c.enc.Encode(job); err != nil { //nolint:gosec // a pipe to our own process
		return nil, fmt.Errorf("hand a job to the process that hashes: %w", err)
	}
	if err := c.dec.Decode(&hash); err != nil {
		return nil, fmt.Errorf("the process that hashes: %w", err)
	}
	if len(hash) != int(job.Size) {
		return nil, fmt.Errorf("the process that hashes: %d bytes, and not %d", len(hash), job.Size)
	}
	return hash, nil
}

// end ends the process, which keeps nothing.
func (c *child) end() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill() // it may have ended by itself
	_ = c.cmd.Wait()         // its end by a signal is what was wanted
}

// Serve is the process of a Worker: it lowers its own priority and computes the
// hashes that are asked for on in, until in ends.
func Serve(in io.Reader, out io.Writer) error {
	if err := lowerPriority(); err != nil {
		return err
	}
	jobs, hashes := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var job Job
		if err := jobs.Decode(&job); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := hashes.Encode(job.hash()); err != nil {
			return err
		}
	}
}
