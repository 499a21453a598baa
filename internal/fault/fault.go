// Package fault is the one vocabulary of failure. A service classifies what
// went wrong by a Kind and says in Msg what the client should fix; the cause
// stays in Err, for the log. An error that is not an *Error is Internal. Each
// adapter turns a Kind into its own protocol's code in one table.
//
// It knows no transport, no storage and no other package of this program.
package fault

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kind says what class of failure an error is.
type Kind uint8

// The kinds, in the order in which a request can meet them.
const (
	// Internal is a defect or an unexpected condition of ours. It is the zero
	// value, so that an unclassified error never tells a client anything.
	Internal Kind = iota
	// Misdirected is a request for a host that this server does not serve.
	Misdirected
	// BadRequest is a request that is malformed as a message: its path, its
	// headers or its combination of credentials.
	BadRequest
	// NotFound is a resource that does not exist for this caller.
	NotFound
	// MethodNotAllowed is a method that the resource does not have.
	MethodNotAllowed
	// RateLimited is a caller above its rate. RetryAfter says when to return.
	RateLimited
	// QuotaExceeded is a caller who has used up what a period of the calendar
	// allows. RetryAfter says when that ends.
	QuotaExceeded
	// Unauthenticated is a missing or refused credential.
	Unauthenticated
	// Forbidden is a caller who is known and may not do this.
	Forbidden
	// UnsupportedMedia is a body of a type that the resource does not read.
	UnsupportedMedia
	// TooLarge is a body above its limit.
	TooLarge
	// Syntax is a body that cannot be parsed.
	Syntax
	// Content is a body that parses but does not fit. Fields names every part.
	Content
	// Undecryptable is a ciphertext that does not open, whatever the reason.
	Undecryptable
	// Conflict is a request that contradicts the present state.
	Conflict
	// Unsupported is what a protocol has and this server does not.
	Unsupported
	// Unavailable is a dependency or a capacity that is missing for now.
	Unavailable
	// Overloaded is more work than the server takes on. RetryAfter says when to
	// return.
	Overloaded
	// Timeout is a deadline of ours that passed before the work was done.
	Timeout
	// ClientDeadline is one that the caller set, which is no failure of ours.
	// Adapters alone tell the two apart, where they answer: services see one context.
	ClientDeadline
	// Canceled is a caller who went away.
	Canceled

	kinds // the number of kinds
)

// Kinds returns every kind, so that a test can prove a table complete.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

var names = [kinds]string{
	"internal", "misdirected", "bad request", "not found", "method not allowed",
	"rate limited", "quota exceeded", "unauthenticated", "forbidden", "unsupported media type",
	"too large", "syntax", "content", "undecryptable", "conflict", "unsupported", "unavailable", "overloaded", "timeout", "client deadline", "canceled",
}

// String returns the kind's name, for logs and tests.
func (k Kind) String() string {
	if k < kinds {
		return names[k]
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}

// MaxFields is how many faulty fields one answer names.
const MaxFields = 100

// Field is one fault inside a body.
type Field struct {
	// Pointer is a JSON pointer as a URI fragment (RFC 6901 section 6), such
	// as "#/1/sepal_width". Empty in a table.
	Pointer string
	// Line and Column say where it is in a table, both counted from 1, the
	// header being line 1; Name is the column's. Column is 0 where a whole line
	// is meant.
	Line, Column int
	Name         string
	// Detail says what is allowed.
	Detail string
}

// Error is a classified failure.
type Error struct {
	Kind Kind
	// Code is the protocol's own word where the kind alone does not decide it,
	// such as "invalid_scope" of RFC 6749 section 5.2. Usually empty.
	Code string
	// Msg is safe to show to the client, and says what to fix.
	Msg string
	// Err is the cause, for the log only.
	Err error
	// Fields lists the faults inside the body, at most MaxFields.
	Fields []Field
	// Truncated says that there were more faults than Fields holds.
	Truncated bool
	// RetryAfter is how long to wait before trying again; zero when unknown.
	RetryAfter time.Duration
}

// New returns an error of the kind with a message for the client.
func New(kind Kind, msg string) *Error { return &Error{Kind: kind, Msg: msg} }

// Newf is New with a format.
func Newf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Msg: fmt.Sprintf(format, args...)}
}

// Wrap returns an error of the kind with a message for the client and a cause
// for the log.
func Wrap(kind Kind, msg string, err error) *Error {
	return &Error{Kind: kind, Msg: msg, Err: err}
}

// OfContext classifies the error of a context that ended: Timeout or Canceled.
func OfContext(err error) *Error {
	if errors.Is(err, context.DeadlineExceeded) {
		return Wrap(Timeout, "The request took too long", err)
	}
	return Wrap(Canceled, "The request was canceled", err)
}

// Classify returns err's fault, for who answers a request. What a context says
// about itself is a fault of its own kind even where nobody classified it.
func Classify(err error) *Error {
	f := As(err)
	if f.Kind != Internal {
		return f
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Wrap(Timeout, "", err)
	case errors.Is(err, context.Canceled):
		return Wrap(Canceled, "", err)
	}
	return f
}

// Error returns the message and the cause. It is for the log, never for a
// client: adapters show Msg alone.
func (e *Error) Error() string {
	switch {
	case e.Err == nil:
		return e.Msg
	case e.Msg == "":
		return e.Err.Error()
	default:
		return e.Msg + ": " + e.Err.Error()
	}
}

// Text returns what the client may read: the message as sentences, of which the
// first begins with a capital and the last ends without a period, or what is
// otherwise said of the kind. Faults are also parts of an operator's error, where
// they begin as any other part does.
func (e *Error) Text(otherwise string) string {
	if e.Msg == "" || e.Kind == Internal {
		return otherwise
	}
	msg := strings.TrimSuffix(e.Msg, ".")
	first, size := utf8.DecodeRuneInString(msg)
	if upper := unicode.ToUpper(first); upper != first && first != utf8.RuneError {
		return string(upper) + msg[size:]
	}
	return msg
}

// wordedFields is how many fields one text names.
const wordedFields = 10

// Worded names the fields in words, for protocols whose errors are one text: it
// goes behind Text. It is empty where there are none. The first is always there,
// further ones as long as all have at most limit bytes.
func (e *Error) Worded(limit int) string {
	const more = "; and more"
	var b strings.Builder
	separator := ": "
	for i, field := range e.Fields {
		words := separator + strings.TrimPrefix(field.Pointer, "#") + " " + field.Detail
		if i == wordedFields || i > 0 && b.Len()+len(words)+len(more) > limit {
			b.WriteString(more)
			return b.String()
		}
		b.WriteString(words)
		separator = "; "
	}
	if e.Truncated {
		b.WriteString(more)
	}
	return b.String()
}

// RetrySeconds is RetryAfter as a Retry-After field says it (RFC 9110 section
// 10.2.3): in whole seconds, rounded up, at least 1.
func (e *Error) RetrySeconds() string {
	return strconv.FormatInt(max(1, int64((e.RetryAfter+time.Second-1)/time.Second)), 10)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// As returns err's classification. An error without one is Internal with err
// as its cause; nil is nil.
func As(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: Internal, Err: err}
}

// KindOf returns the kind of err, Internal when it has none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return Internal
}
