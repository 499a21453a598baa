package app_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/testkit"
)

// batch is how a protocol answered one: the HTTP status, or the nearest one, and what
// its header, or its message, says of limits.
type batch struct {
	status                    int
	retryAfter, policy, state string
}

// batches are the ways to ask for so many rows.
func (s *server) batches(t *testing.T) map[string]func(key string, rows int) batch {
	t.Helper()
	send := func(key, path, mediaType string, body []byte, header ...string) batch {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Addr()+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		req.Header.Set("X-Api-Key", key)
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := s.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close() //nolint:errcheck // nothing was written
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return batch{resp.StatusCode, resp.Header.Get("Retry-After"), resp.Header.Get("RateLimit-Policy"), resp.Header.Get("RateLimit")}
	}
	times := func(row string, n int) string { return strings.TrimSuffix(strings.Repeat(row+",", n), ",") }
	const numbers = "5.1,3.5,1.4,0.2"
	head := func(n int, more string) string {
		return fmt.Sprintf(`{"inputs":[{"name":"X","shape":[%d,4],"datatype":"FP32",%s}]}`, n, more)
	}
	return map[string]func(string, int) batch{
		"JSON": func(key string, n int) batch {
			return send(key, "/predict", "application/json", []byte("["+times(row, n)+"]"))
		},
		"CSV": func(key string, n int) batch {
			return send(key, "/models/iris/predict", "text/csv", []byte("sepal_length,sepal_width,petal_length,petal_width\n"+strings.Repeat(numbers+"\n", n)))
		},
		"V1": func(key string, n int) batch {
			return send(key, "/v1/models/iris:predict", "application/json", []byte(`{"instances":[`+times("["+numbers+"]", n)+`]}`))
		},
		"V2": func(key string, n int) batch {
			return send(key, "/v2/models/iris/infer", "application/json", []byte(head(n, `"data":[`+times(numbers, n)+`]`)))
		},
		"V2 binary": func(key string, n int) batch {
			text := head(n, fmt.Sprintf(`"parameters":{"binary_data_size":%d}`, 16*n))
			body := []byte(text)
			for _, v := range flower(n) {
				body = binary.LittleEndian.AppendUint32(body, math.Float32bits(v))
			}
			return send(key, "/v2/models/iris/infer", "application/octet-stream", body, "Inference-Header-Content-Length", strconv.Itoa(len(text)))
		},
		"gRPC":        s.unary(t),
		"gRPC stream": s.streamed(t),
	}
}

// flower is a batch of so many rows.
func flower(rows int) []float32 { return slices.Repeat([]float32{5.1, 3.5, 1.4, .2}, rows) }

func (s *server) unary(t *testing.T) func(string, int) batch {
	t.Helper()
	client := s.dialGRPC(t)
	return func(key string, n int) batch {
		var header, trailer metadata.MD
		_, err := client.ModelInfer(withToken(t.Context(), key), flowers(n%2 == 0, flower(n)...), grpc.Header(&header), grpc.Trailer(&trailer))
		all := metadata.Join(header, trailer)
		of := func(name string) string { return strings.Join(all.Get(name), ", ") }
		known := map[codes.Code]int{codes.OK: 200, codes.InvalidArgument: 400, codes.ResourceExhausted: 429} //nolint:exhaustive // no other is expected
		return batch{known[status.Code(err)], of("retry-after"), of("ratelimit-policy"), of("ratelimit")}
	}
}

// streamed asks with messages of one stream for each key, which say less.
func (s *server) streamed(t *testing.T) func(string, int) batch {
	t.Helper()
	client := s.dialGRPC(t)
	wait := regexp.MustCompile(`\(retry-after: (\d+)\)$`)
	streams := map[string]grpc.BidiStreamingClient[pb.ModelInferRequest, pb.ModelStreamInferResponse]{}
	return func(key string, n int) batch {
		var err error
		if streams[key] == nil {
			streams[key], err = client.ModelStreamInfer(withToken(t.Context(), key))
		}
		if err == nil {
			err = streams[key].Send(flowers(false, flower(n)...))
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := streams[key].Recv()
		if err != nil {
			t.Fatal(err)
		}
		fault := got.GetErrorMessage()
		if found := wait.FindStringSubmatch(fault); found != nil {
			return batch{status: 429, retryAfter: found[1]}
		}
		if fault != "" {
			return batch{status: 400}
		}
		return batch{status: 200}
	}
}

// A key's rows are counted by every protocol, and the same way.
func TestAKeyHasALimitOfRowsByEveryProtocol(t *testing.T) {
	s := start(t, t.TempDir(), map[string]string{"RATE_PREDICT": "off"})
	for name, ask := range s.batches(t) {
		t.Run(name, func(t *testing.T) {
			key := s.keyOf(t, accounts.NewKey{Name: "rows", Roles: []string{"admin"}, Rate: "1000/hour, 12 rows/day"})
			for i, step := range []struct{ rows, want, left int }{{13, 422, 12}, {7, 200, 5}, {6, 429, 5}, {5, 200, 0}, {1, 429, 0}, {13, 422, 0}} {
				got := ask(key, step.rows)
				if got.status != step.want && (got.status != 400 || step.want != 422) {
					t.Errorf("batch %d of %d rows: %+v, want %d", i, step.rows, got, step.want)
				}
				if seconds, _ := strconv.Atoi(got.retryAfter); (step.want == 429) != (seconds > 23*3600 && seconds <= 24*3600) {
					t.Errorf("batch %d of %d rows: to wait for %q seconds", i, step.rows, got.retryAfter)
				}
				if got.policy == "" && name == "gRPC stream" || step.want == 422 {
					continue
				}
				if want := `"key";q=1000;w=3600, "key-2";q=12;qu="rows";w=86400`; got.policy != want {
					t.Errorf("batch %d of %d rows: policy %s, want %s", i, step.rows, got.policy, want)
				}
				if want := fmt.Sprintf(`"key";r=%d;t=`, 999-i); !strings.HasPrefix(got.state, want) || !strings.Contains(got.state, fmt.Sprintf(`"key-2";r=%d;t=`, step.left)) {
					t.Errorf("batch %d of %d rows: %s, want %s and %d rows left", i, step.rows, got.state, want, step.left)
				}
			}
		})
	}
}

// Rows are one count of all servers.
func TestServersCountRowsTogether(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{})
	vars := map[string]string{"REDIS_URL": store.URL(0), "RATE_PREDICT": "1000/day, 9 rows/day", "RATE_PREDICT_PER": "principal", "RATE_TOKEN": "off"}
	one, two := start(t, filepath.Join(t.TempDir(), "one"), vars), start(t, filepath.Join(t.TempDir(), "two"), vars)
	token := map[*server]string{one: one.token(t), two: two.token(t)}
	for _, s := range []*server{one, two} {
		testkit.Eventually(t, "Redis counts", func() bool { return s.gauge(t, "onnxgate_redis_up") == 1 })
	}
	got := admitted(t, 9, token, one, two)
	// A loaded machine may have kept Redis from answering in time.
	alone := int(one.gauge(t, "onnxgate_local_rate_decisions_total") + two.gauge(t, "onnxgate_local_rate_decisions_total"))
	if n := got[one] + got[two]; n < 9 || n > 9+alone {
		t.Errorf("%d and %d rows were admitted, want 9 together", got[one], got[two])
	}
}

func TestARateInRowsThatIsNeverReachedIsDoubted(t *testing.T) {
	cfg := load(t, t.TempDir(), map[string]string{"RATE_PREDICT": "10/minute, 600 rows/minute", "RATE_PREDICT_PER": "principal"})
	for rate, want := range map[string]string{
		"10/minute, 600 rows/minute": "", "60 rows/second": "", "10/minute, 601 rows/minute": "the rate 601 rows/minute,",
		"700 rows/minute, 11/minute": "the rate 11/minute, 700 rows/minute,", "40000 rows/hour": "the rate 40000 rows/hour,",
	} {
		doubts := strings.Join(app.KeyDoubts(cfg, &accounts.APIKey{Rate: rate}), "\n")
		if (doubts == "") != (want == "") || !strings.Contains(doubts, want) {
			t.Errorf("%s: %q, want %q", rate, doubts, want)
		}
	}
}
