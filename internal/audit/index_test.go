package audit_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"onnxgate/internal/audit"
)

// recordRequests records n predictions, each of a request of its own.
func recordRequests(tb testing.TB, l *audit.Log, n int) {
	tb.Helper()
	rec := prediction("ann")
	for i := range n {
		rec.RequestID = requestID(i)
		if err := l.Record(tb.Context(), rec); err != nil {
			tb.Fatal(err)
		}
		if i%10_000 == 9_999 { // or more would wait than may
			if _, err := l.Checkpoint(tb.Context()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if _, err := l.Checkpoint(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

func requestID(i int) string { return fmt.Sprintf("%032x", i*i) }

// A request is found by its tag, and without one, or with that of another, by looking
// at every record.
func TestARequestIsFoundWhateverBecameOfItsTag(t *testing.T) {
	for name, change := range map[string]func(path string) error{
		"as it was written": func(string) error { return nil },
		"gone":              os.Remove,
		"cut":               func(path string) error { return os.Truncate(path, 20) },
		"those of others": func(path string) error {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, append(data[8:], data[:8]...), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, t.TempDir())
			l := open(t, cfg)
			recordRequests(t, l, 40)
			if err := change(filepath.Join(cfg.Dir, "000000000016.tags")); err != nil {
				t.Fatal(err)
			}
			r := audit.NewReader(cfg)
			for i := range 40 {
				if e, err := r.Find(t.Context(), requestID(i)); err != nil || e == nil || e.Index != int64(i) {
					t.Errorf("request %d: %+v, %v", i, e, err)
				}
			}
			for _, unknown := range []string{"", requestID(41), "x"} {
				if e, err := r.Find(t.Context(), unknown); err != nil || e != nil {
					t.Errorf("%q: %+v, %v", unknown, e, err)
				}
			}
		})
	}
}

// BenchmarkFind is how long a receipt takes of a request somewhere in a log of RECORDS
// records.
func BenchmarkFind(b *testing.B) {
	cfg := config(b, b.TempDir())
	cfg.SegmentBits = 0
	n := amount(b, "RECORDS", 100_000)
	l := open(b, cfg)
	recordRequests(b, l, n)
	r := audit.NewReader(cfg)
	i := 0
	for b.Loop() {
		i = (i*7919 + 104_729) % n
		e, err := r.Find(b.Context(), requestID(i))
		if err != nil || e == nil {
			b.Fatal(i, err)
		}
		if _, err := r.Receipt(b.Context(), e); err != nil {
			b.Fatal(err)
		}
	}
}
