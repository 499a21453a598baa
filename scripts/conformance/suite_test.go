package main

import (
	"net"
	"net/http/httptest"
	"regexp"
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

func TestNoAnswerBreaksTheSuite(t *testing.T) {
	m := new(mutator)
	target := bed(t, m)
	consistent := regexp.MustCompile("^(infer/.*|batch/(thousand|empty|nested|independent)|statistics/version)$") // with itself, at least
	for body, empty := range map[string]bool{
		"": true, "null": true, "[]": true, "{}": true, "[{}]": true, `"x"`: true, `{"outputs":[]}`: true, `{"outputs":[{}]}`: true,
		`{"model_stats":[{"name":"simple"}]}`:                                                                     true,
		`{"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[],"data":[1]}]}`:                               false,
		`{"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[0,16],"data":[]}]}`:                            false,
		`{"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[1,16],"parameters":{"binary_data_size":64}}]}`: true,
		`{"outputs":[{"name":"OUTPUT0","datatype":"INT32","shape":[4611686018427387904],"data":[]}]}`:             true,
	} {
		m.now.Store(&mutation{answer: on("", func(w *httptest.ResponseRecorder) { replace(w, 200, body) })})
		for _, r := range runAll(t.Context(), target, matching(allCases(), regexp.MustCompile("^(infer|batch|datatype|statistics|classification)/"))) {
			if r.Status == passed && r.Name != "statistics/version" && (empty || !consistent.MatchString(r.Name)) {
				t.Errorf("%s holds for %s", r.Name, body)
			}
		}
	}
}
