package telemetry

import (
	"errors"
	"io"
	"log/slog"
	"math"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// FlushEvery is how long an access line may wait in memory.
const FlushEvery = 100 * time.Millisecond

// flushSize is how many bytes of access lines are written at once at the
// latest.
const flushSize = 32 << 10

// maxField is how many bytes an access line shows of what a client chose.
const maxField = 256

// ErrClosed is returned by Close of a log that is closed.
var ErrClosed = errors.New("telemetry: the access log is closed")

// Access is what one line says about one request. It has no place for a
// secret, a query or a body.
type Access struct {
	Time     time.Time
	Duration time.Duration
	Method   string
	// Route is the pattern that matched, empty when none did.
	Route string
	Path  string
	// Status is the code of the answer, Bytes the length of its body.
	Status          int
	Bytes           int64
	RequestID       string
	ClientRequestID string
	// TraceID is empty where the server sends no traces.
	TraceID string
	Client  netip.Addr
	Subject string
	// Issuer is whose subject it is when it is an outside one; empty is ours.
	Issuer         string
	Model, Version string
	// Reason is the word for why the request was refused, if it was.
	Reason string
	// Level is the line's; the zero value is slog.LevelInfo.
	Level slog.Level
}

// AccessConfig is what an AccessLog needs.
type AccessConfig struct {
	Writer io.Writer
	Format Format
	// Level silences lines of lower levels; nil none.
	Level slog.Leveler
}

// AccessLog writes one line for each request of the level. Lines wait in memory for at most
// FlushEvery; Close writes the rest. It is safe for concurrent use.
type AccessLog struct {
	format Format
	level  slog.Leveler

	mu     sync.Mutex // guards what follows
	second int64      // the second that stamp shows, as Unix time
	stamp  []byte
	lines  []byte
	timer  *time.Timer // set while a flush is to come
	closed bool

	out   sync.Mutex // guards what follows, and is taken before mu
	w     io.Writer
	spare []byte
	err   error
}

// NewAccessLog returns a log that writes to cfg.Writer.
func NewAccessLog(cfg AccessConfig) *AccessLog {
	return &AccessLog{w: cfg.Writer, level: cfg.Level, format: cfg.Format, second: math.MinInt64}
}

// Log adds the line of one request.
func (l *AccessLog) Log(a *Access) {
	if l.level != nil && l.level.Level() > a.Level {
		return
	}
	l.mu.Lock()
	l.append(a)
	full := len(l.lines) >= flushSize || l.closed
	if !full && l.timer == nil {
		l.timer = time.AfterFunc(FlushEvery, l.flush)
	}
	l.mu.Unlock()
	if full {
		l.flush()
	}
}

// Close writes what is left and returns the first error of any write. A line
// that comes later is written at once.
func (l *AccessLog) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.mu.Unlock()
	l.flush()
	l.out.Lock()
	defer l.out.Unlock()
	return l.err
}

// flush writes all lines. Requests go on adding lines meanwhile.
func (l *AccessLog) flush() {
	l.out.Lock()
	defer l.out.Unlock()
	l.mu.Lock()
	lines := l.lines
	l.lines = l.spare[:0]
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.mu.Unlock()
	if len(lines) > 0 {
		if _, err := l.w.Write(lines); err != nil && l.err == nil {
			l.err = err
		}
	}
	l.spare = lines
}

// append adds a line. The date and the second are written once a second.
func (l *AccessLog) append(a *Access) {
	if s := a.Time.Unix(); s != l.second {
		l.second, l.stamp = s, a.Time.UTC().AppendFormat(l.stamp[:0], "2006-01-02T15:04:05")
	}
	if l.format == JSON {
		l.lines = appendJSON(l.lines, l.stamp, a)
		return
	}
	l.lines = appendLine(l.lines, l.stamp, a)
}

const digits = "0123456789"

// appendTime appends a time in UTC with milliseconds.
func appendTime(b, stamp []byte, t time.Time) []byte {
	ms := t.Nanosecond() / int(time.Millisecond)
	b = append(b, stamp...)
	return append(append(b, '.'), digits[ms/100], digits[ms/10%10], digits[ms%10], 'Z')
}

func appendJSON(b, stamp []byte, a *Access) []byte {
	b = append(b, `{"time":"`...)
	b = appendTime(b, stamp, a.Time)
	b = append(append(b, `","level":"`...), a.Level.String()...)
	b = append(b, `","msg":"request","method":`...)
	b = appendQuoted(b, a.Method)
	b = appendMember(b, "route", a.Route)
	b = appendMember(b, "path", a.Path)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, a.Bytes, 10)
	b = append(b, `,"duration_ms":`...)
	b = appendMillis(b, a.Duration)
	b = appendMember(b, "request_id", a.RequestID)
	b = appendMember(b, "client_request_id", a.ClientRequestID)
	b = appendMember(b, "trace_id", a.TraceID)
	if a.Client.IsValid() {
		b = append(b, `,"client":"`...)
		b = a.Client.AppendTo(b)
		b = append(b, '"')
	}
	b = appendMember(b, "subject", a.Subject)
	b = appendMember(b, "issuer", a.Issuer)
	b = appendMember(b, "model", a.Model)
	b = appendMember(b, "version", a.Version)
	b = appendMember(b, "reason", a.Reason)
	return append(b, '}', '\n')
}

// appendMember appends a member whose value is not empty.
func appendMember(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...)
	b = append(b, '"', ':')
	return appendQuoted(b, value)
}

func appendLine(b, stamp []byte, a *Access) []byte {
	b = append(b, "time="...)
	b = appendTime(b, stamp, a.Time)
	b = append(append(b, " level="...), a.Level.String()...)
	b = append(b, " msg=request"...)
	b = appendPair(b, "method", a.Method)
	b = appendPair(b, "route", a.Route)
	b = appendPair(b, "path", a.Path)
	b = append(b, " status="...)
	b = strconv.AppendInt(b, int64(a.Status), 10)
	b = append(b, " bytes="...)
	b = strconv.AppendInt(b, a.Bytes, 10)
	b = append(b, " duration_ms="...)
	b = appendMillis(b, a.Duration)
	b = appendPair(b, "request_id", a.RequestID)
	b = appendPair(b, "client_request_id", a.ClientRequestID)
	b = appendPair(b, "trace_id", a.TraceID)
	if a.Client.IsValid() {
		b = append(b, " client="...)
		b = a.Client.AppendTo(b)
	}
	b = appendPair(b, "subject", a.Subject)
	b = appendPair(b, "issuer", a.Issuer)
	b = appendPair(b, "model", a.Model)
	b = appendPair(b, "version", a.Version)
	b = appendPair(b, "reason", a.Reason)
	return append(b, '\n')
}

// appendPair appends a pair whose value is not empty, in quotes when it needs
// them.
func appendPair(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	b = append(b, ' ')
	b = append(b, name...)
	b = append(b, '=')
	if len(value) <= maxField && !hasSpecial(value, true) {
		return append(b, value...)
	}
	return appendQuoted(b, value)
}

// appendQuoted appends s as a JSON string of printable ASCII alone, at most
// maxField bytes of it: no control character, no direction mark and no line
// separator of Unicode reaches a reader's terminal.
func appendQuoted(b []byte, s string) []byte {
	dots := len(s) > maxField
	if dots {
		s = cut(s, maxField)
	}
	b = append(b, '"')
	if hasSpecial(s, false) {
		b = appendEscaped(b, s)
	} else {
		b = append(b, s...)
	}
	if dots {
		b = append(b, `\u2026`...)
	}
	return append(b, '"')
}

// hasSpecial reports whether s holds a byte that cannot stand in quotes as it
// is; with bare, whether it cannot stand without quotes.
func hasSpecial(s string, bare bool) bool {
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == '"' || c == '\\' || bare && (c == ' ' || c == '=') {
			return true
		}
	}
	return false
}

func appendEscaped(b []byte, s string) []byte {
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r >= ' ' && r <= '~':
			b = append(b, byte(r))
		case r > 0xFFFF: // a pair of UTF-16 surrogates (RFC 8259 section 7)
			r -= 0x10000
			b = appendHex4(b, 0xD800+r>>10)
			b = appendHex4(b, 0xDC00+r&0x3FF)
		default:
			b = appendHex4(b, r)
		}
	}
	return b
}

func appendHex4(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}

// appendMillis appends d in milliseconds with three decimals.
func appendMillis(b []byte, d time.Duration) []byte {
	us := max(0, d.Microseconds())
	b = strconv.AppendInt(b, us/1000, 10)
	us %= 1000
	return append(append(b, '.'), digits[us/100], digits[us/10%10], digits[us%10])
}
