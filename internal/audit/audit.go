// Package audit names what happened to whom, for a record that is kept. It
// owns the record and the interface to whatever keeps it, and knows neither
// transports nor stores. Discard is the recorder of an installation that
// keeps none.
package audit

import (
	"context"
	"time"
)

// Record is one decision or change.
type Record struct {
	// Event is a word of a closed list, such as "predict".
	Event string
	Actor string
	// Tenant is the actor's, or that of Object.
	Tenant string
	// Object names what was changed; empty for what changes nothing.
	Object string
	Method string
	// Model is the model's folder: NAME, or @TENANT/NAME.
	Model   string
	Version string
	// Rule is the number of the access rule that decided.
	Rule int
	Rows int
	// Latency is the time that the engine took.
	Latency time.Duration
	// Outcome is "ok" or the kind of the fault.
	Outcome string
}

// Recorder keeps records. Record returns an error of kind fault.Unavailable
// when the record could not be kept and the action must not go ahead.
type Recorder interface {
	Record(ctx context.Context, rec *Record) error
}

// Discard keeps nothing.
type Discard struct{}

// Record drops the record.
func (Discard) Record(context.Context, *Record) error { return nil }
