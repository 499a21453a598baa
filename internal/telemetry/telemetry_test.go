package telemetry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"onnxgate/internal/fault"
	"onnxgate/internal/telemetry"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func access() *telemetry.Access {
	return &telemetry.Access{
		Time:     time.Date(2026, 3, 4, 5, 6, 7, 89_000_000, time.UTC),
		Duration: 1234567 * time.Nanosecond, Method: "POST", Route: "/models/{model}/predict",
		Path: "/models/iris/predict", Status: 200, Bytes: 123, RequestID: "0123456789abcdef",
		ClientRequestID: "mine-1", TraceID: "4bf92f3577b34da6a3ce929d0e0e4736", Client: netip.MustParseAddr("192.0.2.1"),
		Subject: "alice", Model: "iris", Version: "1",
	}
}

func hostile() *telemetry.Access {
	a := access()
	a.Method = "G\x1b[31mET"
	a.Path = "/a\r\n{\"forged\":1}\x00\u202e\u2028\U0001F600\xff\"\\ =x"
	a.Subject = strings.Repeat("é", 10_000)
	a.Route, a.Model, a.Version, a.ClientRequestID = "", "", "", ""
	a.Issuer = "https://idp.example/\nsubject=admin"
	a.Status, a.Reason, a.Client = 404, "not_found", netip.Addr{}
	return a
}

func TestAccessLinesMatchGolden(t *testing.T) {
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		var buf bytes.Buffer
		l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &buf, Format: format})
		l.Log(access())
		l.Log(hostile())
		probe := access()
		probe.Level = slog.LevelDebug
		l.Log(probe)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "access."+string(format)+".golden")
		if *update {
			if err := os.WriteFile(golden, buf.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), buf.String()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", format, diff)
		}
	}
}

func TestNoRequestCanForgeALine(t *testing.T) {
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		var buf bytes.Buffer
		l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &buf, Format: format})
		l.Log(hostile())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		line := buf.String()
		if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || len(line) > 2500 {
			t.Errorf("%s: %d bytes, want one short line:\n%q", format, len(line), line)
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r < ' ' || r > '~' {
				t.Errorf("%s: %U is in the line", format, r)
			}
		}
	}
}

func FuzzAccessLineIsOneJSONObject(f *testing.F) {
	f.Add("POST", "/predict", "alice")
	f.Add("\x00", "/\u2028\xed\xa0\x80", strings.Repeat("\U0010FFFF", 100))
	f.Fuzz(func(t *testing.T, method, path, subject string) {
		var buf bytes.Buffer
		l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &buf, Format: telemetry.JSON})
		a := access()
		a.Method, a.Path, a.Subject = method, path, subject
		l.Log(a)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(buf.Bytes(), &got); err != nil {
			t.Fatalf("%v: %q", err, buf.String())
		}
		if len(path) <= 256 && utf8.ValidString(path) && path != "" && got["path"] != path {
			t.Errorf("path %q came back as %q", path, got["path"])
		}
	})
}

// recorder keeps what was written, write by write.
type recorder struct {
	mu     sync.Mutex
	writes []string
	err    error
}

func (r *recorder) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.writes = append(r.writes, string(p))
	return len(p), r.err
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.writes)
}

func TestLinesWaitAtMostTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out recorder
		l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &out})
		l.Log(access())
		l.Log(access())
		time.Sleep(telemetry.FlushEvery - time.Millisecond)
		synctest.Wait()
		if n := out.count(); n != 0 {
			t.Errorf("%d writes before the time, want none", n)
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if n := out.count(); n != 1 || strings.Count(out.writes[0], "\n") != 2 {
			t.Errorf("%d writes, want one of two lines", n)
		}
		l.Log(access())
		if err := l.Close(); err != nil || out.count() != 2 {
			t.Errorf("Close: %v, %d writes; want the last line written", err, out.count())
		}
		if err := l.Close(); !errors.Is(err, telemetry.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
		l.Log(access())
		if out.count() != 3 {
			t.Error("a line after Close is lost")
		}
	})
}

func TestNoLineIsLostOrTornUnderLoad(t *testing.T) {
	var out recorder
	l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &out, Format: telemetry.JSON})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 1000 {
				a := access()
				a.Subject = fmt.Sprintf("%d-%d", g, i)
				l.Log(a)
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(strings.Join(out.writes, "")) {
		var got struct{ Subject string }
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		seen[got.Subject] = true
	}
	if len(seen) != 8000 {
		t.Errorf("%d lines, want 8000", len(seen))
	}
}

func TestCloseTellsOfAFailedWrite(t *testing.T) {
	broken := errors.New("disk full")
	l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &recorder{err: broken}})
	l.Log(access())
	if err := l.Close(); !errors.Is(err, broken) {
		t.Errorf("Close = %v, want the error of the write", err)
	}
}

func TestLevelSilencesWhileTheServerRuns(t *testing.T) {
	var level slog.LevelVar
	var out bytes.Buffer
	l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: &out, Level: &level})
	logger := slog.New(telemetry.NewHandler(&out, telemetry.JSON, &level))
	level.Set(slog.LevelWarn)
	l.Log(access())
	logger.InfoContext(t.Context(), "quiet")
	level.Set(slog.LevelInfo)
	logger.InfoContext(t.Context(), "loud")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "loud") {
		t.Errorf("got %q, want the loud line alone", s)
	}
}

func TestLogLinesAreBounded(t *testing.T) {
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		var out bytes.Buffer
		logger := slog.New(telemetry.NewHandler(&out, format, slog.LevelInfo))
		long := strings.Repeat("x\n", 100_000)
		logger.InfoContext(t.Context(), "m", slog.String("s", long), slog.Any("err", errors.New(long)))
		if n := out.Len(); n > 40_000 || bytes.Count(out.Bytes(), []byte("\n")) != 1 {
			t.Errorf("%s: %d bytes, want one bounded line", format, n)
		}
	}
}

func TestMetricsCount(t *testing.T) {
	m := telemetry.NewMetrics("v1.2.3")
	route := m.Route("POST", "/predict")
	route.Observe(200, time.Millisecond)
	route.Observe(200, time.Millisecond)
	route.Observe(429, time.Millisecond)
	m.Refused(fault.RateLimited)
	m.Refused(fault.Kind(250))
	m.Model("iris", "1").Observe(3, time.Microsecond)
	want := `
# HELP onnxgate_http_requests_total Requests answered, by method, route pattern and status code.
# TYPE onnxgate_http_requests_total counter
onnxgate_http_requests_total{code="200",method="POST",route="/predict"} 2
onnxgate_http_requests_total{code="429",method="POST",route="/predict"} 1
# HELP onnxgate_predictions_total Rows predicted, by model and version.
# TYPE onnxgate_predictions_total counter
onnxgate_predictions_total{model="iris",version="1"} 3
`
	if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want),
		"onnxgate_http_requests_total", "onnxgate_predictions_total"); err != nil {
		t.Error(err)
	}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, f := range families {
		have[f.GetName()] = true
		if f.GetName() == "onnxgate_refusals_total" && len(f.GetMetric()) != len(fault.Kinds()) {
			t.Errorf("%d reasons of refusal, want one for each kind", len(f.GetMetric()))
		}
	}
	for _, name := range []string{
		"onnxgate_http_request_duration_seconds", "onnxgate_prediction_duration_seconds",
		"onnxgate_refusals_total", "onnxgate_build_info", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !have[name] {
			t.Errorf("%s is missing", name)
		}
	}
}

func TestTenantsAndVersionsHaveNamesInBoundedNumber(t *testing.T) {
	m := telemetry.NewMetrics("v")
	const others = 7
	var group sync.WaitGroup
	for range 4 { // who come at the same time get the same numbers
		group.Go(func() {
			for i := range telemetry.MaxTenants + others {
				m.Tenant(fmt.Sprint("t", i)).Answered()
			}
			for i := range telemetry.MaxModelVersions + others {
				m.Model("iris", fmt.Sprint(i)).Observe(1, time.Microsecond)
			}
		})
	}
	group.Wait()
	m.Tenant("t0").Refused(fault.Forbidden)
	m.Tenant("t0").Refused(fault.Unavailable)
	m.Tenant("t0").Predicted(3, 500*time.Millisecond)
	got := map[string]float64{}
	families, err := m.Registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	series := map[string]int{}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			series[f.GetName()]++
			labels := make([]string, len(metric.GetLabel()))
			for i, l := range metric.GetLabel() {
				labels[i] = l.GetValue()
			}
			got[f.GetName()+" "+strings.Join(labels, " ")] = metric.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]int{
		"onnxgate_tenant_requests_total": 3 * (telemetry.MaxTenants + 1), "onnxgate_tenant_predictions_total": telemetry.MaxTenants + 1,
		"onnxgate_predictions_total": telemetry.MaxModelVersions + 1, "onnxgate_prediction_duration_seconds": telemetry.MaxModelVersions + 1,
	} {
		if series[name] != want {
			t.Errorf("%s has %d series, want %d", name, series[name], want)
		}
	}
	for name, want := range map[string]float64{
		"onnxgate_tenant_requests_total answered t0": 4, "onnxgate_tenant_requests_total refused t0": 1, "onnxgate_tenant_requests_total failed t0": 1,
		"onnxgate_tenant_requests_total answered other": 4 * others, "onnxgate_predictions_total other other": 4 * others, "onnxgate_predictions_total iris 0": 4,
		"onnxgate_tenant_predictions_total t0": 3, "onnxgate_tenant_prediction_seconds_total t0": 0.5,
	} {
		if got[name] != want {
			t.Errorf("%s = %v, want %v", name, got[name], want)
		}
	}
}

func TestGaugesAreWorkedOutAtEachLook(t *testing.T) {
	m := telemetry.NewMetrics("v")
	depth, up := 0.0, map[string]float64{}
	m.Gauge("onnxgate_queue_depth", "Requests that wait.", func() float64 { return depth })
	m.Gauges("onnxgate_issuer_up", "1 when it answers.", "issuer", func(show func(string, float64)) {
		for name, value := range up {
			show(name, value)
		}
	})
	for _, want := range []string{
		"# HELP onnxgate_queue_depth Requests that wait.\n# TYPE onnxgate_queue_depth gauge\nonnxgate_queue_depth 0\n",
		"# HELP onnxgate_queue_depth Requests that wait.\n# TYPE onnxgate_queue_depth gauge\nonnxgate_queue_depth 7\n" +
			"# HELP onnxgate_issuer_up 1 when it answers.\n# TYPE onnxgate_issuer_up gauge\nonnxgate_issuer_up{issuer=\"a\"} 1\nonnxgate_issuer_up{issuer=\"b\"} 0\n",
	} {
		if err := testutil.GatherAndCompare(m.Registry(), strings.NewReader(want), "onnxgate_queue_depth", "onnxgate_issuer_up"); err != nil {
			t.Error(err)
		}
		depth, up["a"], up["b"] = 7, 1, 0
	}
}

func TestHotPathDoesNotAllocate(t *testing.T) {
	m := telemetry.NewMetrics("v")
	route, model := m.Route("POST", "/predict"), m.Model("iris", "1")
	route.Observe(200, 0)
	l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: telemetry.JSON})
	a := access()
	for range 1000 {
		l.Log(a) // grows both buffers
	}
	m.Tenant("default").Answered()
	if n := testing.AllocsPerRun(200, func() {
		route.Observe(200, time.Microsecond)
		m.Tenant("default").Answered()
		m.Tenant("default").Predicted(1, time.Microsecond)
		model.Observe(1, time.Microsecond)
		m.Refused(fault.Content)
	}); n != 0 {
		t.Errorf("metrics: %v allocations, want 0", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkAccessLine(b *testing.B) {
	for _, format := range []telemetry.Format{telemetry.JSON, telemetry.Text} {
		b.Run(string(format), func(b *testing.B) {
			l := telemetry.NewAccessLog(telemetry.AccessConfig{Writer: io.Discard, Format: format})
			a := access()
			b.ReportAllocs()
			for b.Loop() {
				l.Log(a)
			}
			_ = l.Close()
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	m := telemetry.NewMetrics("v")
	route := m.Route("POST", "/predict")
	b.ReportAllocs()
	for b.Loop() {
		route.Observe(200, 30*time.Microsecond)
	}
}
