package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	pb "onnxgate/api/inferencepb"
)

// withdraw has the server withdraw, which takes longer than any test, and returns
// when it has begun, with what ends it.
func (s *server) withdraw(t *testing.T) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- s.Withdraw(ctx) }()
	for status := 0; status != http.StatusServiceUnavailable; {
		status, _ = s.call(t, http.MethodGet, "https://"+s.Addr()+"/readyz", "", "", "")
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Withdraw: %v", err)
		}
	}
}

// TestAWithdrawnServerServesAndSendsItsClientsElsewhere: between the word that it
// is to stop and the end of ONNXGATE_DRAIN_DELAY.
func TestAWithdrawnServerServesAndSendsItsClientsElsewhere(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"DRAIN_DELAY": "5m"})
	token := s.token(t)
	calls, conn := s.dialGRPC(t), s.keptAlive(t)
	watch, err := healthpb.NewHealthClient(s.connGRPC(t)).Watch(t.Context(), &healthpb.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Fatalf("before: %v, %v", got, err)
	}
	end := s.withdraw(t)
	if got, err := watch.Recv(); err != nil || got.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("who watches the health is told %v, %v", got, err)
	}
	if got, err := calls.ServerReady(t.Context(), &pb.ServerReadyRequest{}); err != nil || got.GetReady() {
		t.Errorf("ServerReady: %v, %v, want false", got, err)
	}
	if _, err := calls.ModelInfer(withToken(t.Context(), token), flowers(false, 5.1, 3.5, 1.4, .2)); err != nil {
		t.Errorf("a call: %v", err)
	}
	if status, _ := s.call(t, http.MethodGet, "https://"+s.Addr()+"/livez", "", "", ""); status != http.StatusOK {
		t.Errorf("livez: %d", status)
	}
	if status, ends := conn(t); status != http.StatusOK || !ends {
		t.Errorf("HTTP/1.1 on a connection from before: %d, which ends it: %v", status, ends)
	}
	for range 2 { // each a new connection: the former one got a GOAWAY
		reused := false
		trace := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
		req, err := http.NewRequestWithContext(trace, http.MethodPost, "https://"+s.Addr()+"/predict", strings.NewReader(row))
		if err != nil {
			t.Fatal(err)
		}
		req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 || reused || resp.Header.Get("Connection") != "" {
			t.Errorf("HTTP/2: %s %s, on a connection from before: %v, %v", resp.Proto, resp.Status, reused, resp.Header)
		}
	}
	end()
	s.stop(t)
}

// keptAlive returns what sends GET /livez over one connection of HTTP/1.1, which
// it has kept alive once, and says whether the answer ends it.
func (s *server) keptAlive(t *testing.T) func(*testing.T) (status int, ends bool) {
	t.Helper()
	conn, err := (&tls.Dialer{Config: s.trust(t)}).DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	reader := bufio.NewReader(conn)
	send := func(t *testing.T) (int, bool) {
		t.Helper()
		if _, err := fmt.Fprint(conn, "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Close
	}
	if _, ends := send(t); ends {
		t.Fatal("a server that is ready closes connections")
	}
	return send
}

// A collector that does not answer holds a stop up for as long as the last spans are
// tried, and is not taken for a reload that hangs.
func TestAStopLeavesACollectorThatHangs(t *testing.T) {
	collector, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer collector.Close() //nolint:errcheck // nothing is read from it
	s := start(t, t.TempDir(), map[string]string{"OTLP_ENDPOINT": "http://" + collector.Addr().String(), "AUDIT": "off"})
	s.predict(t, s.token(t))
	s.stop(t)
	if log := s.log.String(); strings.Contains(log, "stopping without") || !strings.Contains(log, "spans were lost") {
		t.Errorf("the log says %s", log)
	}
}
