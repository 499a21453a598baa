package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
	// maxShown bounds the body that a curl line carries, in bytes.
	maxShown = 2048
	// headerLength gives the length of the JSON before binary data
	// (extension_binary_data.md, Binary Tensor Request).
	headerLength = "Inference-Header-Content-Length"
)

// target is the server under test.
type target struct {
	base       string // without a slash at the end
	http       *http.Client
	header     http.Header // of every request: credentials
	caFile     string      // shown in curl lines
	timeout    time.Duration
	info       serverInfo
	extensions []string // advertised, or taken for granted by the caller
	asked      []*model // all that are to be used, in the order of importance
	models     []*model // those of asked whose metadata say how to make a request
	unload     string   // the model that may be unloaded, if any
	unread     error    // why models is empty
	grpc       *grpcTarget
}

// exchange is one request and its answer.
type exchange struct {
	method, path string
	header       http.Header
	body         []byte
	status       int
	answerHeader http.Header
	answer       []byte
}

// send sends one request and reads its whole answer. A server may close an idle
// connection whenever it likes: then the request is sent on a new one. Redirections are answers, and
// nothing is decompressed.
func (t *target) send(ctx context.Context, x *exchange) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, x.method, t.base+x.path, bytes.NewReader(x.body))
	if err != nil {
		return err
	}
	maps.Copy(req.Header, t.header)
	maps.Copy(req.Header, x.header)
	req.Header["Idempotency-Key"] = nil // not sent; says that net/http may try again when an idle connection is closed under it
	if req.Header.Get("Transfer-Encoding") == "chunked" {
		req.Header.Del("Transfer-Encoding")
		req.ContentLength = -1
		req.Body = io.NopCloser(bytes.NewReader(x.body))
	}
	res, err := t.http.Do(req)
	if err != nil {
		return fmt.Errorf("no answer: %w", err)
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	x.status, x.answerHeader = res.StatusCode, res.Header
	x.answer, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%d and an answer that breaks off: %w", x.status, err)
	}
	return nil
}

// curl is a line for a shell that sends the request again. Credentials appear as
// $TOKEN.
func (x *exchange) curl(t *target) string {
	var b strings.Builder
	input := ""
	fmt.Fprintf(&b, "curl -si")
	if t.caFile != "" {
		fmt.Fprintf(&b, " --cacert %s", quoted(t.caFile))
	}
	if x.method == http.MethodHead {
		b.WriteString(" -I")
	} else if x.method != http.MethodGet {
		fmt.Fprintf(&b, " -X %s", x.method)
	}
	for _, name := range slices.Sorted(maps.Keys(t.header)) {
		fmt.Fprintf(&b, ` -H "%s: $TOKEN"`, name)
	}
	for _, name := range slices.Sorted(maps.Keys(x.header)) {
		fmt.Fprintf(&b, " -H %s", quoted(name+": "+x.header.Get(name)))
	}
	switch {
	case len(x.body) == 0:
	case len(x.body) > maxShown:
		fmt.Fprintf(&b, " --data-binary @- # %d bytes, beginning %.60q", len(x.body), x.body)
		return b.String() + " " + t.base + x.path
	case utf8.Valid(x.body) && !bytes.ContainsRune(x.body, 0):
		fmt.Fprintf(&b, " -d %s", quoted(string(x.body)))
	default:
		input = "base64 -d <<<" + base64.StdEncoding.EncodeToString(x.body) + " | "
		b.WriteString(" --data-binary @-")
	}
	return input + b.String() + " " + quoted(t.base+x.path)
}

// quoted is a word of a shell's command line.
func quoted(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// probe is one run of one case.
type probe struct {
	ctx  context.Context //nolint:containedctx // a probe lives as long as its case
	t    *target
	m    *model
	last *exchange // the latest request, shown when the case fails
}

// do sends a request.
func (p *probe) do(method, path string, header http.Header, body []byte) (*exchange, error) {
	x := &exchange{method: method, path: path, header: header, body: body}
	p.last = x
	return x, p.t.send(p.ctx, x)
}

// get sends a GET request.
func (p *probe) get(path string) (*exchange, error) {
	return p.do(http.MethodGet, path, nil, nil)
}

// getOK sends a GET request that must be answered with 200.
func (p *probe) getOK(path string) (*exchange, error) {
	x, err := p.get(path)
	if err != nil {
		return nil, err
	}
	return x, x.ok()
}

// post sends JSON.
func (p *probe) post(path string, body []byte) (*exchange, error) {
	return p.do(http.MethodPost, path, jsonHeader(), body)
}

func jsonHeader() http.Header {
	return http.Header{"Content-Type": {"application/json"}}
}

// ok says what came when it was not 200.
func (x *exchange) ok() error {
	if x.status != http.StatusOK {
		return fmt.Errorf("%s to %s %s", x.summary(), x.method, x.path)
	}
	return nil
}

// summary is the answer in a few words.
func (x *exchange) summary() string {
	return strconv.Itoa(x.status) + " " + shortened(string(x.answer))
}

// shortened is a text fit for one line of a table.
func shortened(s string) string {
	const most = 160
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// oneLine joins the lines of a text and leaves out what cannot be shown.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "�"))
}
