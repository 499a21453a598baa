package inference

import (
	"context"
	"sync/atomic"
	"time"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

// Duration is how often something took place, and how long it took in all: a
// StatisticDuration of Triton's statistics extension.
type Duration struct {
	Count uint64
	Total time.Duration
}

// Statistics is what one version of a model has done since it was loaded, in the
// terms of Triton's statistics extension.
type Statistics struct {
	Model, Version string
	// LastInference is when the last prediction began; zero when there was none.
	LastInference time.Time
	// Inferences counts rows, Executions the runs of the engine: those that
	// succeeded.
	Inferences, Executions uint64
	// Success is of requests, from the opened model to the answer; Fail of
	// predictions that did not succeed. Input that is refused is neither.
	Success, Fail Duration
	// Queue is the time for which requests waited. Input is that of reading them,
	// Infer that of the engine, Output that of writing the answer.
	Queue, Input, Infer, Output Duration
	// Memory is an estimate of what the version takes, in bytes.
	Memory int64
}

// counters add up a version's statistics, without locks.
type counters struct {
	last                                atomic.Int64 // Unix time in nanoseconds
	waited                              atomic.Int64 // nanoseconds, of those that were answered
	inferences                          atomic.Uint64
	success, fail, input, infer, output counter
}

type counter struct {
	count atomic.Uint64
	total atomic.Int64
}

func (c *counter) add(d time.Duration) {
	c.count.Add(1)
	c.total.Add(int64(d))
}

func (c *counter) read() Duration {
	return Duration{Count: c.count.Load(), Total: time.Duration(c.total.Load())}
}

// count adds a prediction that ran from start to end. What comes before it and
// after the last one is its input's.
func (c *Call) count(start, end time.Time, err error) {
	n := &c.version.counters
	c.answered = err == nil
	if err != nil {
		n.fail.add(end.Sub(c.mark))
		c.mark = end
		return
	}
	n.last.Store(start.UnixNano())
	n.inferences.Add(uint64(max(c.batch.Rows, 0)))
	n.input.add(start.Sub(c.mark) - c.waited)
	n.waited.Add(int64(c.waited))
	c.waited = 0
	n.infer.add(end.Sub(start))
	c.mark = end
}

// countAnswer adds a request whose last prediction succeeded.
func (c *Call) countAnswer() {
	n, now := &c.version.counters, c.catalog.cfg.Now()
	n.output.add(now.Sub(c.mark))
	n.success.add(now.Sub(c.began))
}

func (v *version) statistics() Statistics {
	n := &v.counters
	s := Statistics{
		Model: v.model, Version: v.id, Inferences: n.inferences.Load(), Memory: v.memory,
		Success: n.success.read(), Fail: n.fail.read(), Input: n.input.read(), Infer: n.infer.read(), Output: n.output.read(),
	}
	s.Executions = s.Infer.Count
	s.Queue = Duration{Count: s.Infer.Count, Total: time.Duration(n.waited.Load())}
	if last := n.last.Load(); last != 0 {
		s.LastInference = time.Unix(0, last)
	}
	return s
}

// Statistics returns what the versions of a model have done, oldest first, or the
// one that is named by its number or label; without a model those of every model
// that the principal may read, by name. Faults: those of Describe, when there is
// a model.
func (c *Catalog) Statistics(ctx context.Context, p *identity.Principal, name, versionID string) ([]Statistics, error) {
	seen := c.current.Load().of(p)
	if versionID != "" {
		v, err := seen.readable(ctx, p, name, versionID)
		if err != nil {
			return nil, err
		}
		return []Statistics{v.statistics()}, nil
	}
	models := seen.sorted
	if name != "" {
		v, err := seen.readable(ctx, p, name, "")
		if err != nil {
			return nil, err
		}
		models = []*model{seen.models[v.model]}
	}
	all := []Statistics{}
	for _, m := range models {
		for _, v := range m.versions {
			if carries(p, v.access.require) && authz.Decide(v.access.policy, v.request(ctx, p, authz.Read)).Allow {
				all = append(all, v.statistics())
			}
		}
	}
	return all, nil
}
