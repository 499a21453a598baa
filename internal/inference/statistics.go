package inference

import (
	"context"
	"sync"
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
// terms of Triton's statistics extension: for whoever asks, to the owner, and for
// its own callers, to a tenant that the model is shared with.
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
	// Batches are the executions by their rows, the smallest first.
	Batches []BatchStatistics
	// Memory is an estimate of what the version takes, in bytes.
	Memory int64
}

// BatchStatistics is what the executions of so many rows did: InferBatchStatistics.
type BatchStatistics struct {
	Rows                 uint64
	Input, Infer, Output Duration
}

// counters add up a version's statistics, without locks.
type counters struct {
	since                               time.Time    // of a tenant's: before its first call
	last                                atomic.Int64 // Unix time in nanoseconds
	waited                              atomic.Int64 // nanoseconds, of those that were answered
	inferences                          atomic.Uint64
	success, fail, input, infer, output counter
	// batches are of more rows than one: those of one row are the rest, so that they
	// cost nothing more.
	batches batches
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

// shares are the counters of tenants that a version is shared with. There are no
// more than tenants that have called it.
type shares struct{ byTenant sync.Map } // of *counters

// of returns the counters of a tenant; nil when it has never called.
func (s *shares) of(tenant string) *counters {
	n, _ := s.byTenant.Load(tenant)
	own, _ := n.(*counters)
	return own
}

// begin returns the counters of a tenant from its first call on, which began then.
func (s *shares) begin(tenant string, since time.Time) *counters {
	if own := s.of(tenant); own != nil {
		return own
	}
	n, _ := s.byTenant.LoadOrStore(tenant, &counters{since: since})
	own, _ := n.(*counters)
	return own
}

// ForgetCallers drops what versions have counted for tenants that they are shared with
// and that were, since then, deleted, also where one of the same name was made.
func (c *Catalog) ForgetCallers(deleted func(tenant string, since time.Time) bool) {
	for _, m := range c.current.Load().sorted {
		for _, v := range m.versions {
			v.shares.byTenant.Range(func(name, n any) bool {
				tenant, _ := name.(string)
				if own, ok := n.(*counters); ok && deleted(tenant, own.since) {
					v.shares.byTenant.CompareAndDelete(tenant, own)
				}
				return true
			})
		}
	}
}

// count adds a prediction that ran from start to end. What comes before it and
// after the last one is its input's.
func (c *Call) count(start, end time.Time, err error) {
	c.answered = err == nil
	c.version.counters.count(c, start, end, err)
	if tenant := c.principal.Tenant; tenant != c.version.tenant {
		c.version.shares.begin(tenant, c.began).count(c, start, end, err)
	}
	c.mark = end
}

func (n *counters) count(c *Call, start, end time.Time, err error) {
	if err != nil {
		n.fail.add(end.Sub(c.mark))
		return
	}
	n.last.Store(start.UnixNano())
	n.inferences.Add(uint64(max(c.batch.Rows, 0)))
	n.input.add(start.Sub(c.mark) - c.waited)
	if b := n.batches.of(c.batch.Rows); b != nil {
		b.input.add(start.Sub(c.mark) - c.waited)
		b.infer.add(end.Sub(start))
	}
	n.waited.Add(int64(c.waited))
	c.waited = 0
	n.infer.add(end.Sub(start))
}

// countAnswer adds a request whose last prediction succeeded.
func (c *Call) countAnswer() {
	now := c.catalog.cfg.Now()
	output, success := now.Sub(c.mark), now.Sub(c.began)
	c.version.counters.answered(c.batch.Rows, output, success)
	if tenant := c.principal.Tenant; tenant != c.version.tenant {
		c.version.shares.begin(tenant, c.began).answered(c.batch.Rows, output, success)
	}
}

func (n *counters) answered(rows int, output, success time.Duration) {
	if b := n.batches.of(rows); b != nil {
		b.output.add(output)
	}
	n.output.add(output)
	n.success.add(success)
}

// countersFor returns what a tenant is shown: all to the owner, its own to another.
func (v *version) countersFor(p *identity.Principal) *counters {
	if p.Tenant == v.tenant {
		return &v.counters
	}
	if own := v.shares.of(p.Tenant); own != nil {
		return own
	}
	return new(counters) // that have counted nothing
}

func (v *version) statistics(p *identity.Principal) Statistics {
	n := v.countersFor(p)
	s := Statistics{
		Model: v.model, Version: v.id, Inferences: n.inferences.Load(), Memory: v.memory,
		Success: n.success.read(), Fail: n.fail.read(), Input: n.input.read(), Infer: n.infer.read(), Output: n.output.read(),
	}
	s.Executions = s.Infer.Count
	s.Queue = Duration{Count: s.Infer.Count, Total: time.Duration(n.waited.Load())}
	s.Batches = n.batches.read(&s)
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
		return []Statistics{v.statistics(p)}, nil
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
				all = append(all, v.statistics(p))
			}
		}
	}
	return all, nil
}
