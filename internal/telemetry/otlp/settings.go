package otlp

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Target is where one kind of data is sent, and how.
type Target struct {
	// URL is the whole URL of an HTTP request; Address is host:port for gRPC. One of
	// the two is empty.
	URL     string
	Address string
	// TLS is nil where nothing is encrypted.
	TLS *tls.Config
	// Headers go with every request. They are secrets.
	Headers map[string]string
	// Timeout bounds one request.
	Timeout time.Duration
	Gzip    bool
}

// Host is where the data goes, host:port.
func (t *Target) Host() string {
	if t.Address != "" {
		return t.Address
	}
	u, err := url.Parse(t.URL)
	if err != nil {
		return ""
	}
	if u.Scheme == "https" {
		return withPort(u, "443")
	}
	return withPort(u, "80")
}

// Settings are what the environment says about telemetry
// (opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables).
type Settings struct {
	// Traces and Logs are nil where none are sent.
	Traces, Logs *Target
	// Sampler and SamplerArg are as they were written.
	Sampler, SamplerArg string
	// Propagate says that callers' trace context is read and handed on.
	Propagate bool
	// Resource describes this process, service.name first.
	Resource []Attribute
	Batch    Batch
}

// Batch bounds what waits for the collector.
type Batch struct {
	// Queue is how many spans wait at most, Size how many are sent at once, Delay how
	// long one waits before it is sent.
	Queue, Size int
	Delay       time.Duration
}

// The defaults of the specification.
const (
	defaultTimeout = 10 * time.Second
	defaultQueue   = 2048
	defaultSize    = 512
	defaultDelay   = 5 * time.Second
)

// reader looks at the environment and keeps what is wrong with it.
type reader struct {
	lookup func(string) string
	errs   []error
}

// bad notes a variable that cannot be used. The value is not repeated: it may be a
// secret in the wrong place.
func (r *reader) bad(name, want string) {
	r.errs = append(r.errs, fmt.Errorf("%s: write %s", name, want))
}

// err returns what is wrong; a variable that all signals have is told once.
func (r *reader) err() error {
	same := func(a, b error) bool { return a.Error() == b.Error() }
	slices.SortStableFunc(r.errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return errors.Join(slices.CompactFunc(r.errs, same)...)
}

// ReadSettings reads the standard variables. Base is ONNXGATE_OTLP_ENDPOINT, which
// goes before OTEL_EXPORTER_OTLP_ENDPOINT; with neither, and no endpoint of one kind
// of data, nothing is sent. Version is that of the server. An error names every
// variable that is wrong, and what to write.
func ReadSettings(base, version string, lookup func(name string) string) (*Settings, error) {
	r := &reader{lookup: lookup}
	s := &Settings{Propagate: r.propagates(), Resource: r.resource(version)}
	s.Sampler, s.SamplerArg = lookup("OTEL_TRACES_SAMPLER"), lookup("OTEL_TRACES_SAMPLER_ARG")
	s.Batch = Batch{
		Queue: int(r.number("OTEL_BSP_MAX_QUEUE_SIZE", defaultQueue, 1<<20)),
		Size:  int(r.number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", defaultSize, 1<<16)),
		Delay: time.Duration(r.number("OTEL_BSP_SCHEDULE_DELAY", defaultDelay.Milliseconds(), 3_600_000)) * time.Millisecond,
	}
	if s.Batch.Size > s.Batch.Queue {
		s.Batch.Size = s.Batch.Queue
	}
	if strings.EqualFold(lookup("OTEL_SDK_DISABLED"), "true") {
		return s, r.err()
	}
	s.Traces = r.target(base, "TRACES", "/v1/traces")
	s.Logs = r.target(base, "LOGS", "/v1/logs")
	return s, r.err()
}

// propagates reports whether W3C Trace Context is among the propagators.
func (r *reader) propagates() bool {
	value := r.lookup("OTEL_PROPAGATORS")
	if value == "" {
		return true
	}
	for name := range strings.SplitSeq(value, ",") {
		if strings.TrimSpace(name) == "tracecontext" {
			return true
		}
	}
	return false
}

// resource returns what the process says about itself.
func (r *reader) resource(version string) []Attribute {
	const names = "OTEL_RESOURCE_ATTRIBUTES"
	pairs, err := readPairs(r.lookup(names))
	if err != nil {
		r.bad(names, "name=value pairs with commas between them, percent-encoded")
	}
	service := r.lookup("OTEL_SERVICE_NAME")
	own := []Attribute{
		String("service.version", version), String("telemetry.sdk.name", "onnxgate"),
		String("telemetry.sdk.language", "go"), String("telemetry.sdk.version", version),
	}
	if host, err := os.Hostname(); err == nil {
		own = append(own, String("host.name", host))
	}
	var all []Attribute
	for _, p := range pairs {
		if p.Key == "service.name" {
			if service == "" {
				service = p.Text
			}
			continue
		}
		all = append(all, p)
	}
	if service == "" {
		service = "onnxgate"
	}
	for _, a := range own {
		if !has(all, a.Key) {
			all = append(all, a)
		}
	}
	return append([]Attribute{String("service.name", service)}, all...)
}

func has(all []Attribute, key string) bool {
	for i := range all {
		if all[i].Key == key {
			return true
		}
	}
	return false
}

// readPairs reads name=value,name=value with percent-encoding (W3C Baggage, which
// the specification takes the form from).
func readPairs(text string) ([]Attribute, error) {
	var all []Attribute
	for pair := range strings.SplitSeq(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		name, badName := url.PathUnescape(strings.TrimSpace(name))
		value, badValue := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || badName != nil || badValue != nil || !utf8.ValidString(name+value) {
			return nil, errors.New("not name=value")
		}
		all = append(all, String(name, value))
	}
	return all, nil
}

func (r *reader) number(name string, fallback, most int64) int64 {
	text := r.lookup(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 1 || n > most {
		r.bad(name, fmt.Sprintf("a whole number from 1 to %d", most))
		return fallback
	}
	return n
}

// of returns the name and the value of a variable: the one of the signal, or else
// the one of all.
func (r *reader) of(signal, what string) (name, value string) {
	name = "OTEL_EXPORTER_OTLP_" + signal + "_" + what
	if value = r.lookup(name); value != "" {
		return name, value
	}
	name = "OTEL_EXPORTER_OTLP_" + what
	return name, r.lookup(name)
}

// target returns where a signal goes, nil for nowhere.
func (r *reader) target(base, signal, path string) *Target {
	exporter := "OTEL_" + signal + "_EXPORTER"
	switch r.lookup(exporter) {
	case "", "otlp":
	case "none":
		return nil
	default:
		r.bad(exporter, "otlp or none")
		return nil
	}
	name, endpoint := "OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT", r.lookup("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT")
	own := false
	switch {
	case endpoint != "":
		path = "" // used as it is
	case base != "":
		name, endpoint, own = "ONNXGATE_OTLP_ENDPOINT", base, true
	default:
		name, endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", r.lookup("OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	if endpoint == "" {
		return nil
	}
	before := len(r.errs)
	t := &Target{
		Headers: r.headers(signal), Gzip: r.gzip(signal),
		Timeout: r.timeout(signal),
	}
	encrypted := r.address(t, name, endpoint, path, signal, own)
	if encrypted {
		t.TLS = r.tls(signal)
	}
	if len(r.errs) > before {
		return nil
	}
	return t
}

func (r *reader) timeout(signal string) time.Duration {
	name, _ := r.of(signal, "TIMEOUT")
	return time.Duration(r.number(name, defaultTimeout.Milliseconds(), 600_000)) * time.Millisecond
}

func (r *reader) gzip(signal string) bool {
	name, value := r.of(signal, "COMPRESSION")
	switch value {
	case "", "none":
		return false
	case "gzip":
		return true
	}
	r.bad(name, "gzip or none")
	return false
}

func (r *reader) headers(signal string) map[string]string {
	name, value := r.of(signal, "HEADERS")
	pairs, err := readPairs(value)
	all := make(map[string]string, len(pairs))
	for _, p := range pairs {
		if !validHeader(p.Key, p.Text) {
			err = errors.New("not a header")
		}
		all[p.Key] = p.Text
	}
	if err != nil {
		r.bad(name, "name=value pairs with commas between them, percent-encoded")
	}
	return all
}

// validHeader reports whether a header can be sent over HTTP and gRPC.
func validHeader(name, value string) bool {
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c > '~' || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// address reads an endpoint into the target, and reports whether it is encrypted.
func (r *reader) address(t *Target, name, endpoint, path, signal string, own bool) (encrypted bool) {
	want := "a URL such as https://collector.example:4318, or grpcs://collector.example:4317"
	rpc := false
	if !own {
		protocolName, protocol := r.of(signal, "PROTOCOL")
		switch protocol {
		case "", "http/protobuf":
		case "grpc":
			rpc = true
		default:
			r.bad(protocolName, "grpc or http/protobuf")
			return false
		}
		if rpc && !strings.Contains(endpoint, "://") {
			scheme := "https"
			if _, insecure := r.of(signal, "INSECURE"); strings.EqualFold(insecure, "true") {
				scheme = "http"
			}
			endpoint = scheme + "://" + endpoint
		}
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		r.bad(name, want+", without user, password or query; secrets go into OTEL_EXPORTER_OTLP_HEADERS")
		return false
	}
	switch u.Scheme {
	case "grpc", "grpcs":
		rpc = true
	case "http", "https":
	default:
		r.bad(name, want)
		return false
	}
	if rpc {
		if p := strings.Trim(u.Path, "/"); p != "" {
			r.bad(name, want+"; gRPC has no path")
			return false
		}
		t.Address = withPort(u, "4317")
		return u.Scheme == "grpcs" || u.Scheme == "https"
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + path
	t.URL = u.String()
	return u.Scheme == "https"
}

func withPort(u *url.URL, port string) string {
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// tls returns how an encrypted connection is made: with the system's authorities
// unless others are named.
func (r *reader) tls(signal string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if name, file := r.of(signal, "CERTIFICATE"); file != "" {
		pem, err := os.ReadFile(file) //nolint:gosec // G304: the operator names it
		c.RootCAs = x509.NewCertPool()
		if err != nil || !c.RootCAs.AppendCertsFromPEM(pem) {
			r.bad(name, "the path of a file with certificates in PEM")
		}
	}
	name, cert := r.of(signal, "CLIENT_CERTIFICATE")
	_, key := r.of(signal, "CLIENT_KEY")
	if cert == "" && key == "" {
		return c
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		r.bad(name, "the path of a certificate in PEM, and OTEL_EXPORTER_OTLP_CLIENT_KEY that of its private key")
	}
	c.Certificates = []tls.Certificate{pair}
	return c
}
