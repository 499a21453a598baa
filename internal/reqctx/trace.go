package reqctx

import (
	"encoding/hex"
	"time"
)

// Stage is a part of a request that is measured.
type Stage string

// The stages, named as their spans are.
const (
	Authenticate Stage = "authenticate"
	Authorize    Stage = "authorize"
	Validate     Stage = "validate"
	Predict      Stage = "predict"
	Audit        Stage = "audit"
)

// Sampled is the flag of W3C Trace Context (section 3.2.2.5.1) that says that the
// trace is recorded.
const Sampled byte = 1

// Trace says where a request stands in a trace (W3C Trace Context), and keeps how
// long its parts took. A nil Trace, that of a server that sends no traces, keeps
// nothing and costs nothing. It belongs to the goroutine that serves the request.
type Trace struct {
	// ID is the trace's, Span the request's own.
	ID   [16]byte
	Span [8]byte
	// Parent is the caller's span, zero where the trace begins here.
	Parent [8]byte
	Flags  byte
	// State is the caller's tracestate, which is handed on as it came.
	State string
	// Propagate says that others are told of it: callers, and those whom we call.
	Propagate bool
	// Now is the clock of a sampled trace; without one no part is kept.
	Now func() time.Time

	parts []Part
}

// Part is one measured part of a request.
type Part struct {
	Stage        Stage
	Began, Ended time.Time
	// Err is why the part failed, if it did.
	Err error
}

const (
	// usualParts is how many parts a request has at most, but for odd ones.
	usualParts = 6
	// maxParts bounds the parts of one request.
	maxParts = 64
)

// Begin returns when a part begins, for End; the zero time where no part is kept.
func (t *Trace) Begin() time.Time {
	if t == nil || t.Now == nil {
		return time.Time{}
	}
	return t.Now()
}

// End keeps a part that began when Begin was called, and how it ended.
func (t *Trace) End(stage Stage, began time.Time, err error) {
	if t == nil || t.Now == nil {
		return
	}
	t.keep(Part{Stage: stage, Began: began, Ended: t.Now(), Err: err})
}

// Keep keeps a part whose times were taken for other reasons.
func (t *Trace) Keep(stage Stage, began, ended time.Time, err error) {
	if t == nil || t.Now == nil {
		return
	}
	t.keep(Part{Stage: stage, Began: began, Ended: ended, Err: err})
}

func (t *Trace) keep(p Part) {
	switch {
	case t.parts == nil:
		t.parts = make([]Part, 0, usualParts)
	case len(t.parts) == maxParts:
		return
	}
	t.parts = append(t.parts, p)
}

// Parts returns what was kept, in the order of the ends. It is shared: read only.
func (t *Trace) Parts() []Part { return t.parts }

// Recorded reports whether the trace is sent.
func (t *Trace) Recorded() bool { return t != nil && t.Flags&Sampled != 0 }

// TraceID returns the trace's id in hexadecimal, empty where there is no trace.
func (t *Trace) TraceID() string {
	if t == nil {
		return ""
	}
	return hex.EncodeToString(t.ID[:])
}

// TraceParent returns what tells others that they were called by this request: the
// header of that name (W3C Trace Context section 3.2).
func (t *Trace) TraceParent() string {
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, t.ID[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, t.Span[:])
	b = append(b, '-')
	return string(hex.AppendEncode(b, []byte{t.Flags}))
}
