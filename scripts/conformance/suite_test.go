package main

import (
	"net"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
)

// bed is a fake that listens, and a target for it. The middle of both protocols may
// break it.
func bed(t *testing.T, m *mutator) *target {
	t.Helper()
	f := newFake()
	web := httptest.NewServer(m.wrap(f.handler()))
	t.Cleanup(web.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(m.unary), grpc.StreamInterceptor(m.stream), grpc.UnknownServiceHandler(m.unknown))
	f.register(server)
	go server.Serve(listener) //nolint:errcheck // Stop ends it
	t.Cleanup(server.Stop)
	target, err := newTarget(t.Context(), options{
		url: web.URL, grpcAddr: listener.Addr().String(), models: []string{"simple", "iris", "identity", "identity_fp16"},
		unload: "iris", timeout: 10 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(target.close)
	return target
}

func TestEveryCaseHoldsForAServerThatKeepsToTheProtocol(t *testing.T) {
	for _, r := range runAll(t.Context(), bed(t, new(mutator)), allCases()) {
		if r.Status != passed {
			t.Errorf("%s: %s: %s\nexpected: %s\n%s", r.Status, r.Name, r.Got, r.Expected, r.Request)
		}
	}
}

func TestNamesAreUniqueAndEveryCaseIsDescribed(t *testing.T) {
	var seen []string
	for _, c := range allCases() {
		if slices.Contains(seen, c.name) {
			t.Errorf("%s twice", c.name)
		}
		seen = append(seen, c.name)
		if c.clause == "" || c.want == "" || c.level == "" || c.run == nil {
			t.Errorf("%s lacks its clause, what is expected, its level or what it runs", c.name)
		}
	}
	if len(seen) < 100 {
		t.Errorf("%d cases", len(seen))
	}
}
