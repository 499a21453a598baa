package httpapi

import (
	"strconv"
	"strings"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
)

// maxPromise is the longest time that Request-Timeout may say, in seconds.
const maxPromise = 86400

// promise takes over how long the client will wait for its answer, from the end of
// its header on: the header Request-Timeout, in seconds, such as 2.5. The route's
// own deadline holds as well. Faults: BadRequest.
func (x *exchange) promise() error {
	values := x.request.Header["Request-Timeout"]
	if len(values) == 0 {
		return nil
	}
	seconds, ok := parsePromise(values)
	if !ok {
		return fault.Newf(fault.BadRequest, "Request-Timeout must be a number of seconds above 0 and up to %d, such as 2.5", maxPromise)
	}
	if at := x.start.Add(time.Duration(seconds * float64(time.Second))); at.Before(x.ctx.at) {
		x.ctx.shorten(at)
		x.promised = at
	}
	return nil
}

// lateFor returns the fault of a request, told apart from our own timeouts where it
// is the client's deadline that has passed.
func (x *exchange) lateFor(f *fault.Error) *fault.Error {
	if f.Kind != fault.Timeout || x.promised.IsZero() || x.ctx.now().Before(x.promised) {
		return f
	}
	told := *f
	told.Kind = fault.ClientDeadline
	return &told
}

// maxPromiseText is more than the longest form of a number that programs write.
const maxPromiseText = 32

// parsePromise reads a number as JSON writes it.
func parsePromise(values []string) (float64, bool) {
	text := values[0]
	if len(values) != 1 || text == "" || len(text) > maxPromiseText || text[0] < '0' || text[0] > '9' || strings.Trim(text, "0123456789.eE+-") != "" {
		return 0, false
	}
	seconds, err := strconv.ParseFloat(text, 64)
	return seconds, err == nil && seconds > 0 && seconds <= maxPromise
}

// asked is what may be said about the request before its credential is looked at.
func (x *exchange) asked() admission.Asked {
	fields := fieldsOf(x.request.Header)
	asked := admission.Asked{Credential: fields.Claimed(), Target: x.request.URL.Path}
	if all := peer(x.request); len(all) > 0 {
		asked.Certificate = all[0].Raw
	}
	if x.route != nil && x.route.OfModel {
		asked.Model = x.param("model")
	}
	return asked
}

// wait returns the fault of a request that a limit refused, with how long all of
// them need.
func (x *exchange) wait(f *fault.Error) *fault.Error {
	gate, asked := x.listener.api.cfg.Admission, x.asked()
	told := *f
	told.RetryAfter = gate.RetryAfter(x.ctx.Context, &asked, f.RetryAfter)
	if x.principal != nil {
		gate.Remember(&asked, nil, told.RetryAfter)
	}
	return &told
}
