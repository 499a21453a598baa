package audit

import (
	"context"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// Keeper keeps records, and a record of how many it could not keep. Lag is how many
// are not on the disk yet.
type Keeper interface {
	Recorder
	// Err returns why no record can be kept at present; nil while it can.
	Err() error
	Lag() int64
}

// TrailConfig is what a Trail is made of.
type TrailConfig struct {
	// Log is required.
	Log Keeper
	// Mode is Strict or BestEffort; empty means Strict.
	Mode Mode
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Trail is the one way to the log for everything that happens in a server,
// whatever the protocol: one request leaves one record, and it decides what becomes
// of a request whose record cannot be kept. It is safe for concurrent use. A nil
// *Trail keeps no records and refuses nothing.
type Trail struct {
	log    Keeper
	strict bool
	now    func() time.Time
	// strangers are refusals of nobody who is known, on their way to sums or to the
	// log.
	strangers chan stranger
	sums      sums
	// lost is how many records are missing.
	lost atomic.Int64
}

// NewTrail returns a Trail.
func NewTrail(cfg TrailConfig) *Trail {
	if cfg.Now == nil {
		cfg.Now = time.Now //nolint:forbidigo // the default of the injected clock
	}
	return &Trail{
		log: cfg.Log, strict: cfg.Mode != BestEffort, now: cfg.Now,
		strangers: make(chan stranger, maxStrangers), sums: newSums(),
	}
}

// retryAfter is when whoever was refused for want of a record should come again.
const retryAfter = 5 * time.Second

// Err returns why nothing may be done that needs a record: in strict mode, while
// the log cannot be written. The fault is Unavailable.
func (t *Trail) Err() error {
	if t == nil || !t.strict {
		return nil
	}
	if err := t.log.Err(); err != nil {
		return unavailable(err)
	}
	return nil
}

// unavailable is the fault of what cannot be put on record.
func unavailable(err error) error {
	return &fault.Error{
		Kind: fault.Unavailable, RetryAfter: retryAfter, Err: err,
		Msg: "The audit log cannot be written, and nothing is done that is not on record; try again later",
	}
}

// Record keeps a record of something that is about to happen, or says with a fault
// of kind Unavailable that it must not. In best-effort mode what changes nothing
// and gives nobody a credential goes ahead without, and is counted.
func (t *Trail) Record(ctx context.Context, rec *Record) error {
	if t == nil {
		return nil
	}
	if err := t.log.Record(ctx, rec); err != nil {
		if t.strict || !rec.mayBeMissing() {
			return unavailable(err)
		}
		t.lost.Add(1)
	}
	state := reqctx.Done
	if rec.Outcome != OK {
		state = reqctx.Failed
	}
	reqctx.Mark(ctx, state)
	return nil
}

// mayBeMissing reports whether what the record is about may go ahead without it in
// best-effort mode.
func (r *Record) mayBeMissing() bool {
	return r.Event == Predict || r.Event == Refused || r.Event.reads()
}

// Server is the actor of what the server does by itself.
const Server = "server"

// Refusal is a request that was refused or failed, as the edge knows it that
// answers.
type Refusal struct {
	// Principal is who asked; nil while nobody is known.
	Principal *identity.Principal
	// Object is what was asked of the server: a route or a method, never what the
	// client wrote.
	Object string
	// About is the model that it was asked of, as far as it is known.
	About About
	// Err is the fault.
	Err error
}

// Refuse keeps the record of a request that is refused, unless there is one.
// Whoever is known has a record of its own; the others are summed by address, as
// are, beyond so many in a minute, refused credentials that name somebody. The
// fault is Unavailable when the refusal itself must not be answered.
func (t *Trail) Refuse(ctx context.Context, r *Refusal) error {
	if t == nil {
		return nil
	}
	info := reqctx.From(ctx)
	if info.Recorded == reqctx.Failed {
		return nil
	}
	denial := denialOf(r.Err)
	if kind := fault.KindOf(r.Err); r.Principal == nil || kind == fault.Unauthenticated && denial.About == (About{}) {
		// Who has proven to be somebody does not answer for a further credential that
		// does not count, but for one that a model asks for and that is not there.
		t.meet(ctx, info, kind, &denial)
		return nil
	}
	rec := &Record{Event: Refused, Object: r.Object, Decision: decided(r, &denial), Outcome: Outcome(r.Err)}
	rec.By(r.Principal)
	if denial.About != (About{}) {
		r.About = denial.About
	}
	rec.of(&r.About)
	err := t.Record(ctx, rec)
	if err != nil {
		t.sums.add(info.ClientAddr, fault.Unavailable, 1)
	}
	return err
}

// decided returns what was decided about a request that is refused, perhaps for
// another reason: by a rule that refused, by one that allowed before something else
// failed, or by a permission or credential; by nobody where none was asked.
func decided(r *Refusal, denial *DenialError) Decision {
	_, allowed := r.About.Rule.Number()
	switch {
	case denial.About != (About{}):
		return Deny
	case allowed:
		return Allow
	}
	return deniedBy(fault.KindOf(r.Err))
}

// deniedBy returns what was decided where no rule was asked: limits, full disks and
// content decide nothing about who asks.
func deniedBy(kind fault.Kind) Decision {
	if kind == fault.Forbidden || kind == fault.Unauthenticated {
		return Deny
	}
	return ""
}

// of says what a record is about.
func (r *Record) of(about *About) {
	r.Model, r.Version, r.Digest, r.Rule = about.Model, about.Version, about.Digest, about.Rule
}

// Look keeps the record of a request that was served and changed nothing, unless
// there is one.
func (t *Trail) Look(ctx context.Context, event Event, p *identity.Principal, about *About) error {
	if t == nil || event == "" || reqctx.From(ctx).Recorded != reqctx.Nothing {
		return nil
	}
	rec := &Record{Event: event, Decision: Allow, Outcome: OK}
	rec.By(p)
	rec.of(about)
	return t.Record(ctx, rec)
}

// Lost is how many records could not be kept and are missing for good.
func (t *Trail) Lost() int64 {
	if t == nil {
		return 0
	}
	return t.lost.Load()
}

// Lag is how many records are not on the disk yet.
func (t *Trail) Lag() int64 {
	if t == nil {
		return 0
	}
	return t.log.Lag()
}
