// Package otlp speaks the OpenTelemetry Protocol (OTLP 1.x): the form of spans and
// log records, the requests that carry them over HTTP and gRPC, and a bounded queue
// before a collector that may be away. It owns the names and meaning of the standard
// environment variables of exporters. It must not know what is told with it.
//
// Messages are written field by field with protowire, and held by tests to the
// official ones: a batch is bytes from the moment that a span ends, so that nothing
// of it is allocated, copied or collected again.
package otlp

import (
	"encoding/binary"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// SchemaURL names the semantic conventions that names of attributes follow.
const SchemaURL = "https://opentelemetry.io/schemas/1.43.0"

// Attribute is one name and its value: a string or an int64.
type Attribute struct {
	Key    string
	Text   string
	Number int64
	kind   kind
}

type kind uint8

const (
	text kind = iota
	number
)

// String returns an attribute that is text.
func String(key, value string) Attribute { return Attribute{Key: key, Text: value} }

// Int returns an attribute that is a number.
func Int(key string, value int64) Attribute { return Attribute{Key: key, Number: value, kind: number} }

// Span is a span to be sent (opentelemetry/proto/trace/v1/trace.proto, Span).
type Span struct {
	TraceID        [16]byte
	ID, Parent     [8]byte
	State          string
	Name           string
	Kind           SpanKind
	Start, End     time.Time
	Flags          uint32
	Attributes     []Attribute
	Failed         bool
	FailureMessage string
}

// SpanKind says how a span stands to its parent.
type SpanKind int32

// The kinds that are sent.
const (
	Internal SpanKind = 1
	Server   SpanKind = 2
)

// Flags of a span beside those of W3C Trace Context: whether the parent is in
// another process.
const (
	HasIsRemote uint32 = 0x100
	IsRemote    uint32 = 0x200
)

// The fields of Span, Status, LogRecord, KeyValue and AnyValue.
const (
	spanTraceID    protowire.Number = 1
	spanID         protowire.Number = 2
	spanState      protowire.Number = 3
	spanParent     protowire.Number = 4
	spanName       protowire.Number = 5
	spanKind       protowire.Number = 6
	spanStart      protowire.Number = 7
	spanEnd        protowire.Number = 8
	spanAttributes protowire.Number = 9
	spanStatus     protowire.Number = 15
	spanFlags      protowire.Number = 16

	statusMessage protowire.Number = 2
	statusCode    protowire.Number = 3
	statusError                    = 2

	logTime       protowire.Number = 1
	logSeverity   protowire.Number = 2
	logText       protowire.Number = 3
	logBody       protowire.Number = 5
	logAttributes protowire.Number = 6
	logObserved   protowire.Number = 11
	logEvent      protowire.Number = 12

	pairKey     protowire.Number = 1
	pairValue   protowire.Number = 2
	valueString protowire.Number = 1
	valueInt    protowire.Number = 3

	// item is the field of ScopeSpans that holds spans, and of ScopeLogs that holds
	// records.
	item protowire.Number = 2
)

// AppendSpan appends a span as an item of a request.
func AppendSpan(b []byte, s *Span) []byte {
	return appendMessage(b, item, func(b []byte) []byte {
		b = appendBytes(b, spanTraceID, s.TraceID[:])
		b = appendBytes(b, spanID, s.ID[:])
		b = appendText(b, spanState, s.State)
		if s.Parent != [8]byte{} {
			b = appendBytes(b, spanParent, s.Parent[:])
		}
		b = appendText(b, spanName, s.Name)
		b = appendVarint(b, spanKind, uint64(s.Kind)) //nolint:gosec // G115: one of the constants
		b = appendTime(b, spanStart, s.Start)
		b = appendTime(b, spanEnd, s.End)
		for i := range s.Attributes {
			b = appendAttribute(b, spanAttributes, &s.Attributes[i])
		}
		if s.Failed {
			b = appendMessage(b, spanStatus, func(b []byte) []byte {
				return appendVarint(appendText(b, statusMessage, s.FailureMessage), statusCode, statusError)
			})
		}
		b = protowire.AppendTag(b, spanFlags, protowire.Fixed32Type)
		return protowire.AppendFixed32(b, s.Flags)
	})
}

// Record is a log record to be sent (opentelemetry/proto/logs/v1/logs.proto,
// LogRecord).
type Record struct {
	Time, Observed time.Time
	Severity       Severity
	Event          string
	Body           string
	Attributes     []Attribute
}

// Severity is a SeverityNumber, with its short name.
type Severity int32

// The severities that are sent.
const (
	Info Severity = 9
	Warn Severity = 13
)

// String returns the short name of the data model's.
func (s Severity) String() string {
	if s >= Warn {
		return "WARN"
	}
	return "INFO"
}

// AppendRecord appends a log record as an item of a request.
func AppendRecord(b []byte, r *Record) []byte {
	return appendMessage(b, item, func(b []byte) []byte {
		b = appendTime(b, logTime, r.Time)
		b = appendTime(b, logObserved, r.Observed)
		b = appendVarint(b, logSeverity, uint64(r.Severity)) //nolint:gosec // G115: one of the constants
		b = appendText(b, logText, r.Severity.String())
		b = appendMessage(b, logBody, func(b []byte) []byte { return appendText(b, valueString, r.Body) })
		for i := range r.Attributes {
			b = appendAttribute(b, logAttributes, &r.Attributes[i])
		}
		return appendText(b, logEvent, r.Event)
	})
}

// The fields of the messages around items; those of spans and of log records have
// the same numbers.
const (
	requestResource  protowire.Number = 1 // ExportTraceServiceRequest.resource_spans
	groupResource    protowire.Number = 1 // ResourceSpans.resource
	groupScope       protowire.Number = 2 // ResourceSpans.scope_spans
	groupSchema      protowire.Number = 3
	resourceAttr     protowire.Number = 1
	scopeScope       protowire.Number = 1 // ScopeSpans.scope
	scopeSchema      protowire.Number = 3
	scopeName        protowire.Number = 1
	scopeVersion     protowire.Number = 2
	responsePartial  protowire.Number = 1 // ExportTraceServiceResponse.partial_success
	partialRejected  protowire.Number = 1
	partialErrorText protowire.Number = 2
)

// Envelope makes requests of items.
type Envelope struct{ resource, scope []byte }

// NewEnvelope returns the envelope of everything that one process sends: what it
// says about itself, and the name and version of what measured.
func NewEnvelope(resource []Attribute, name, version string) *Envelope {
	var e Envelope
	e.resource = appendMessage(nil, groupResource, func(b []byte) []byte {
		for i := range resource {
			b = appendAttribute(b, resourceAttr, &resource[i])
		}
		return b
	})
	e.scope = appendMessage(nil, scopeScope, func(b []byte) []byte {
		return appendText(appendText(b, scopeName, name), scopeVersion, version)
	})
	return &e
}

// Request returns the request that carries the items: an
// ExportTraceServiceRequest of spans, an ExportLogsServiceRequest of records.
func (e *Envelope) Request(items []byte) []byte {
	const headers = 64 // tags and lengths, at most
	b := make([]byte, 0, len(e.resource)+len(e.scope)+len(items)+2*len(SchemaURL)+headers)
	return appendMessage(b, requestResource, func(b []byte) []byte {
		b = append(b, e.resource...)
		b = appendMessage(b, groupScope, func(b []byte) []byte {
			return appendText(append(append(b, e.scope...), items...), scopeSchema, SchemaURL)
		})
		return appendText(b, groupSchema, SchemaURL)
	})
}

// readResponse returns how many items the collector did not take, and why.
func readResponse(b []byte) (rejected int64, reason string) {
	partial, _ := field(b, responsePartial)
	if n, count := field(partial, partialRejected); n == nil {
		rejected = int64(min(count, 1<<40))
	}
	text, _ := field(partial, partialErrorText)
	return rejected, string(text[:min(len(text), maxReason)])
}

// maxReason is how many bytes of a collector's explanation are kept.
const maxReason = 256

// field returns the last field of the number: its bytes, or its number.
func field(b []byte, want protowire.Number) (data []byte, value uint64) {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return data, value
		}
		size := protowire.ConsumeFieldValue(num, typ, b[n:])
		if size < 0 {
			return data, value
		}
		if num == want {
			switch typ { //nolint:exhaustive // the two that are asked for
			case protowire.BytesType:
				data, _ = protowire.ConsumeBytes(b[n:])
			case protowire.VarintType:
				value, _ = protowire.ConsumeVarint(b[n:])
			}
		}
		b = b[n+size:]
	}
	return data, value
}

// appendMessage appends a message of unknown length: four bytes are kept for it,
// which is a form of a varint that every reader takes.
func appendMessage(b []byte, num protowire.Number, fill func([]byte) []byte) []byte {
	b = protowire.AppendTag(b, num, protowire.BytesType)
	at := len(b)
	b = fill(append(b, 0, 0, 0, 0))
	n := uint32(len(b) - at - 4) //nolint:gosec // G115: batches are far shorter
	binary.LittleEndian.PutUint32(b[at:], n&0x7F|n<<1&0x7F00|n<<2&0x7F0000|n<<3&0x7F000000|0x808080)
	return b
}

func appendAttribute(b []byte, num protowire.Number, a *Attribute) []byte {
	return appendMessage(b, num, func(b []byte) []byte {
		b = appendText(b, pairKey, a.Key)
		return appendMessage(b, pairValue, func(b []byte) []byte {
			if a.kind == number {
				return protowire.AppendVarint(protowire.AppendTag(b, valueInt, protowire.VarintType), uint64(a.Number)) //nolint:gosec // G115: two's complement, as the format has it
			}
			return protowire.AppendString(protowire.AppendTag(b, valueString, protowire.BytesType), a.Text)
		})
	})
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// appendText appends a text that is not empty.
func appendText(b []byte, num protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	return protowire.AppendFixed64(protowire.AppendTag(b, num, protowire.Fixed64Type), uint64(t.UnixNano()))
}
