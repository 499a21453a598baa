package audit_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"onnxgate/internal/audit"
	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/fault"
)

var march = time.Date(2026, time.March, 1, 0, 0, 0, 0, time.UTC)

// fillAged records n predictions, those before the last few of January.
func fillAged(tb testing.TB, l *audit.Log, n, few int) {
	tb.Helper()
	for i := range n {
		rec := prediction("user-" + strconv.Itoa(i%5))
		if i < n-few {
			rec.Time = time.Date(2026, time.January, 28, 0, 0, i, 0, time.UTC)
		}
		if err := l.Record(tb.Context(), rec); err != nil {
			tb.Fatal(err)
		}
	}
}

// prunedAt is the record that says what fillPruned pruned.
const prunedAt = 45

// fillPruned fills a log of tamperedSize records of which 32 have no lines any more.
func fillPruned(tb testing.TB, l *audit.Log) {
	tb.Helper()
	fillAged(tb, l, 44, 12) // nobody can say of a record that cannot be read whether it was hashed anew
	expire(tb, l)
	if n, err := l.Prune(tb.Context(), "local:root", march); n != 32 || err != nil {
		tb.Fatal(n, err)
	}
	for range tamperedSize - prunedAt - 1 {
		if err := l.Record(tb.Context(), prediction("ann")); err != nil {
			tb.Fatal(err)
		}
	}
}

func expire(tb testing.TB, l *audit.Log) {
	tb.Helper()
	if n, err := l.Expire(tb.Context(), "local:root", audit.AnyTenant, march); n == 0 || err != nil {
		tb.Fatal(n, err)
	}
}

// What nobody reads any more is not kept for ever; that it was there is.
func TestLinesOfExpiredSegmentsArePruned(t *testing.T) {
	log := newTamperedLog(t, fillPruned)
	cfg := config(t, log.dir)
	if got := strings.Join(log.segments, " "); got != "000000000032.jsonl 000000000048.jsonl" {
		t.Errorf("lines are in %s", got)
	}
	for _, r := range []*audit.Reader{log.with, log.without} {
		if report := verify(t, r, log.checkpoint); !report.OK || report.Size != tamperedSize || report.Pruned != 32 {
			t.Errorf("%+v", report)
		}
	}
	e, err := log.with.At(t.Context(), prunedAt)
	if err != nil || e.Event != audit.AuditPrune || e.Object != "0-31" || e.Count != 32 || e.Actor != "local:root" {
		t.Errorf("on record is %+v, %v", e, err)
	}
	var spans [][2]int64
	var read []int64
	next, err := log.with.Read(t.Context(), audit.Query{Tenant: audit.AnyTenant, Pruned: func(first, end int64) error {
		spans = append(spans, [2]int64{first, end})
		return nil
	}}, func(e *audit.Entry) error {
		read = append(read, e.Index)
		return nil
	})
	if err != nil || next != tamperedSize || len(spans) != 1 || spans[0] != [2]int64{0, 32} || len(read) != 28 || read[0] != 32 {
		t.Errorf("read %v, pruned %v, next %d, %v", read, spans, next, err)
	}
	if e, err = log.with.At(t.Context(), 7); err != nil || e.Missing != audit.MissingPruned {
		t.Fatalf("%+v, %v", e, err)
	}
	receipt, err := log.with.Receipt(t.Context(), e) // which proves the hash of the line
	if err != nil || receipt.Line != "" || len(receipt.Leaf) != 44 {
		t.Errorf("%+v, %v", receipt, err)
	}
	l := open(t, cfg)
	appendPredictions(t, l, 5)
	if n, err := l.Prune(t.Context(), "local:root", march); n != 0 || err != nil {
		t.Errorf("pruned again: %d, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, log.without, log.checkpoint); !report.OK || report.Size != tamperedSize+5 {
		t.Error(show(report))
	}
}

// Checkpoints from before what was pruned, and of a part of it, hold.
func TestAnOldCheckpointHoldsWhenItsRecordsArePruned(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	fillAged(t, l, 10, 0)
	checkpoint, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fillAged(t, l, 34, 4)
	expire(t, l)
	if n, err := l.Prune(t.Context(), "local:root", march); n != 32 || err != nil {
		t.Fatal(n, err)
	}
	if report := verify(t, audit.NewReader(cfg), checkpoint); !report.OK || *report.Continues != 10 {
		t.Error(show(report))
	}
	other := open(t, config(t, t.TempDir()))
	appendPredictions(t, other, 10)
	if report := verify(t, audit.NewReader(cfg), slices.Concat(checkpoint[:10], []byte("x"), checkpoint[10:])); report.OK {
		t.Error("a checkpoint that is none")
	}
}

func TestNothingIsPrunedThatSomebodyReads(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, l *audit.Log){
		"nothing expired": func(*testing.T, *audit.Log) {},
		"one tenant's alone": func(t *testing.T, l *audit.Log) {
			t.Helper()
			if n, err := l.Expire(t.Context(), "local:root", "default", march); n == 0 || err != nil {
				t.Fatal(n, err)
			}
		},
		"a person was erased, and the month goes on": func(t *testing.T, l *audit.Log) {
			t.Helper()
			for i := range 5 {
				if _, err := l.Erase(t.Context(), "local:root", audit.AnyTenant, "", "user-"+strconv.Itoa(i)); err != nil {
					t.Fatal(err)
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, t.TempDir())
			l := open(t, cfg)
			if err := l.Record(t.Context(), &audit.Record{Event: audit.ServerStart, Actor: "server", Tenant: "default", Time: march.AddDate(0, -2, 0), Outcome: audit.OK}); err != nil {
				t.Fatal(err)
			}
			fillAged(t, l, 40, 4)
			prepare(t, l)
			if n, err := l.Prune(t.Context(), "local:root", march); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Pruned != 0 {
				t.Error(show(report))
			}
		})
	}
}

// U01: lines that go without a record of it, or beyond what it says, are missed.
func TestLinesThatNoRecordSaysWerePrunedAreMissed(t *testing.T) {
	log := newTamperedLog(t, fillPruned)
	hashes := log.files["000000000016.hashes"]
	flipped := slices.Clone(hashes)
	flipped[77] ^= 4
	for name, c := range map[string]struct {
		change func() error
		want   int64
	}{
		"one segment more":           {func() error { return os.Remove(filepath.Join(log.dir, log.segments[0])) }, 0}, // and what says it
		"a hash of what was pruned":  {func() error { return os.WriteFile(filepath.Join(log.dir, "000000000016.hashes"), flipped, 0o600) }, 16},
		"hashes of what was pruned":  {func() error { return os.Remove(filepath.Join(log.dir, "000000000016.hashes")) }, 16},
		"fewer of them":              {func() error { return os.WriteFile(filepath.Join(log.dir, "000000000016.hashes"), hashes[:96], 0o600) }, 16},
		"the checkpoint of them":     {func() error { return os.Remove(filepath.Join(log.dir, "000000000000.checkpoint")) }, 0},
		"and the end of the log too": {func() error { return os.Remove(filepath.Join(log.dir, log.segments[1])) }, 48},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.change(); err != nil {
				t.Fatal(err)
			}
			defer log.write(t, log.files)
			for _, r := range []*audit.Reader{log.with, log.without} {
				if report := verify(t, r, nil); report.OK || report.FirstBad == nil || *report.FirstBad != c.want {
					t.Errorf("%s, want %d", show(report), c.want)
				}
			}
			if l, err := audit.Open(config(t, log.dir)); err == nil && !strings.Contains(name, "hash") && name != "fewer of them" && name != "the checkpoint of them" {
				t.Errorf("opened: %v", l.Close())
			}
		})
	}
}

// An attacker takes lines away of a log in which a record says so of others.
func TestMoreIsGoneThanARecordSays(t *testing.T) {
	log := newTamperedLog(t, func(tb testing.TB, l *audit.Log) {
		tb.Helper()
		fillPruned(tb, l)
		for range 40 { // so that the record stands behind what goes
			if err := l.Record(tb.Context(), prediction("ann")); err != nil {
				tb.Fatal(err)
			}
		}
	})
	if err := os.Remove(filepath.Join(log.dir, "000000000048.jsonl")); err != nil {
		t.Fatal(err)
	}
	for _, r := range []*audit.Reader{log.with, log.without} {
		if report := verify(t, r, nil); report.OK || report.FirstBad == nil || *report.FirstBad != 48 {
			t.Error(show(report))
		}
	}
	if l, err := audit.Open(config(t, log.dir)); err == nil {
		t.Errorf("opened: %v", l.Close())
	}
}

// C02: wherever a process is killed while it prunes, the log is whole, and the next one
// goes on.
func TestPruningThatIsKilledIsEndedByTheNext(t *testing.T) {
	cfg := config(t, memoryDir(t))
	l := open(t, cfg)
	fillAged(t, l, 44, 4)
	expire(t, l)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := readFiles(t, cfg.Dir)
	if _, err := l.Prune(t.Context(), "local:root", march); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	after := readFiles(t, cfg.Dir)
	var gone []string // in the order in which they went
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if _, left := after[name]; !left {
			gone = append(gone, name)
		}
	}
	slices.SortFunc(gone, func(a, b string) int {
		return strings.Compare(a[:12]+b[len(a)-1:], b[:12]+a[len(b)-1:]) // tags before lines
	})
	if len(gone) != 4 {
		t.Fatal(gone)
	}
	log := &tampered{dir: cfg.Dir}
	for n := range len(gone) + 1 {
		for _, hinted := range []bool{true, false} { // the file that says where it is said
			log.write(t, before)
			log.write(t, after)
			for _, name := range gone[:n] {
				if err := os.Remove(filepath.Join(cfg.Dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			if !hinted {
				if err := os.Remove(filepath.Join(cfg.Dir, "pruned")); err != nil {
					t.Fatal(err)
				}
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
				t.Errorf("%d files are gone: %s", n, show(report))
			}
			next := open(t, cfg)
			if _, err := next.Prune(t.Context(), "local:root", march); err != nil {
				t.Errorf("%d files are gone: %v", n, err)
			}
			if err := next.Close(); err != nil {
				t.Fatal(err)
			}
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Pruned != 32 {
				t.Errorf("%d files were gone: %s", n, show(report))
			}
		}
	}
}

// U05: a disk without room keeps every line, and whoever verifies meanwhile sees a log
// that is whole.
func TestPruningOnAFullDiskTakesNothingAway(t *testing.T) {
	d := newDisk()
	cfg := config(t, t.TempDir())
	cfg.OpenFile, cfg.Retry = d.open, time.Millisecond
	l := open(t, cfg)
	fillAged(t, l, 44, 4)
	expire(t, l)
	if _, err := l.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	refused := 0
	for room := int64(0); ; room += 25 {
		d.left.Store(room)
		n, err := l.Prune(t.Context(), "local:root", march)
		report := verify(t, audit.NewReader(cfg), nil)
		if err == nil && n == 32 && report.OK && report.Pruned == 32 {
			break
		}
		if refused++; n != 0 || fault.KindOf(err) != fault.Unavailable || !report.OK || report.Pruned != 0 {
			t.Fatalf("with room for %d bytes: %d, %v, %s", room, n, err, show(report))
		}
	}
	if refused < 10 {
		t.Errorf("refused %d times", refused)
	}
}

func TestALogVerifiesWhileItIsPruned(t *testing.T) {
	cfg := config(t, memoryDir(t))
	l := open(t, cfg)
	fillAged(t, l, 1000, 4)
	expire(t, l)
	view, err := ledger.Look(cfg.Dir, cfg.SegmentBits)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := l.Prune(t.Context(), "local:root", march)
		done <- err
	}()
	for pruning := true; pruning; {
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			pruning = false
		default:
		}
		if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
			t.Error(show(report))
		}
		if _, err := audit.NewReader(cfg).Read(t.Context(), audit.Query{Tenant: audit.AnyTenant}, func(*audit.Entry) error { return nil }); err != nil {
			t.Error(err)
		}
	}
	// Who looked before, and reads afterwards, is told to look again.
	key, err := ledger.PublishedKey(cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := view.Verify(t.Context(), ledger.Check{Verifier: verifier}); !errors.Is(err, ledger.ErrChanged) {
		t.Errorf("%v", err)
	}
}
