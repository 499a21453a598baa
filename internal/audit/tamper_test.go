package audit_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit"
)

// tampered is a log whose files somebody changes.
type tampered struct {
	dir      string
	files    map[string][]byte // as they were written
	segments []string          // names of the files of lines
	// checkpoint is what was handed out when the log was whole.
	checkpoint    []byte
	with, without *audit.Reader // the key-encryption key
}

const tamperedSize = 60 // three full segments of 16, and a part of one

func newTampered(tb testing.TB) *tampered {
	tb.Helper()
	return newTamperedLog(tb, fillTampered)
}

func fillTampered(tb testing.TB, l *audit.Log) {
	tb.Helper()
	for i := range tamperedSize {
		rec := prediction("user-" + strconv.Itoa(i%5))
		if i%7 == 0 {
			rec = &audit.Record{Event: audit.UserAdd, Actor: "root", Tenant: "acme", Object: "user-" + strconv.Itoa(i), Outcome: audit.OK}
		}
		if err := l.Record(tb.Context(), rec); err != nil {
			tb.Fatal(err)
		}
	}
}

func newTamperedLog(tb testing.TB, fill func(tb testing.TB, l *audit.Log)) *tampered {
	tb.Helper()
	cfg := config(tb, memoryDir(tb))
	l := open(tb, cfg)
	fill(tb, l)
	checkpoint, err := l.Checkpoint(tb.Context())
	if err == nil {
		err = l.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	bare := cfg
	bare.KEK = nil
	t := &tampered{dir: cfg.Dir, files: readFiles(tb, cfg.Dir), checkpoint: checkpoint, with: audit.NewReader(cfg), without: audit.NewReader(bare)}
	for _, name := range slices.Sorted(maps.Keys(t.files)) {
		if strings.HasSuffix(name, ".jsonl") {
			t.segments = append(t.segments, name)
		}
	}
	return t
}

// memoryDir is a directory in memory where there is one: a disk has nothing to add
// to thousands of small files that are written over and over.
func memoryDir(tb testing.TB) string {
	tb.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "onnxgate-audit-*") //nolint:usetesting // where that one is, is for the environment to say
	if err != nil {
		return tb.TempDir()
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func readFiles(tb testing.TB, dir string) map[string][]byte {
	tb.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !e.IsDir() && err == nil {
			files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
		}
	}
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

// write writes files in the place of those that there are.
func (t *tampered) write(tb testing.TB, files map[string][]byte) {
	tb.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(t.dir, name), data, 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func verify(tb testing.TB, r *audit.Reader, checkpoint []byte) *audit.Report {
	tb.Helper()
	report, err := r.Verify(tb.Context(), checkpoint)
	if err != nil {
		tb.Fatal(err)
	}
	return report
}

// lines returns the lines of a file, the last without its end where it has none.
func lines(data []byte) [][]byte { return slices.Collect(bytes.Lines(data)) }

// edits are what an attacker without the keys does to the lines of a segment.
var edits = map[string]func(r *rand.Rand, data []byte) []byte{
	"flip": func(r *rand.Rand, data []byte) []byte {
		data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		return data
	},
	"delete": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i := r.IntN(len(all))
		return slices.Concat(slices.Delete(all, i, i+1)...)
	},
	"insert": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i := r.IntN(len(all))
		forged := fmt.Appendf(nil, `{"index":%d,"time":"2026-03-14T12:00:00.000000Z","event":"predict","tenant":"acme","key":"AAAAAAAAAAAA","sealed":"AAAA"}`+"\n", i)
		return slices.Concat(slices.Insert(all, i, forged)...)
	},
	"duplicate": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i := r.IntN(len(all))
		return slices.Concat(slices.Insert(all, i, all[i])...)
	},
	"reorder": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i, j := r.IntN(len(all)), r.IntN(len(all)-1)
		if j >= i {
			j++
		}
		all[i], all[j] = all[j], all[i]
		return slices.Concat(all...)
	},
	"replace": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i := r.IntN(len(all))
		from := all[(i+1)%len(all)] // what another record says, under this one's index
		_, rest, _ := bytes.Cut(from, []byte(","))
		index, _, _ := bytes.Cut(all[i], []byte(","))
		all[i] = slices.Concat(index, []byte(","), rest)
		return slices.Concat(all...)
	},
	"cut": func(r *rand.Rand, data []byte) []byte { return data[:r.IntN(len(data))] },
	"older copy": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		return slices.Concat(all[:r.IntN(len(all))]...)
	},
	"join": func(r *rand.Rand, data []byte) []byte {
		all := lines(data)
		i := r.IntN(len(all))
		all[i][len(all[i])-1] = ' ' // in the place of its end
		return slices.Concat(all...)
	},
	"garbage": func(r *rand.Rand, data []byte) []byte {
		at := r.IntN(len(data))
		return slices.Concat(data[:at], make([]byte, 1+r.IntN(200)), data[at:])
	},
}

// firstDifference returns the index of the first record that is not as it was.
func firstDifference(first int64, before, after []byte) int64 {
	was, is := lines(before), lines(after)
	for i := range was {
		if i >= len(is) || !bytes.Equal(was[i], is[i]) {
			return first + int64(i)
		}
	}
	return first + int64(len(was))
}

// rehash works out the stored hashes of changed lines anew, as whoever has no key
// can.
func (t *tampered) rehash(segment int, data []byte) map[string][]byte {
	name := strings.TrimSuffix(t.segments[segment], ".jsonl") + ".hashes"
	var hashes []byte
	for _, line := range lines(data) {
		h := tlog.RecordHash(bytes.TrimSuffix(line, []byte("\n")))
		hashes = append(hashes, h[:]...)
	}
	return map[string][]byte{name: hashes}
}

// first is the first record of a segment.
func (t *tampered) first(tb testing.TB, segment int) int64 {
	tb.Helper()
	first, err := strconv.ParseInt(strings.TrimSuffix(t.segments[segment], ".jsonl"), 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return first
}

// U01: whatever is done to the records, it is found, and the first wrong record is
// named, also where those before were pruned.
func TestEveryEditIsFoundAndTheFirstWrongRecordNamed(t *testing.T) {
	for name, fill := range map[string]func(tb testing.TB, l *audit.Log){"whole": fillTampered, "pruned": fillPruned} {
		t.Run(name, func(t *testing.T) {
			log := newTamperedLog(t, fill)
			for _, r := range []*audit.Reader{log.with, log.without} {
				if report := verify(t, r, log.checkpoint); !report.OK || report.Size != tamperedSize || report.FirstBad != nil {
					t.Fatalf("untouched: %+v", report)
				}
			}
			random := rand.New(rand.NewPCG(uint64(amount(t, "SEED", 1)), 0))
			done := 0
			for n := amount(t, "EDITS", 1000) / 2; done < n && !t.Failed(); done++ {
				log.edit(t, random, done)
			}
			t.Logf("in all: %d edits of a %s log, all found and placed", done, name)
		})
	}
}

// edit edits the log at random, and checks that it is found.
func (t *tampered) edit(tb testing.TB, random *rand.Rand, number int) {
	tb.Helper()
	kinds := slices.Sorted(maps.Keys(edits))
	kind, segment := kinds[number%len(kinds)], random.IntN(len(t.segments))
	name := t.segments[segment]
	changed := edits[kind](random, bytes.Clone(t.files[name]))
	if bytes.Equal(changed, t.files[name]) {
		tb.Fatalf("%s changed nothing", kind)
	}
	rehashed := random.IntN(4) == 0
	files := map[string][]byte{name: changed}
	if rehashed {
		maps.Copy(files, t.rehash(segment, changed))
	}
	t.write(tb, files)
	want := firstDifference(t.first(tb, segment), t.files[name], changed)
	what := fmt.Sprintf("%d: %s in %s, hashed anew: %v", number, kind, name, rehashed)
	report := verify(tb, t.with, nil)
	if report.OK || report.FirstBad == nil || *report.FirstBad != want && !t.unstated(*report.FirstBad, want, changed) {
		tb.Errorf("%s: %s, want %d", what, show(report), want)
	}
	// Without the keys, nobody can tell where hashes are wrong that were made anew.
	report = verify(tb, t.without, nil)
	if report.OK || report.FirstBad == nil ||
		(*report.FirstBad != want && !rehashed || *report.FirstBad/16 != want/16 && want%16 != 0) && !t.unstated(*report.FirstBad, want, changed) {
		tb.Errorf("%s, without the keys: %s, want %d", what, show(report), want)
	}
	for name := range files {
		t.write(tb, map[string][]byte{name: t.files[name]})
	}
}

// unstated reports whether the edit took the record away that says what was pruned, or
// hit the one that it is bound to: then nothing genuine says it, and all that was
// pruned is missing.
func (t *tampered) unstated(found, edited int64, changed []byte) bool {
	if t.first0() == 0 || found != 0 {
		return false
	}
	statement := lines(t.files[t.segments[0]])[prunedAt-t.first0()]
	return edited == prunedAt-1 || edited <= prunedAt && !bytes.Contains(changed, statement)
}

// first0 is the first record that has a line.
func (t *tampered) first0() int64 {
	first, _ := strconv.ParseInt(strings.TrimSuffix(t.segments[0], ".jsonl"), 10, 64)
	return first
}

func show(r *audit.Report) string {
	bad := "none"
	if r.FirstBad != nil {
		bad = strconv.FormatInt(*r.FirstBad, 10)
	}
	return fmt.Sprintf("ok %v, size %d, first bad %s: %s", r.OK, r.Size, bad, r.Reason)
}

func amount(tb testing.TB, name string, def int) int {
	tb.Helper()
	text := os.Getenv(name)
	if text == "" {
		return def
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Beside the records, too.
func TestEveryFlippedByteOfHashesAndCheckpointsIsFound(t *testing.T) {
	log := newTampered(t)
	for name, data := range log.files {
		if strings.HasSuffix(name, ".jsonl") || strings.HasSuffix(name, ".tags") || name == "lock" {
			continue // tags find records, and prove nothing
		}
		stride := 1
		if strings.HasSuffix(name, ".hashes") {
			stride = 7 // there are many, and they are all alike
		}
		for i := 0; i < len(data); i += stride {
			changed := bytes.Clone(data)
			changed[i] ^= 1 << (i % 8)
			log.write(t, map[string][]byte{name: changed})
			if report := verify(t, log.with, nil); report.OK {
				t.Errorf("byte %d of %s: not found", i, name)
			}
		}
		log.write(t, map[string][]byte{name: data})
	}
}

// What a log was when a checkpoint left it, it must have been ever since.
func TestAnOlderCopyIsFoundByALaterCheckpoint(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	appendPredictions(t, l, 40)
	older := readFiles(t, cfg.Dir)
	appendPredictions(t, l, 30)
	checkpoint, err := l.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name := range readFiles(t, cfg.Dir) {
		if _, ok := older[name]; !ok {
			if err := os.Remove(filepath.Join(cfg.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	log := &tampered{dir: cfg.Dir}
	log.write(t, older)
	r := audit.NewReader(cfg)
	if report := verify(t, r, nil); !report.OK || report.Size != 40 {
		t.Errorf("an older copy cannot be told by itself, and was: %s", show(report))
	}
	if report := verify(t, r, checkpoint); report.OK || report.FirstBad == nil || *report.FirstBad != 40 {
		t.Errorf("with a later checkpoint: %s", show(report))
	}
	if report := verify(t, r, bytes.Replace(checkpoint, []byte("\n70\n"), []byte("\n39\n"), 1)); report.OK {
		t.Error("a forged checkpoint was believed")
	}
}

// appendPredictions appends records that are on the disk then.
func appendPredictions(tb testing.TB, l *audit.Log, n int) {
	tb.Helper()
	for range n {
		if err := l.Record(tb.Context(), prediction("ann")); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := l.Checkpoint(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// A line behind the last checkpoint that does not open under the keys of the log is
// forged: it is found, and a start does not take it over but puts it aside.
func TestForgedLinesBehindTheLastCheckpointAreFoundAndNeverAdopted(t *testing.T) {
	last := func(data []byte) []byte { all := lines(data); return all[len(all)-1] }
	for name, forge := range map[string]func(data []byte) []byte{
		"no record": func([]byte) []byte { return []byte("hello\n") },
		"an unknown key": func([]byte) []byte {
			return []byte(`{"index":60,"time":"2026-03-14T12:00:00.000000Z","event":"predict","tenant":"acme","key":"AAAAAAAAAAAA","sealed":"AAAA"}` + "\n")
		},
		"a record again": last,
		"with its index": func(data []byte) []byte {
			return bytes.Replace(last(data), []byte(`"index":59`), []byte(`"index":60`), 1)
		},
		"longer than any": func([]byte) []byte { return append(bytes.Repeat([]byte("x"), 1<<20), '\n') },
	} {
		t.Run(name, func(t *testing.T) {
			log := newTampered(t)
			segment := log.segments[len(log.segments)-1]
			log.write(t, map[string][]byte{segment: append(bytes.Clone(log.files[segment]), forge(log.files[segment])...)})
			for _, r := range []*audit.Reader{log.with, log.without} {
				if report := verify(t, r, nil); report.OK || report.FirstBad == nil || *report.FirstBad != tamperedSize {
					t.Errorf("%s", show(report))
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
			if err != nil || e == nil || e.Event != audit.AuditCut || e.Outcome != "forged" {
				t.Errorf("on record is %+v, %v", e, err)
			}
			if found, err := filepath.Glob(filepath.Join(log.dir, "rejected-*")); len(found) != 1 || err != nil {
				t.Errorf("put aside: %v, %v", found, err)
			}
		})
	}
}

func TestALogThatIsNotWhatItsCheckpointsSayIsNotOpened(t *testing.T) {
	for name, change := range map[string]func(log *tampered) error{
		"a record is changed": func(log *tampered) error {
			data := bytes.Clone(log.files[log.segments[3]])
			data[30] ^= 1
			return os.WriteFile(filepath.Join(log.dir, log.segments[3]), data, 0o600)
		},
		"records are missing": func(log *tampered) error {
			return os.Truncate(filepath.Join(log.dir, log.segments[3]), 10)
		},
		"a segment is missing": func(log *tampered) error { return os.Remove(filepath.Join(log.dir, log.segments[1])) },
		"the key is missing":   func(log *tampered) error { return os.Remove(filepath.Join(log.dir, "keys", "log")) },
	} {
		t.Run(name, func(t *testing.T) {
			log := newTampered(t)
			if err := change(log); err != nil {
				t.Fatal(err)
			}
			if l, err := audit.Open(config(t, log.dir)); err == nil {
				t.Errorf("opened: %v", l.Close())
			}
		})
	}
}

func TestASegmentWhoseFilesAreTakenAwayIsMissed(t *testing.T) {
	for name, gone := range map[string][]string{
		"lines":                   {".jsonl"},
		"lines and hashes":        {".jsonl", ".hashes"},
		"lines and checkpoint":    {".jsonl", ".checkpoint"},
		"lines, and those behind": {".jsonl"},
	} {
		t.Run(name, func(t *testing.T) {
			log := newTampered(t)
			for i, lines := range log.segments {
				log.write(t, log.files)
				away := log.segments[i : i+1]
				if strings.HasSuffix(name, "behind") {
					away = log.segments[i:]
				}
				for _, lines := range away {
					for _, ext := range gone {
						if err := os.Remove(filepath.Join(log.dir, strings.TrimSuffix(lines, ".jsonl")+ext)); err != nil {
							t.Fatal(err)
						}
					}
				}
				for reader, r := range map[string]*audit.Reader{"with the keys": log.with, "without": log.without} {
					report := verify(t, r, nil)
					if want := int64(i * 16); report.OK || report.FirstBad == nil || *report.FirstBad != want {
						t.Errorf("%s, %s: %+v, want record %d to be missed", lines, reader, report, want)
					}
				}
				l, err := audit.Open(config(t, log.dir))
				if err == nil {
					_ = l.Close()
					t.Errorf("%s: the log is opened", lines)
				}
			}
		})
	}
}

// A last segment without a checkpoint is one whose process was killed before it signed
// the first: unless there are hashes of lines that are not there.
func TestACutEndIsNotTakenForOneThatIsNotYetSigned(t *testing.T) {
	for name, keep := range map[string]int{"one line is cut": 11, "all but one": 1, "all": 0, "none": 12} {
		t.Run(name, func(t *testing.T) {
			log := newTampered(t)
			segment := log.segments[len(log.segments)-1]
			checkpoint := filepath.Join(log.dir, strings.TrimSuffix(segment, ".jsonl")+".checkpoint")
			log.write(t, map[string][]byte{segment: slices.Concat(lines(log.files[segment])[:keep]...)})
			if err := os.Remove(checkpoint); err != nil {
				t.Fatal(err)
			}
			whole, report := keep == 12, verify(t, log.with, nil)
			if report.OK != whole || !whole && (report.FirstBad == nil || *report.FirstBad != int64(48+keep)) {
				t.Errorf("%s", show(report))
			}
			l, err := audit.Open(config(t, log.dir))
			if err == nil {
				err = l.Close()
			}
			if (err == nil) != whole {
				t.Errorf("a start: %v", err)
			}
		})
	}
}

// What could not be signed leaves no hashes behind, which would look like lines that
// somebody cut.
func TestLinesThatFailedLeaveNoHashes(t *testing.T) {
	disk, cfg := newDisk(), config(t, t.TempDir())
	cfg.OpenFile = disk.open
	other := config(t, t.TempDir())
	if err := open(t, other).Record(t.Context(), change(0)); err != nil {
		t.Fatal(err)
	}
	line, err := os.Stat(filepath.Join(other.Dir, "000000000000.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	l := open(t, cfg)
	disk.left.Store(line.Size() + 32 + 8 + 1) // and its hash, its tag and a byte of the checkpoint
	if err := l.Record(t.Context(), change(0)); err == nil {
		t.Fatal("it is on record")
	}
	_ = l.Close() // what it could not write is lost
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK || report.Size != 0 {
		t.Errorf("%s", show(report))
	}
}

func TestALogWithoutRecordsIsWarnedOf(t *testing.T) {
	log := newTampered(t)
	for name := range log.files {
		if name != "log.pub" && name != "lock" {
			if err := os.Remove(filepath.Join(log.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, r := range []*audit.Reader{log.with, log.without} {
		if report := verify(t, r, nil); !report.OK || report.Warning == "" {
			t.Errorf("%s", show(report))
		}
		if report := verify(t, r, log.checkpoint); report.OK {
			t.Error("a checkpoint signs records, and none is missed")
		}
	}
}
