// Package tracing makes a trace of each request: one span for the request, after
// OpenTelemetry's semantic conventions for HTTP and RPC servers, and one for each part
// of it that was measured. It owns the trace context of callers (W3C Trace Context),
// the choice of what is recorded, and the names of spans and attributes. It knows
// neither transports nor the collector.
//
// No span has a place for a secret, an input value, a query, or who asked: the audit
// log has that, under the request id that the span has.
package tracing

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/telemetry"
	"onnxgate/internal/telemetry/otlp"
)

const sampledFlag = reqctx.Sampled

// randomFlag says that a trace id was chosen at random (W3C Trace Context Level 2
// section 3.2.2.5.2).
const randomFlag byte = 2

// Queue takes spans without waiting: an otlp.Batcher.
type Queue interface {
	Add(n int, encode func([]byte) []byte)
}

// Config is what a Tracer needs. What has no default is required.
type Config struct {
	Queue Queue
	// Now is the clock, with monotonic readings.
	Now func() time.Time
	// Random makes ids; nil is math/rand/v2's generator, which nobody can foresee.
	Random func() uint64
	// Sampler and SamplerArg are the values of OTEL_TRACES_SAMPLER and
	// OTEL_TRACES_SAMPLER_ARG; empty follows the caller, and records what nobody
	// called.
	Sampler, SamplerArg string
	// Propagate reads callers' trace context and hands it on.
	Propagate bool
}

// Tracer makes traces. A nil Tracer makes none. It is safe for concurrent use.
type Tracer struct {
	cfg     Config
	sampler sampler
}

// New returns a tracer.
func New(cfg Config) (*Tracer, error) {
	if cfg.Queue == nil || cfg.Now == nil {
		return nil, errors.New("tracing: a queue and a clock are needed")
	}
	if cfg.Random == nil {
		cfg.Random = rand.Uint64
	}
	s, err := newSampler(cfg.Sampler, cfg.SamplerArg)
	if err != nil {
		return nil, err
	}
	return &Tracer{cfg: cfg, sampler: s}, nil
}

// Begin returns the trace of a request that came with these values of traceparent
// and tracestate; nil where the server sends no traces.
func (t *Tracer) Begin(traceparent, tracestate []string) *reqctx.Trace {
	if t == nil {
		return nil
	}
	trace := &reqctx.Trace{Propagate: t.cfg.Propagate}
	var flags byte
	called := false
	if t.cfg.Propagate {
		var p parent
		if p, called = readParent(traceparent); called {
			trace.ID, trace.Parent, flags = p.trace, p.span, p.flags
			trace.State = readState(tracestate)
		}
	}
	if !called {
		binary.BigEndian.PutUint64(trace.ID[:8], t.cfg.Random())
		binary.BigEndian.PutUint64(trace.ID[8:], t.random())
		flags = randomFlag
	}
	t.locate(trace, called, flags)
	return trace
}

// Next returns the trace of a message of a stream, of which the first has the span
// that the stream has told.
func (t *Tracer) Next(of *reqctx.Trace, first bool) *reqctx.Trace {
	if t == nil || of == nil {
		return nil
	}
	next := &reqctx.Trace{ID: of.ID, Span: of.Span, Parent: of.Parent, State: of.State, Flags: of.Flags, Propagate: of.Propagate, Now: of.Now}
	if !first {
		binary.BigEndian.PutUint64(next.Span[:], t.random())
	}
	return next
}

// locate gives the request its own span, and decides whether it is recorded.
func (t *Tracer) locate(trace *reqctx.Trace, called bool, flags byte) {
	binary.BigEndian.PutUint64(trace.Span[:], t.random())
	trace.Flags = flags & randomFlag
	if t.sampler.sample(&trace.ID, called, flags) {
		trace.Flags |= sampledFlag
		trace.Now = t.cfg.Now
	}
}

// random returns a number that is not zero: no id is.
func (t *Tracer) random() uint64 {
	for {
		if n := t.cfg.Random(); n != 0 {
			return n
		}
	}
}

// Inject tells whoever is called on behalf of a request which trace it belongs to
// (W3C Trace Context section 4).
func Inject(ctx context.Context, set func(name, value string)) {
	trace := reqctx.From(ctx).Trace
	if trace == nil || !trace.Propagate {
		return
	}
	set(HeaderParent, trace.TraceParent())
	if trace.State != "" {
		set(HeaderState, trace.State)
	}
}

// end queues the spans of a request: its own, and those of its parts.
func (t *Tracer) end(trace *reqctx.Trace, span *otlp.Span) {
	span.TraceID, span.ID, span.Parent, span.State = trace.ID, trace.Span, trace.Parent, trace.State
	span.Kind, span.Flags = otlp.Server, uint32(trace.Flags)|otlp.HasIsRemote
	if trace.Parent != [8]byte{} {
		span.Flags |= otlp.IsRemote
	}
	parts := trace.Parts()
	t.cfg.Queue.Add(1+len(parts), func(b []byte) []byte {
		b = otlp.AppendSpan(b, span)
		for i := range parts {
			b = t.appendPart(b, trace, &parts[i])
		}
		return b
	})
}

// appendPart appends the span of a part.
func (t *Tracer) appendPart(b []byte, trace *reqctx.Trace, part *reqctx.Part) []byte {
	span := otlp.Span{
		TraceID: trace.ID, Parent: trace.Span, State: trace.State,
		Name: string(part.Stage), Kind: otlp.Internal, Start: part.Began, End: part.Ended,
		Flags: uint32(trace.Flags) | otlp.HasIsRemote,
	}
	binary.BigEndian.PutUint64(span.ID[:], t.random())
	var reason [1]otlp.Attribute
	if part.Err != nil {
		kind := fault.KindOf(part.Err)
		reason[0] = otlp.String("error.type", telemetry.Reason(kind))
		span.Attributes, span.Failed = reason[:], ours(kind)
	}
	return otlp.AppendSpan(b, &span)
}

// ours reports whether a fault is a failure of the server: the others are its right
// answers.
func ours(kind fault.Kind) bool {
	return kind == fault.Internal || kind == fault.Unavailable || kind == fault.Timeout
}
