package e2e

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/testkit"
)

// kind is one kind of request whose cost docs/sizing.md tells.
type kind struct {
	name  string
	on    *server
	count int // of a slice
	ask   func(context.Context) error
	costs []float64 // CPU µs of each request, by slice
}

// BenchmarkSizing measures what docs/sizing.md says of requests: the CPU time that the
// server and its process for passwords take for each, in slices that alternate, so
// that what else the machine does falls on all kinds alike. Beside them: the resident
// memory of the server after all that, and the bytes that the audit log and its
// hashes take for each prediction, in a second server that does nothing else.
func BenchmarkSizing(b *testing.B) {
	settings := []string{
		"ONNXGATE_RATE_PREDICT=900000000/day", "ONNXGATE_MAX_ROWS=100000", "ONNXGATE_MAX_BODY=16MiB", "ONNXGATE_TOKEN_TTL=24h", "ONNXGATE_TRUSTED_PROXIES=192.0.2.1",
	}
	alone := beginSized(b, settings...)
	postgres := databaseURL + "=" + testkit.StartPostgres(b).Database(b)
	redis := "ONNXGATE_REDIS_URL=" + testkit.StartRedis(b, testkit.RedisConfig{}).URL(0)
	kinds := append(requestKinds(b, alone),
		rowKind(b, "row-with-Redis", beginSized(b, append(settings, redis)...)),
		rowKind(b, "row-with-PostgreSQL", beginSized(b, append(settings, postgres)...)))
	recorded := rowKind(b, "", beginSized(b, settings...))
	for _, k := range kinds {
		k.slice(b) // warm-up
	}
	before, predictions := auditSize(b, recorded.on), 0
	for b.Loop() {
		for _, k := range kinds {
			k.costs = append(k.costs, k.slice(b))
		}
		recorded.slice(b)
		predictions += recorded.count
	}
	b.ReportMetric(0, "ns/op")
	for _, k := range kinds {
		b.ReportMetric(median(k.costs), "CPU-µs/"+k.name)
		b.ReportMetric(median(k.costs)/median(kinds[0].costs), "×-row/"+k.name)
	}
	b.ReportMetric(float64(residentOf(b, alone))/(1<<20), "MiB-resident")
	recorded.on.terminateFor(b) // writes what is still to be written
	b.ReportMetric(float64(auditSize(b, recorded.on)-before)/float64(predictions), "audit-bytes/prediction")
}

// beginSized starts a server for the length of a benchmark.
func beginSized(tb testing.TB, settings ...string) *server {
	tb.Helper()
	s, err := newServer(tb.TempDir())
	if err == nil {
		err = s.start(context.WithoutCancel(tb.Context()), append([]string{"ONNXGATE_RATE_TOKEN=off"}, settings...)...)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.terminateFor(tb) })
	return s
}

func (s *server) terminateFor(tb testing.TB) {
	tb.Helper()
	if err := s.end(); err != nil {
		tb.Error(err)
	}
}

// flower is the row of iris as FP32, little-endian.
const flower = "\x33\x33\xa3\x40\x00\x00\x60\x40\x33\x33\xb3\x3f\xcd\xcc\x4c\x3e"

// requestKinds are the kinds of requests to one server, that of one row first.
func requestKinds(tb testing.TB, s *server) []*kind {
	tb.Helper()
	row := rowKind(tb, "row", s)
	token := adminToken(tb, s)
	var made struct{ Key string }
	if err := json.Unmarshal([]byte(runWith(tb, s, nil, "apikey", "create", "sizing", "--role", "admin", "--json")), &made); err != nil {
		tb.Fatal(err)
	}
	const v2 = `{"inputs":[{"name":"X","shape":[%d,4],"datatype":"FP32",%s}]%s}`
	one := fmt.Sprintf(v2, 1, `"data":[5.1,3.5,1.4,0.2]`, "")
	const rows = 100_000
	raw := strings.Repeat(flower, rows)
	head := fmt.Sprintf(v2, rows, `"parameters":{"binary_data_size":`+strconv.Itoa(len(raw))+`}`, `,"parameters":{"binary_data_output":true}`)
	infer := "/v2/models/iris/infer"
	form := url.Values{"grant_type": {"password"}, "username": {"admin"}, "password": {initialPassword(tb, s)}}.Encode()
	return []*kind{
		row,
		{name: "row-by-API-key", on: s, count: 4000, ask: sending(tb, s, "/predict", header(made.Key), iris)},
		{name: "row-over-V2", on: s, count: 4000, ask: sending(tb, s, infer, header(token), one)},
		{name: "row-over-gRPC", on: s, count: 4000, ask: askGRPC(tb, s.grpc, trusted(tb, s), token)},
		{name: "100000-rows-as-bytes", on: s, count: 8, ask: sending(tb, s, infer, header(token, "Inference-Header-Content-Length", strconv.Itoa(len(head))), head+raw)},
		{name: "sign-in", on: s, count: 20, ask: sending(tb, s, "/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form)},
	}
}

func rowKind(tb testing.TB, name string, s *server) *kind {
	tb.Helper()
	return &kind{name: name, on: s, count: 4000, ask: sending(tb, s, "/predict", header(adminToken(tb, s)), iris)}
}

// header is that of a request with a credential, and more names and values.
func header(credential string, more ...string) http.Header {
	h := http.Header{"Authorization": {"Bearer " + credential}, "Content-Type": {"application/json"}}
	for i := 0; i < len(more); i += 2 {
		h.Set(more[i], more[i+1])
	}
	return h
}

// sending returns what sends one request over kept-alive connections of HTTP/1.1.
func sending(tb testing.TB, s *server, path string, h http.Header, body string) func(context.Context) error {
	tb.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: trusted(tb, s)}, Timeout: startTimeout}
	tb.Cleanup(client.CloseIdleConnections)
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header = h
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(resp.Body)
		if err = errors.Join(err, resp.Body.Close()); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s %.200s", path, resp.Status, text)
		}
		return err
	}
}

func trusted(tb testing.TB, s *server) *tls.Config {
	tb.Helper()
	settings, err := s.tlsConfig()
	if err != nil {
		tb.Fatal(err)
	}
	return settings
}

// slice asks from two clients at the same time, and returns the CPU time of each
// request in µs.
func (k *kind) slice(tb testing.TB) float64 {
	tb.Helper()
	before := cpuOf(tb, []*server{k.on})
	var group errgroup.Group
	for range 2 {
		group.Go(func() error {
			for range k.count / 2 {
				if err := k.ask(context.WithoutCancel(tb.Context())); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
	return float64(cpuOf(tb, []*server{k.on})-before) / float64(time.Microsecond) / float64(k.count)
}

// auditSize returns the bytes of the segments and hashes of a server's audit log.
func auditSize(tb testing.TB, s *server) (sum int64) {
	tb.Helper()
	err := filepath.WalkDir(filepath.Join(s.dir, "data", "audit"), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			sum += info.Size()
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return sum
}

// residentOf returns the resident memory in bytes.
func residentOf(tb testing.TB, s *server) int64 {
	tb.Helper()
	text, err := os.ReadFile("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/statm")
	if err != nil {
		tb.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}
