package audit_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
)

// stuck is a disk whose writes wait until it is let go.
type stuck struct {
	mu      sync.Mutex
	writing atomic.Int64
}

type stuckFile struct {
	*os.File

	disk *stuck
}

func (d *stuck) open(path string) (ledger.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	return &stuckFile{f, d}, err
}

func (f *stuckFile) Sync() error {
	f.disk.writing.Add(1)
	defer f.disk.writing.Add(-1)
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	return f.File.Sync()
}

// A disk that does not answer counts as broken after a while, for whoever waits and
// for whoever comes, and goes on by itself.
func TestAHungDiskRefusesAndRecovers(t *testing.T) {
	t.Parallel()
	d, now := &stuck{}, &atomic.Int64{}
	cfg := config(t, t.TempDir())
	cfg.OpenFile, cfg.Hung = d.open, 2*time.Second
	cfg.Now = func() time.Time { return noon.Add(time.Duration(now.Load())) }
	l := open(t, cfg)
	if err := l.Record(t.Context(), change(0)); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	if err := l.Record(t.Context(), change(1)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("who waits for a hung disk: %v", err)
	}
	if err := l.Err(); err != nil {
		t.Errorf("before its time is over: %v", err)
	}
	now.Store(int64(time.Minute))
	for range 3 {
		if err := l.Record(t.Context(), prediction("ann")); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("who comes then: %v", err)
		}
	}
	if l.Err() == nil {
		t.Error("Err is nil")
	}
	short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Checkpoint(short); err == nil {
		t.Error("a checkpoint of a hung disk")
	}
	d.mu.Unlock()
	testkit.Eventually(t, "it recovers", func() bool { return l.Err() == nil })
	if err := l.Record(t.Context(), change(2)); err != nil {
		t.Error(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
		t.Error(show(report))
	}
	var gap int64
	for _, e := range entries(t, cfg, audit.AnyTenant) {
		if e.Event == audit.AuditGap {
			gap += e.Count
		}
	}
	if gap != 3 {
		t.Errorf("%d records are said to be missing, want 3", gap)
	}
}

// The end of a server does not wait for ever for a disk, and says what may be lost.
func TestAHungDiskDoesNotHoldUpTheEnd(t *testing.T) {
	t.Parallel()
	d := &stuck{}
	dir, err := os.MkdirTemp("", "onnxgate-audit-") //nolint:usetesting // the log still writes there when the test ends
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		testkit.Eventually(t, "the directory is removed", func() bool { return os.RemoveAll(dir) == nil })
	})
	cfg := config(t, dir)
	cfg.OpenFile, cfg.Hung = d.open, 2*time.Second
	l := open(t, cfg)
	d.mu.Lock()
	if err := l.Record(t.Context(), prediction("ann")); err != nil {
		t.Fatal(err)
	}
	testkit.Eventually(t, "it writes", func() bool { return d.writing.Load() > 0 })
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "does not answer: 1 record may be lost") {
		t.Errorf("Close: %v", err)
	}
	d.mu.Unlock()
	r := audit.NewReader(cfg)
	testkit.Eventually(t, "what was under way is ended", func() bool {
		report, err := r.Verify(t.Context(), nil)
		return err == nil && report.OK && report.Size == 1
	})
}
