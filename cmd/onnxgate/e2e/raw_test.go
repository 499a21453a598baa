package e2e

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// rawTimeout bounds how long a raw exchange may take before it counts as hung.
const rawTimeout = 20 * time.Second

// dialRaw opens a TLS connection that speaks the protocol and nothing else.
func dialRaw(t *testing.T, s *server, protocol string) *tls.Conn {
	t.Helper()
	config, err := s.tlsConfig()
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{protocol}
	dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: rawTimeout}, Config: config}
	conn, err := dialer.DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(rawTimeout)); err != nil {
		t.Fatal(err)
	}
	secure, ok := conn.(*tls.Conn)
	if !ok {
		t.Fatalf("dialled a %T", conn)
	}
	return secure
}

// exchange sends the bytes and returns every answer until the server closes the
// connection, and whether it did.
func exchange(t *testing.T, s *server, request string) (answers []*answer, closed bool) {
	t.Helper()
	conn := dialRaw(t, s, "http/1.1")
	go func() { _, _ = io.WriteString(conn, request) }() // the server may close first
	r := bufio.NewReader(conn)
	for {
		// The connection may stay open: then no further answer is awaited.
		_ = conn.SetReadDeadline(time.Now().Add(settle(len(answers))))
		a, err := receive(r)
		if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
			return answers, false
		}
		if err != nil {
			return answers, true
		}
		answers = append(answers, a)
	}
}

// receive reads one answer, with its body.
func receive(r *bufio.Reader) (*answer, error) {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return &answer{status: resp.StatusCode, header: resp.Header, body: body}, err
}

// settle is how long to wait for one more answer.
func settle(answers int) time.Duration {
	if answers == 0 {
		return rawTimeout
	}
	return 300 * time.Millisecond
}

// TestMalformedMessagesAreRefused sends what no proper client sends. Nothing of
// it may reach a route, and no second request may hide inside it.
func TestMalformedMessagesAreRefused(t *testing.T) {
	t.Parallel()
	s := begin(t)
	const hidden = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	const post = "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	for name, request := range map[string]string{
		"two lengths":                    post + "Content-Length: 2\r\nContent-Length: 40\r\n\r\n{}" + hidden,
		"a list of lengths":              post + "Content-Length: 2, 40\r\n\r\n{}" + hidden,
		"a length with a sign":           post + "Content-Length: +2\r\n\r\n{}",
		"a negative length":              post + "Content-Length: -2\r\n\r\n{}",
		"a length in hexadecimal":        post + "Content-Length: 0x2\r\n\r\n{}",
		"a length beyond 64 bits":        post + "Content-Length: 99999999999999999999\r\n\r\n{}",
		"an unknown coding":              post + "Transfer-Encoding: xchunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"two codings":                    post + "Transfer-Encoding: chunked, identity\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"chunked twice":                  post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a coding and another":           post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"a blank before the colon":       post + "Content-Length : 2\r\n\r\n{}",
		"a coding with a blank":          post + "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a header that starts a line":    "GET /livez HTTP/1.1\r\n Host: localhost\r\n\r\n",
		"a header without a name":        "GET /livez HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n",
		"a header without a colon":       "GET /livez HTTP/1.1\r\nHost: localhost\r\nnonsense\r\n\r\n",
		"NUL in a header":                "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: a\x00b\r\n\r\n",
		"a lone CR in a header":          "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: a\rX-B: b\r\n\r\n",
		"NUL in the path":                "GET /live\x00z HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"NUL in the method":              "GE\x00T /livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"no host":                        "GET /livez HTTP/1.1\r\n\r\n",
		"two hosts":                      "GET /livez HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
		"a host with a path":             "GET /livez HTTP/1.1\r\nHost: localhost/evil\r\n\r\n",
		"a target without a slash":       "GET livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a target with a blank":          "GET /live z HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"no version":                     "GET /livez\r\n\r\n",
		"an unknown version":             "GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n",
		"the preface of HTTP/2":          "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"a header of 2 MB":               "GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: " + strings.Repeat("a", 2<<20) + "\r\n\r\n",
		"100,000 headers":                "GET /livez HTTP/1.1\r\nHost: localhost\r\n" + strings.Repeat("A: b\r\n", 100_000) + "\r\n",
		"a target of 2 MB":               "GET /" + strings.Repeat("a", 2<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"an expectation that is unknown": post + "Expect: coffee\r\nContent-Length: 2\r\n\r\n{}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, closed := exchange(t, s, request)
			if len(answers) > 1 || len(answers) == 1 && (answers[0].status < 400 || answers[0].status == http.StatusUnauthorized) {
				t.Errorf("got %d answers, the first %s", len(answers), answers[0].summary())
			}
			if !closed {
				t.Error("the connection stays open")
			}
		})
	}
}

// TestBadChunksEndTheRequest breaks the chunked coding where a token is known
// to be read before: the refusal is 400 and nothing behind it is answered.
func TestBadChunksEndTheRequest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	head := "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
		"Authorization: Bearer " + adminToken(t, s) + "\r\nTransfer-Encoding: chunked\r\n\r\n"
	const hidden = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, body := range map[string]string{
		"a bare LF after the size":   "2\n{}\r\n0\r\n\r\n",
		"a bare LF in an extension":  "2;x=y\n{}\r\n0\r\n\r\n",
		"a size with a sign":         "+2\r\n{}\r\n0\r\n\r\n",
		"a size in other digits":     "zz\r\n{}\r\n0\r\n\r\n",
		"a size beyond 64 bits":      "fffffffffffffffff\r\n{}\r\n0\r\n\r\n",
		"more data than the size":    "1\r\n{}\r\n0\r\n\r\n",
		"a size with blanks before":  "  2\r\n{}\r\n0\r\n\r\n",
		"a trailer that is no field": "2\r\n{}\r\n0\r\nnonsense\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, _ := exchange(t, s, head+body+hidden)
			if len(answers) != 1 || answers[0].status != http.StatusBadRequest {
				t.Fatalf("got %d answers: %s", len(answers), summaries(answers))
			}
		})
	}
}

// TestLengthBesideCodingHidesNoRequest sends both a length and a coding. RFC
// 9112 section 6.3 lets a server refuse it, or read the coding and then close
// the connection; what follows must never be read as a request.
func TestLengthBesideCodingHidesNoRequest(t *testing.T) {
	t.Parallel()
	s := begin(t)
	const hidden = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, fields := range map[string]string{
		"length first": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
		"coding first": "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, closed := exchange(t, s, "POST /predict HTTP/1.1\r\nHost: localhost\r\n"+fields+"\r\n0\r\n\r\n"+hidden)
			if len(answers) != 1 || !closed {
				t.Errorf("closed is %t after %s", closed, summaries(answers))
			}
		})
	}
}

func summaries(answers []*answer) string {
	var b strings.Builder
	for _, a := range answers {
		b.WriteString(a.summary() + "\n")
	}
	return b.String()
}

// TestAmbiguousRequestsAreAnsweredInFull covers what only a raw socket can send
// and the program itself refuses, with everything that an answer of ours has.
func TestAmbiguousRequestsAreAnsweredInFull(t *testing.T) {
	t.Parallel()
	s := begin(t)
	bearer := "Authorization: Bearer " + adminToken(t, s) + "\r\n"
	for name, test := range map[string]struct {
		request string
		status  []int
		slug    string
		host    string // that the server sees, when it is another
	}{
		"two Authorization fields": {
			request: "GET /models HTTP/1.1\r\nHost: localhost\r\n" + bearer + bearer + "\r\n",
			status:  []int{400}, slug: "bad-request",
		},
		"two credentials in one field": {
			request: "GET /models HTTP/1.1\r\nHost: localhost\r\n" + strings.TrimSuffix(bearer, "\r\n") + ", Basic YTpi\r\n\r\n",
			status:  []int{400, 401},
		},
		"two media types": {
			request: "POST /predict HTTP/1.1\r\nHost: localhost\r\n" + bearer +
				"Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
			status: []int{400, 415},
		},
		"the whole server": {
			request: "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n", status: []int{400, 404, 405},
		},
		"a tunnel": {
			request: "CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
			status:  []int{400, 404, 405, 421}, host: "evil.example",
		},
		"a tunnel to a path": {
			request: "CONNECT /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", status: []int{400, 404, 405, 421},
		},
		"another host in the target": {
			request: "GET https://evil.example/livez HTTP/1.1\r\nHost: localhost\r\n\r\n",
			status:  []int{400, 421}, host: "evil.example",
		},
		"a method in lower case": {
			request: "get /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", status: []int{405}, slug: "method-not-allowed",
		},
		"HTTP/1.0": {
			request: "GET /models HTTP/1.0\r\nHost: localhost\r\n\r\n", status: []int{401}, slug: "unauthenticated",
		},
		"an upgrade to h2c": {
			request: "GET /models HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
				"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
			status: []int{400, 401},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers, _ := exchange(t, s, test.request)
			if len(answers) != 1 {
				t.Fatalf("got %d answers: %s", len(answers), summaries(answers))
			}
			got := answers[0]
			got.url = &url.URL{Scheme: "https", Host: "localhost", Path: "/"}
			got.host = test.host
			if !slices.Contains(test.status, got.status) {
				t.Errorf("answered %s, want %v", got.summary(), test.status)
			}
			if test.slug != "" && !bytes.Contains(got.body, []byte(`"/problems/`+test.slug+`"`)) {
				t.Errorf("answered %s, want %s", got.summary(), test.slug)
			}
			for _, wrong := range got.check() {
				t.Error(wrong)
			}
		})
	}
}

// TestExpectedBodyTooLargeIsNotInvited declares more than is allowed and waits
// for the word to go on, which must not come.
func TestExpectedBodyTooLargeIsNotInvited(t *testing.T) {
	t.Parallel()
	s := begin(t)
	answers, _ := exchange(t, s, "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"+
		"Authorization: Bearer "+adminToken(t, s)+"\r\nExpect: 100-continue\r\nContent-Length: 999999999\r\n\r\n")
	if len(answers) != 1 || answers[0].status != http.StatusRequestEntityTooLarge {
		t.Fatalf("got %s, want one 413", summaries(answers))
	}
	answers[0].url = &url.URL{Scheme: "https", Host: "localhost", Path: "/predict"}
	for _, wrong := range answers[0].check() {
		t.Error(wrong)
	}
}

// TestClientsThatGoAwayLeaveTheServerWell cuts requests off in the middle.
func TestClientsThatGoAwayLeaveTheServerWell(t *testing.T) {
	t.Parallel()
	s := begin(t)
	token := adminToken(t, s)
	head := "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + "\r\n"
	for _, part := range []string{"P", "POST /predict HTTP/1.1\r\n", head, head + "Content-Length: 100\r\n\r\n{\"sepal", head + "Transfer-Encoding: chunked\r\n\r\nff\r\n{"} {
		conn := dialRaw(t, s, "http/1.1")
		if _, err := io.WriteString(conn, part); err != nil {
			t.Fatal(err)
		}
		if err := conn.NetConn().Close(); err != nil {
			t.Fatal(err)
		}
	}
	predictOnce(t, s, token)
}

// TestTermAnswersWhatWasAccepted ends the server while a body is on its way: the
// request is answered, new connections are not, and the exit code is 0.
func TestTermAnswersWhatWasAccepted(t *testing.T) {
	t.Parallel()
	s := begin(t)
	conn := dialRaw(t, s, "http/1.1")
	head := "POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n" +
		"Authorization: Bearer " + adminToken(t, s) + "\r\nContent-Length: 75\r\n\r\n"
	if len(iris) != 75 {
		t.Fatal("the length in head is not that of iris:", len(iris))
	}
	r := bufio.NewReader(conn)
	if _, err := io.WriteString(conn, head); err != nil {
		t.Fatal(err)
	}
	// The invitation to go on proves that the request is being handled.
	if got, err := receive(r); err != nil || got.status != http.StatusContinue {
		t.Fatalf("got %v (%v), want 100", got, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- s.stop() }()
	awaitClosed(t, s)
	if _, err := io.WriteString(conn, iris); err != nil {
		t.Fatal(err)
	}
	got, err := receive(r)
	if err != nil {
		t.Fatal(err)
	}
	if got.status != http.StatusOK || !bytes.Contains(got.body, []byte(`"label":"setosa"`)) {
		t.Errorf("the request that was under way got %s", got.summary())
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// awaitClosed returns when nobody accepts connections on the public listener.
func awaitClosed(t *testing.T, s *server) {
	t.Helper()
	for deadline := time.Now().Add(rawTimeout); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.addr)
		if err != nil {
			return
		}
		_ = conn.Close()
	}
	t.Fatal("the listener still accepts connections after SIGTERM")
}
