package audit

import (
	"errors"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// DenialError is the cause of a fault that says more for the record than the client may
// know: whom a refused credential names, or which rule of which model refused.
type DenialError struct {
	// Actor is whom the credential names, of Tenant, and Method what kind it is;
	// empty when it names nobody.
	Actor, Issuer, Tenant, Method string
	// About is what was asked for.
	About About
	// Err is the reason, for the log.
	Err error
}

// About is the version of a model that a request is about, and the rule that
// decided about it. The zero value is none.
type About struct {
	// Model is the model's folder, Version the version's number, and Digest the
	// SHA-256 of the model file in hexadecimal.
	Model, Version, Digest string
	Rule                   Rule
}

// Error returns the reason.
func (d *DenialError) Error() string {
	if d.Err == nil {
		return "refused"
	}
	return d.Err.Error()
}

// Unwrap returns the reason.
func (d *DenialError) Unwrap() error { return d.Err }

// Names returns a DenialError of a credential of the principal.
func Names(p *identity.Principal, reason error) *DenialError {
	return &DenialError{Actor: p.Subject, Issuer: p.Issuer, Tenant: p.Tenant, Method: string(p.Method), Err: reason}
}

// denialOf returns what an error says for the record, the zero value for nothing.
func denialOf(err error) DenialError {
	if d, ok := errors.AsType[*DenialError](err); ok {
		return *d
	}
	return DenialError{}
}

// Outcome returns the word for how something ended.
func Outcome(err error) string {
	if err == nil {
		return OK
	}
	return fault.KindOf(err).String()
}
