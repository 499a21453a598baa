package app_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/limit"
	"onnxgate/internal/testkit"
)

// speak connects over HTTP/2, for frames of the test's own making, until the test ends.
func (s *server) speak(t *testing.T, addr string) *http2.Framer {
	t.Helper()
	transport, ok := s.client.Transport.(*http.Transport)
	if !ok {
		t.Fatal("another transport")
	}
	cfg := transport.TLSClientConfig.Clone()
	cfg.NextProtos, cfg.ServerName = []string{"h2"}, "localhost"
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	return http2.NewFramer(conn, conn)
}

// block is a header block that says everything.
func block(t *testing.T, fields ...hpack.HeaderField) []byte {
	t.Helper()
	var b bytes.Buffer
	encoder := hpack.NewEncoder(&b)
	encoder.SetMaxDynamicTableSizeLimit(0)
	for _, f := range fields {
		if err := encoder.WriteField(f); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

// streams opens requests over HTTP/2 whose body never comes, on one connection, until
// one is refused, and returns how many the server says that it takes, and took.
func (s *server) streams(t *testing.T, addr string, fields ...hpack.HeaderField) (told uint32, took int) {
	t.Helper()
	framer, block := s.speak(t, addr), block(t, fields...)
	err := framer.WriteSettings()
	next := uint32(1)
	for err == nil {
		var frame http2.Frame
		if frame, err = framer.ReadFrame(); err != nil {
			break
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if f.IsAck() {
				continue
			}
			told, _ = f.Value(http2.SettingMaxConcurrentStreams)
			for range told + 1 {
				err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: next, BlockFragment: block, EndHeaders: true}))
				next += 2
			}
		case *http2.RSTStreamFrame:
			return told, int(f.StreamID / 2)
		case *http2.HeadersFrame:
			t.Fatalf("%s: stream %d is answered before its body has come", addr, f.StreamID)
		}
	}
	t.Fatal(err)
	return 0, 0
}

// opened is a connection over HTTP/2 whose client takes no bytes of any answer. It asks
// for /livez on as many streams as the server allows.
func (s *server) opened(t *testing.T) (answered, refused int) {
	t.Helper()
	framer, block := s.speak(t, s.Addr()), block(t,
		hpack.HeaderField{Name: ":method", Value: "GET"}, hpack.HeaderField{Name: ":scheme", Value: "https"},
		hpack.HeaderField{Name: ":path", Value: "/livez"}, hpack.HeaderField{Name: ":authority", Value: "localhost"})
	err := framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	for i := range uint32(perConnection) {
		err = errors.Join(err, framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*i + 1, BlockFragment: block, EndHeaders: true, EndStream: true}))
	}
	for err == nil && answered+refused < perConnection {
		var frame http2.Frame
		frame, err = framer.ReadFrame()
		switch frame.(type) {
		case *http2.HeadersFrame:
			answered++
		case *http2.RSTStreamFrame:
			refused++
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return answered, refused
}

const perConnection = 128

// Answers that nobody takes are held in memory, and a client that collects them is cut
// off before that hurts.
func TestAClientHasABoundOfStreams(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	answered, refused := 0, 0
	for range limit.MaxStreams/perConnection + 1 {
		a, r := s.opened(t)
		answered, refused = answered+a, refused+r
	}
	if answered != limit.MaxStreams || refused != perConnection {
		t.Errorf("%d streams are open and %d refused, want %d and %d", answered, refused, limit.MaxStreams, perConnection)
	}
}

func TestAConnectionHasABoundOfStreams(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	fields := func(path, mediaType string) []hpack.HeaderField {
		return []hpack.HeaderField{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "https"},
			{Name: ":authority", Value: "localhost"},
			{Name: ":path", Value: path},
			{Name: "content-type", Value: mediaType},
			{Name: "te", Value: "trailers"},
			{Name: "authorization", Value: "Bearer " + s.token(t)},
		}
	}
	for name, at := range map[string]struct {
		addr   string
		fields []hpack.HeaderField
	}{
		"REST": {s.Addr(), fields("/predict", "application/json")},
		"gRPC": {s.GRPCAddr(), fields("/inference.GRPCInferenceService/ModelInfer", "application/grpc")},
	} {
		if told, took := s.streams(t, at.addr, at.fields...); told != 128 || took != 128 {
			t.Errorf("%s: the server says that it takes %d streams, and took %d, want 128", name, told, took)
		}
	}
}

// A tenant that is alone shares its memory with nobody, and from the second on each
// has a part.
func TestTenantsAreCountedWhileTheServerRuns(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	alone := func(want bool) {
		t.Helper()
		testkit.Eventually(t, fmt.Sprintf("one tenant alone is %v", want), func() bool { return s.OneTenant() == want })
	}
	service, done, err := app.OpenAccounts(context.WithoutCancel(t.Context()), load(t, s.dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = done() }()
	actor := accounts.Actor{Name: "test", Tenant: accounts.AnyTenant}
	alone(true)
	if _, err := service.AddTenant(t.Context(), actor, accounts.NewTenant{Name: "acme"}); err != nil {
		t.Fatal(err)
	}
	alone(false)
	if err := service.DeleteTenant(t.Context(), actor, "acme"); err != nil {
		t.Fatal(err)
	}
	alone(true)
}

// A connection of gRPC holds what nobody takes of 128 answers, as long as it lasts.
func TestAClientHasABoundOfConnectionsOfGRPC(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	for range min(limit.MaxGRPCConnections, app.GRPCPlaces()) {
		if err := s.speak(t, s.GRPCAddr()).WriteSettings(); err != nil {
			t.Fatal(err)
		}
	}
	_, err := (&tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}}).DialContext(t.Context(), "tcp", s.GRPCAddr())
	if err == nil {
		t.Error("one more is served")
	}
}
