// Package syslog sends audit records to a syslog server: messages of RFC 5424, over
// TLS (RFC 5425), and on this machine alone over plain TCP (RFC 6587) and UDP (RFC
// 5426). It owns the form of the messages and how it is known that they arrived.
package syslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"onnxgate/internal/telemetry/ship"
	"onnxgate/internal/tlsurl"
)

// Target is a syslog server.
type Target struct {
	network string // tls, tcp or udp
	address string
	tls     *tls.Config
}

// The ports that the RFCs give.
var ports = map[string]string{"tls": "6514", "tcp": "601", "udp": "514"}

// Parse reads ONNXGATE_SYSLOG_URL: tls://HOST:6514, with ca_file, and cert_file with
// key_file, as paths in its query; tcp:// and udp:// to this machine alone.
func Parse(text string) (*Target, error) {
	const want = "write tls://HOST:6514"
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || ports[u.Scheme] == "" || u.User != nil || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return nil, errors.New("it is not the URL of a syslog server; " + want)
	}
	t := &Target{network: u.Scheme, address: u.Host}
	if u.Port() == "" {
		t.address = net.JoinHostPort(u.Hostname(), ports[u.Scheme])
	}
	if t.tls, err = tlsurl.Config(u, "tls"); err != nil {
		return nil, fmt.Errorf("%w; %s", err, want)
	}
	if t.tls == nil && !tlsurl.IsLoopback(u.Hostname()) {
		return nil, errors.New("audit records leave this machine encrypted only; " + want)
	}
	return t, nil
}

// Config is what a Sink needs. All of it is required.
type Config struct {
	Target *Target
	// Host is the name of this machine, Version that of the server.
	Host, Version string
	// Timeout bounds the delivery of one batch.
	Timeout time.Duration
}

// Sink is a ship.Sink that speaks syslog.
type Sink struct {
	cfg    Config
	header string // of every message, between the time and the event
	origin string
}

// NewSink returns a sink.
func NewSink(cfg Config) *Sink {
	return &Sink{
		cfg:    cfg,
		header: " " + printable(cfg.Host, 255) + " onnxgate " + strconv.Itoa(os.Getpid()) + " ",
		origin: ` [origin software="onnxgate" swVersion="` + printable(cfg.Version, 32) + `"][meta sequenceId="`,
	}
}

// Send delivers records on a connection of their own, and returns nil when the server
// has read all of them. Syslog has no receipts: so the end of the stream is sent
// behind the records, and the server's own end, which comes in order after it has
// read that, is waited for. A server that ends earlier, with something unread, resets
// the connection instead. Over UDP nothing tells what arrives.
func (s *Sink) Send(ctx context.Context, records []ship.Record) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	conn, err := s.cfg.Target.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // what matters was said before
	until, _ := ctx.Deadline()
	if err := conn.SetDeadline(until); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if s.cfg.Target.network == "udp" {
		return s.datagrams(conn, records)
	}
	var b []byte
	for i := range records {
		b = s.appendFramed(b, &records[i])
	}
	if _, err := conn.Write(b); err != nil {
		return err
	}
	return confirm(conn)
}

// Reach connects to the server, and sends nothing. Over UDP only the address is
// looked up.
func (t *Target) Reach(ctx context.Context) error {
	conn, err := t.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// String returns the server as network://host:port.
func (t *Target) String() string { return t.network + "://" + t.address }

func (t *Target) dial(ctx context.Context) (net.Conn, error) {
	if t.network == "tls" {
		return (&tls.Dialer{Config: t.tls}).DialContext(ctx, "tcp", t.address)
	}
	return (&net.Dialer{}).DialContext(ctx, t.network, t.address)
}

func (s *Sink) datagrams(conn net.Conn, records []ship.Record) error {
	var b []byte
	for i := range records {
		b = s.Append(b[:0], &records[i])
		if _, err := conn.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// confirm ends our side, and waits until the other has ended its own.
func confirm(conn net.Conn) error {
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return errors.New("syslog: a connection that cannot be half closed")
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	if secure, ok := conn.(*tls.Conn); ok {
		// Some servers look at the end of the connection alone.
		if plain, ok := secure.NetConn().(*net.TCPConn); ok {
			if err := plain.CloseWrite(); err != nil {
				return err
			}
		}
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(conn, maxAnswer)); err != nil {
		return fmt.Errorf("the syslog server did not read to the end: %w", err)
	}
	return nil
}

// maxAnswer is what is read of a server that should say nothing.
const maxAnswer = 64 << 10

// appendFramed appends a message with its length before it (RFC 5425 section 4.3).
func (s *Sink) appendFramed(b []byte, r *ship.Record) []byte {
	const room = "000000 "
	start := len(b)
	b = s.Append(append(b, room...), r)
	length := strconv.Itoa(len(b) - start - len(room))
	n := copy(b[start:], length+" ")
	return append(b[:start+n], b[start+len(room):]...)
}

// The severities of RFC 5424 section 6.2.1 that are sent, in the facility "log audit".
const (
	facility = 13
	warning  = 4
	info     = 6
)

// Append appends a message (RFC 5424 section 6): its time, our name, the event, and
// the record as JSON. The sequence id of its element "meta" (section 7.3.1) follows
// the record's index.
func (s *Sink) Append(b []byte, r *ship.Record) []byte {
	severity := info
	if r.Failed {
		severity = warning
	}
	b = append(b, '<')
	b = strconv.AppendInt(b, int64(facility*8+severity), 10)
	b = append(b, ">1 "...)
	b = r.Time.UTC().AppendFormat(b, "2006-01-02T15:04:05.000000Z")
	b = append(b, s.header...)
	b = append(b, printable(r.Event, 32)...)
	b = append(b, s.origin...)
	b = strconv.AppendInt(b, r.Index%maxSequence+1, 10)
	b = append(b, `"] `...)
	if !isASCII(r.JSON) {
		b = append(b, "\uFEFF"...) // section 6.4: what is UTF-8 says so
	}
	return append(b, r.JSON...)
}

// maxSequence is the largest sequence id.
const maxSequence = 1<<31 - 1

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

// printable makes a text one word of a header: at most n printable ASCII characters,
// without those that end a parameter's value; "-" for none.
func printable(s string, n int) string {
	word := strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' || strings.ContainsRune(`"\]`, r) {
			return -1
		}
		return r
	}, s)
	if word == "" {
		return "-"
	}
	return word[:min(len(word), n)]
}
