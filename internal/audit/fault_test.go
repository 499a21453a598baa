package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

// disk is a file system that fails when it is told to.
type disk struct {
	// left is how many bytes can be written before it is full; below zero for ever.
	left atomic.Int64
	// failing says that it fails to sync, or to cut.
	failSync, failCut atomic.Bool
	syncs             atomic.Int64
	// unsynced are the files that were written to since they were last synced.
	unsynced sync.Map
}

func newDisk() *disk {
	d := &disk{}
	d.left.Store(1 << 40)
	return d
}

type brokenFile struct {
	*os.File
	disk *disk
}

var errBroken = errors.New("input/output error")

func (d *disk) open(path string) (ledger.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	return &brokenFile{f, d}, err
}

// WriteAt writes what there is room for: what is there already needs none.
func (f *brokenFile) WriteAt(p []byte, at int64) (int, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	there := min(max(info.Size()-at, 0), int64(len(p)))
	f.disk.unsynced.Store(f.Name(), true)
	grows := int64(len(p)) - there
	if left := f.disk.left.Add(-grows) + grows; left < grows {
		n, err := f.File.WriteAt(p[:there+max(left, 0)], at)
		return n, errors.Join(err, errBroken)
	}
	return f.File.WriteAt(p, at)
}

func (f *brokenFile) Sync() error {
	f.disk.syncs.Add(1)
	if f.disk.failSync.Load() {
		return errBroken
	}
	f.disk.unsynced.Delete(f.Name())
	return f.File.Sync()
}

func (f *brokenFile) Truncate(size int64) error {
	if f.disk.failCut.Load() {
		return errBroken
	}
	return f.File.Truncate(size)
}

func change(i int) *audit.Record {
	return &audit.Record{Event: audit.UserAdd, Actor: "root", Tenant: "acme", Object: fmt.Sprintf("user-%d", i), Outcome: audit.OK}
}

// eventually waits for what a goroutine does.
// U05: a disk that is full or broken refuses what asks for a record, at once; it is
// tried again, and what is missing is on record; no half line is left.
func TestABrokenDiskRefusesAndRecovers(t *testing.T) {
	for name, tc := range map[string]struct{ fail, mend func(d *disk) }{
		"no room at all":           {func(d *disk) { d.left.Store(0) }, func(d *disk) { d.left.Store(1 << 40) }},
		"room for half a line":     {func(d *disk) { d.left.Store(100) }, func(d *disk) { d.left.Store(1 << 40) }},
		"room for the lines alone": {func(d *disk) { d.left.Store(390) }, func(d *disk) { d.left.Store(1 << 40) }},
		"a sync that fails":        {func(d *disk) { d.failSync.Store(true) }, func(d *disk) { d.failSync.Store(false) }},
		"nothing can be cut either": {
			func(d *disk) { d.left.Store(100); d.failCut.Store(true) },
			func(d *disk) { d.left.Store(1 << 40); d.failCut.Store(false) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDisk()
			cfg := config(t, t.TempDir())
			cfg.OpenFile, cfg.Retry = d.open, time.Millisecond
			l := open(t, cfg)
			for i := range 5 {
				if err := l.Record(t.Context(), change(i)); err != nil {
					t.Fatal(err)
				}
			}
			tc.fail(d)
			if err := l.Record(t.Context(), change(5)); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("a change on a broken disk: %v", err)
			}
			if l.Err() == nil {
				t.Error("Err is nil")
			}
			for i := range 20 {
				if err := l.Record(t.Context(), prediction("ann")); fault.KindOf(err) != fault.Unavailable {
					t.Errorf("prediction %d: %v", i, err)
				}
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Size < 5 {
				t.Errorf("while it is broken: %s", show(report))
			}
			tc.mend(d)
			testkit.Eventually(t, "it recovers", func() bool { return l.Err() == nil })
			if err := l.Record(t.Context(), change(6)); err != nil {
				t.Error(err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			checkGap(t, cfg, 21)
		})
	}
}

// checkGap checks that a log is whole, has the changes that were acknowledged and
// says how many records are missing.
func checkGap(t *testing.T, cfg audit.Config, missing int64) {
	t.Helper()
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
		t.Errorf("afterwards: %s", show(report))
	}
	var objects []string
	var gap int64
	for _, e := range entries(t, cfg, audit.AnyTenant) {
		if e.Object != "" {
			objects = append(objects, e.Object)
		}
		if e.Event == audit.AuditGap {
			gap += e.Count
		}
	}
	if got := strings.Join(objects, " "); got != "user-0 user-1 user-2 user-3 user-4 user-6" || gap != missing {
		t.Errorf("on record are %s, and %d missing", got, gap)
	}
}

func entries(tb testing.TB, cfg audit.Config, tenant string) []*audit.Entry {
	tb.Helper()
	var all []*audit.Entry
	if _, err := audit.NewReader(cfg).Read(tb.Context(), audit.Query{Tenant: tenant}, func(e *audit.Entry) error {
		all = append(all, e)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return all
}

// A prediction that was answered before the disk failed is on record once it works
// again.
func TestWhatWasAnsweredIsKeptUntilTheDiskWorks(t *testing.T) {
	d := newDisk()
	cfg := config(t, t.TempDir())
	cfg.SegmentBits, cfg.OpenFile, cfg.Retry, cfg.Within = 0, d.open, time.Millisecond, 5*time.Millisecond
	l := open(t, cfg)
	d.failSync.Store(true)
	accepted := 0
	for l.Err() == nil {
		if l.Record(t.Context(), prediction("ann")) == nil {
			accepted++
		}
	}
	d.failSync.Store(false)
	testkit.Eventually(t, "it recovers", func() bool { return l.Err() == nil })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	kept := 0
	for _, e := range entries(t, cfg, "acme") {
		if e.Event == audit.Predict {
			kept++
		}
	}
	if kept != accepted || accepted == 0 {
		t.Errorf("%d of %d are on record", kept, accepted)
	}
}

// One wait for the disk is enough for many who come at the same time.
func TestManyWaitForOneSync(t *testing.T) {
	d := newDisk()
	cfg := config(t, t.TempDir())
	cfg.SegmentBits, cfg.OpenFile = 0, d.open
	l := open(t, cfg)
	const writers, each = 50, 20
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for i := range each {
				if err := l.Record(t.Context(), change(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if got := d.syncs.Load(); got > writers*each/4 {
		t.Errorf("%d syncs for %d records", got, writers*each)
	}
	if n := len(entries(t, cfg, "acme")); n != writers*each {
		t.Errorf("%d records", n)
	}
}

// A request whose time is over waits for its record nevertheless: it will be there.
func TestARecordOutlivesItsRequest(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Record(ctx, change(1)); err != nil {
		t.Error(err)
	}
	if n := len(entries(t, cfg, "acme")); n != 1 {
		t.Errorf("%d records", n)
	}
}

// Several processes write one log.
func TestTwoLogsOfOneDirectoryAreOne(t *testing.T) {
	cfg := config(t, t.TempDir())
	a, b := open(t, cfg), open(t, cfg)
	var group sync.WaitGroup
	for _, l := range []*audit.Log{a, b} {
		group.Go(func() {
			for i := range 100 {
				if err := l.Record(t.Context(), change(i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Size != 200 {
		t.Error(show(report))
	}
	if n := len(entries(t, cfg, "acme")); n != 200 {
		t.Errorf("%d records can be read", n)
	}
}

// What a process can neither write to its end nor cut off, another takes over; the first
// one then leaves what the other wrote behind it.
func TestABrokenDiskTakesNothingFromAnotherProcess(t *testing.T) {
	for _, others := range []int{1, 40} { // within a segment, and beyond it
		t.Run(fmt.Sprint(others), func(t *testing.T) {
			d := newDisk()
			cfg := config(t, t.TempDir())
			sound := cfg
			cfg.OpenFile, cfg.Retry = d.open, time.Millisecond
			a := open(t, cfg)
			if err := a.Record(t.Context(), change(0)); err != nil {
				t.Fatal(err)
			}
			d.failSync.Store(true)
			d.failCut.Store(true)
			if err := a.Record(t.Context(), change(1)); err == nil {
				t.Fatal("a change was kept on a broken disk")
			}
			b := open(t, sound)
			for range others {
				if err := b.Record(t.Context(), change(2)); err != nil {
					t.Fatal(err)
				}
			}
			d.failSync.Store(false)
			d.failCut.Store(false)
			testkit.Eventually(t, "it recovers", func() bool { return a.Err() == nil })
			if err := errors.Join(a.Close(), b.Close()); err != nil {
				t.Error(err)
			}
			if report := verify(t, audit.NewReader(sound), nil); !report.OK {
				t.Error(show(report))
			}
			kept := 0
			for _, e := range entries(t, sound, "acme") {
				if e.Object == "user-2" {
					kept++
				}
			}
			if kept != others {
				t.Errorf("%d of %d records of the other process are there", kept, others)
			}
		})
	}
}

// A line whose writer was killed is cut off, and that is on record.
func TestATornLineIsCutOff(t *testing.T) {
	log := newTampered(t)
	name := log.segments[len(log.segments)-1]
	log.write(t, map[string][]byte{name: append(log.files[name], `{"index":60,"time":"2026-`...)})
	for _, r := range []*audit.Reader{log.with, log.without} {
		if report := verify(t, r, log.checkpoint); !report.OK || report.Size != tamperedSize {
			t.Errorf("before a start: %s", show(report))
		}
	}
	l := open(t, config(t, log.dir))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, log.with, log.checkpoint); !report.OK || report.Size != tamperedSize+1 {
		t.Errorf("after a start: %s", show(report))
	}
	e, err := log.with.At(t.Context(), tamperedSize)
	if err != nil || e == nil || e.Event != audit.AuditCut || e.Outcome != audit.OK {
		t.Errorf("on record is %+v, %v", e, err)
	}
}

// What is left of a full segment when its lines are pruned is on the disk before another
// begins, also where it is worked out at a start.
func TestAFullSegmentIsSyncedAtAStart(t *testing.T) {
	d := newDisk()
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	appendPredictions(t, l, 16)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"000000000000.checkpoint", "000000000000.hashes", "roots"} { // the power failed
		if err := os.Truncate(filepath.Join(cfg.Dir, name), 0); err != nil {
			t.Fatal(err)
		}
	}
	cfg.OpenFile = d.open
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	d.unsynced.Range(func(path, _ any) bool {
		t.Errorf("%v was not synced", path)
		return true
	})
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Size != 16 {
		t.Error(show(report))
	}
}

// What was written behind the last checkpoint is genuine when it opens under the
// keys of the log, and is taken over.
func TestLinesThatNoCheckpointCoversAreTakenOver(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	appendPredictions(t, l, 20)
	older := readFiles(t, cfg.Dir)
	appendPredictions(t, l, 5)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	log := &tampered{dir: cfg.Dir}
	for _, ext := range []string{".checkpoint", ".hashes"} {
		name := "000000000016" + ext
		log.write(t, map[string][]byte{name: older[name]})
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Size != 25 {
		t.Error(show(report))
	}
	bare := cfg
	bare.KEK = nil
	if report := verify(t, audit.NewReader(bare), nil); report.OK || *report.FirstBad != 20 {
		t.Errorf("without the keys: %s", show(report))
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "roots"), nil, 0o600); err != nil { // is worked out again
		t.Fatal(err)
	}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, audit.NewReader(bare), nil); !report.OK || report.Size != 25 {
		t.Errorf("after a start: %s", show(report))
	}
}
