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
	cfg := config(tb, memoryDir(tb))
	l := open(tb, cfg)
	for i := range tamperedSize {
		rec := prediction("user-" + strconv.Itoa(i%5))
		if i%7 == 0 {
			rec = &audit.Record{Event: audit.UserAdd, Actor: "root", Tenant: "acme", Object: "user-" + strconv.Itoa(i), Outcome: audit.OK}
		}
		if err := l.Record(tb.Context(), rec); err != nil {
			tb.Fatal(err)
		}
	}
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

// U01: whatever is done to the records, it is found, and the first wrong record is
// named.
func TestEveryEditIsFoundAndTheFirstWrongRecordNamed(t *testing.T) {
	log := newTampered(t)
	for _, r := range []*audit.Reader{log.with, log.without} {
		if report := verify(t, r, log.checkpoint); !report.OK || report.Size != tamperedSize || report.FirstBad != nil {
			t.Fatalf("untouched: %+v", report)
		}
	}
	random := rand.New(rand.NewPCG(uint64(amount(t, "SEED", 1)), 0))
	kinds := slices.Sorted(maps.Keys(edits))
	done := 0
	for n := amount(t, "EDITS", 1000); done < n; done++ {
		kind, segment := kinds[done%len(kinds)], random.IntN(len(log.segments))
		name := log.segments[segment]
		changed := edits[kind](random, bytes.Clone(log.files[name]))
		if bytes.Equal(changed, log.files[name]) {
			t.Fatalf("%s changed nothing", kind)
		}
		rehashed := random.IntN(4) == 0
		files := map[string][]byte{name: changed}
		if rehashed {
			maps.Copy(files, log.rehash(segment, changed))
		}
		log.write(t, files)
		want := firstDifference(int64(segment*16), log.files[name], changed)
		what := fmt.Sprintf("%d: %s in %s, hashed anew: %v", done, kind, name, rehashed)
		report := verify(t, log.with, nil)
		if report.OK || report.FirstBad == nil || *report.FirstBad != want {
			t.Errorf("%s: %s, want %d", what, show(report), want)
		}
		// Without the keys, nobody can tell where hashes are wrong that were made anew.
		report = verify(t, log.without, nil)
		if report.OK || report.FirstBad == nil || *report.FirstBad != want && !rehashed || *report.FirstBad/16 != want/16 && want%16 != 0 {
			t.Errorf("%s, without the keys: %s, want %d", what, show(report), want)
		}
		for name := range files {
			log.write(t, map[string][]byte{name: log.files[name]})
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("in all: %d edits, all found and placed", done)
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
		if strings.HasSuffix(name, ".jsonl") || name == "lock" {
			continue
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
