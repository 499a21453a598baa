// Package audit names what happened to whom, for a record that is kept. It
// owns the record, the closed list of events, and what becomes of a request whose
// record cannot be kept; it knows neither transports nor the stores of anything
// else. Discard is the recorder of an installation that keeps none.
package audit

import (
	"context"
	"crypto/sha256"
	"net/netip"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Record is one decision or change. It holds no secret and no value of an input.
type Record struct {
	// Time is when it happened; the zero value stands for now.
	Time time.Time
	// Event is what happened.
	Event Event
	// Actor is who did it: the subject of a principal, or a word for a command or
	// the server itself; empty for nobody who is known.
	Actor string
	// Issuer is the outside issuer that vouches for Actor; empty for our own.
	Issuer string
	// Tenant is whose record it is, who may read it and whose keys seal it: that of
	// Object for a change, and else the actor's.
	Tenant string
	// ActorTenant is the actor's where it is another one; empty where it is not.
	ActorTenant string
	// Object names what was changed; empty for what changes nothing.
	Object string
	// Changes are what became of it.
	Changes Changes
	// Method is how the actor proved to be it: that of identity, a grant type,
	// "password", or "command".
	Method string
	// Beside are further credentials of the same request that counted, in the order
	// in which they were judged; unused ones are zero.
	Beside [MaxBeside]Credential
	// Address is where the request came from; the zero value stands for that of
	// the context.
	Address netip.Addr
	// Model is the model's folder: NAME, or @TENANT/NAME.
	Model   string
	Version string
	// Digest is the SHA-256 of the model file, in hexadecimal.
	Digest string
	// Decision is that of the rule, or of whatever else decides whether the actor may;
	// empty where nobody decided. What was allowed can have failed: Outcome.
	Decision Decision
	// Rule is the access rule that decided.
	Rule Rule
	Rows int
	// Count is how many requests a sum stands for; 0 for any other record.
	Count int64
	// Latency is the time that the engine took.
	Latency time.Duration
	// RequestID is that of the answer; empty stands for that of the context.
	RequestID string
	// Input is a keyed hash of the input, in hexadecimal; empty unless asked for.
	Input string
	// Token is the id (jti, RFC 7519 section 4.1.7) of the access token that was used;
	// empty without one, and of one that has none.
	Token string
	// Outcome is "ok" or the kind of the fault, or Begun.
	Outcome string
	// Pruned is set in records of AuditPrune alone.
	Pruned Pruned
}

// Pruned says of how many records, the first of the log, the lines are not kept any
// more, and what was the root of the tree of them. Anybody may read it, so that a log
// is verified without its keys.
type Pruned struct {
	Records int64
	Root    [sha256.Size]byte
}

// MaxBeside is how many credentials a request may have beside the first.
const MaxBeside = 2

// Credential is a credential that counted beside another, as Record has the first.
type Credential struct{ Actor, Issuer, Method string }

// By names who did it, with every credential that counted.
func (r *Record) By(p *identity.Principal) {
	r.Actor, r.Issuer, r.Tenant, r.Method = p.Subject, p.Issuer, p.Tenant, string(p.Method)
	r.Token = tokenOf(p)
	for i := range r.Beside {
		if p = p.With; p == nil {
			return
		}
		if r.Token == "" {
			r.Token = tokenOf(p)
		}
		r.Beside[i] = Credential{Actor: p.Subject, Issuer: p.Issuer, Method: string(p.Method)}
	}
}

// tokenOf returns the id of a principal's access token.
func tokenOf(p *identity.Principal) string {
	id, _ := p.Claims["jti"].(string)
	return id
}

// In makes the record one of the tenant to whom something was done, so that it can
// read what others did to it.
func (r *Record) In(tenant string) {
	switch {
	case tenant == r.Tenant:
	case tenant == r.ActorTenant:
		r.Tenant, r.ActorTenant = tenant, ""
	case r.ActorTenant == "":
		r.Tenant, r.ActorTenant = tenant, r.Tenant
	default:
		r.Tenant = tenant
	}
}

// Decision is what was decided.
type Decision string

// The decisions.
const (
	Allow Decision = "allow"
	Deny  Decision = "deny"
)

// OK is the outcome of what was done.
const OK = "ok"

// Begun is the outcome of what takes several steps, which a command that is killed
// between them leaves half done: a further record says how it ended.
const Begun = "begun"

// Rule is the number of an access rule. The zero value is none.
type Rule struct{ place int }

// RuleOf returns the rule of a number; a negative one is none.
func RuleOf(number int) Rule { return Rule{max(number, -1) + 1} }

// Number returns the number, and false for none.
func (r Rule) Number() (int, bool) { return r.place - 1, r.place > 0 }

// Durable reports whether a strict log has the record on the disk before the
// answer. Predictions, sums and what only reads follow within 100 ms. So do refused
// credentials: a wrong secret of somebody is recorded and one of nobody counted,
// and no answer may take longer where there is somebody.
func (r *Record) Durable() bool {
	return !r.Event.reads() && r.Event != Predict && r.Event != RefusedSum && !r.refusedCredential()
}

func (r *Record) refusedCredential() bool {
	return r.Event == Refused && r.Outcome == fault.Unauthenticated.String()
}

// Recorder keeps records. Record returns an error of kind fault.Unavailable when
// the record could not be kept, in every mode: what that means for the action is
// decided by Trail. The record is the caller's again when it returns. What the
// record leaves open of request id and address comes from the context (reqctx).
type Recorder interface {
	Record(ctx context.Context, rec *Record) error
}

// Discard keeps nothing.
type Discard struct{}

// Record drops the record.
func (Discard) Record(context.Context, *Record) error { return nil }

// Mode is what becomes of a request whose record cannot be kept.
type Mode string

// The modes.
const (
	// Strict refuses it.
	Strict Mode = "strict"
	// BestEffort lets what changes nothing go on, and counts what is missing.
	BestEffort Mode = "best-effort"
	// Off keeps no records.
	Off Mode = "off"
)
