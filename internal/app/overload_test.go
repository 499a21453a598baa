package app_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// turnedAway is how a prediction was refused, in the words of its protocol.
type turnedAway struct {
	// Status is of HTTP, or the code of gRPC.
	Status string
	// Retry is what Retry-After says, of gRPC the same metadata and RetryInfo.
	Retry string
	// Detail says whether the text of the refusal is there.
	Detail bool
}

// byHTTP are the forms of a prediction over HTTP, and their bodies.
var byHTTP = map[string]struct{ path, body string }{
	"/predict":        {"/predict", flowerRow},
	"/models/predict": {"/models/iris/predict", flowerRow},
	"V1":              {"/v1/models/iris:predict", `{"instances":[[5.1,3.5,1.4,0.2]]}`},
	"V2":              {"/v2/models/iris/infer", `{"inputs":[{"name":"X","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`},
}

const flowerRow = `{"sepal_length":5.1,"sepal_width":3.5,"petal_length":1.4,"petal_width":0.2}`

// refusals asks for one prediction in every protocol, for which the client waits so
// long, and says how each was refused.
func (s *server) refusals(t *testing.T, token, text string, patience time.Duration) map[string]turnedAway {
	t.Helper()
	all := map[string]turnedAway{}
	for name, q := range byHTTP {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Addr()+q.path, strings.NewReader(q.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Authorization", "Bearer "+token)
		if patience > 0 {
			req.Header.Set("Request-Timeout", strconv.FormatFloat(patience.Seconds(), 'f', -1, 64))
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		all[name] = turnedAway{Status: resp.Status, Retry: resp.Header.Get("Retry-After"), Detail: strings.Contains(string(body), text)}
	}
	all["gRPC"] = s.refusalGRPC(t, token, text, patience)
	return all
}

func (s *server) refusalGRPC(t *testing.T, token, text string, patience time.Duration) turnedAway {
	t.Helper()
	ctx := withToken(t.Context(), token)
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	var header metadata.MD
	_, err := s.dialGRPC(t).ModelInfer(ctx, flowers(false, 5.1, 3.5, 1.4, .2), grpc.Header(&header))
	got := turnedAway{Status: status.Code(err).String(), Retry: strings.Join(header.Get("retry-after"), ","), Detail: err != nil && strings.Contains(err.Error(), text)}
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			got.Retry += " " + info.GetRetryDelay().AsDuration().String()
		}
	}
	return got
}

// Where there is no place, every protocol refuses alike, and says when to come again.
func TestAllProtocolsRefuseAlikeWhereThereIsNoPlace(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"MAX_IN_FLIGHT": "1", "QUEUE_TIMEOUT": "0s"})
	leave, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	over := turnedAway{Status: "503 Service Unavailable", Retry: "1", Detail: true}
	want := map[string]turnedAway{"gRPC": {Status: "Unavailable", Retry: "1 1s", Detail: true}}
	for name := range byHTTP {
		want[name] = over
	}
	if diff := cmp.Diff(want, s.refusals(t, s.token(t), "More predictions are under way", 0)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	leave()
	for name, got := range s.refusals(t, s.token(t), "", 0) {
		if got.Status != "200 OK" && got.Status != "OK" {
			t.Errorf("%s, when the place is free: %+v", name, got)
		}
	}
}

// A deadline of the client that passes in the queue is told as one, in every protocol.
func TestAllProtocolsHonourTheDeadlineOfTheClientInTheQueue(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"MAX_IN_FLIGHT": "1", "QUEUE_TIMEOUT": "30s"})
	leave, err := s.Hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer leave()
	token := s.token(t)
	want := map[string]turnedAway{"gRPC": {Status: "DeadlineExceeded", Detail: true}}
	for name := range byHTTP {
		want[name] = turnedAway{Status: "503 Service Unavailable", Detail: true}
	}
	got := s.refusals(t, token, "", 300*time.Millisecond)
	for name, r := range got {
		r.Retry = "" // of gRPC none comes: the client has gone
		got[name] = r
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := s.counted(t)[`onnxgate_refusals_total{reason="client_deadline"}`]; n < float64(len(byHTTP)) {
		t.Errorf("%v are counted as the client's deadline, want %d and more", n, len(byHTTP))
	}
}
