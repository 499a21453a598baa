package sealing_test

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
)

// outside is a log whose keys are wrapped beside the store: so many by each line of the
// file.
type outside struct {
	first, second int
	rewrap        func() error
}

func (o *outside) Count() (first, second int, err error) { return o.first, o.second, nil }

func (o *outside) Rewrap() (int, error) {
	if o.rewrap != nil {
		if err := o.rewrap(); err != nil {
			return 0, err
		}
	}
	count := o.second
	o.first, o.second = o.first+count, 0
	return count, nil
}

// The keys of an installation, in the order in which they are made.
var keyA, keyB, keyC = kekLine(1), kekLine(50), kekLine(100)

// kekLine is the line of a key: bytes that count from one.
func kekLine(from byte) string {
	secret := make([]byte, seal.KeySize)
	for i := range secret {
		secret[i] = from + byte(i)
	}
	return base64.StdEncoding.EncodeToString(secret) + "\n"
}

// installation is a store, and the file of its key-encryption key.
type installation struct {
	*memory

	t    *testing.T
	file string
	log  *ledger
	*outside
}

func install(t *testing.T) *installation {
	t.Helper()
	return &installation{&memory{}, t, kekFile(t), &ledger{}, &outside{}}
}

func (in *installation) write(lines ...string) {
	in.t.Helper()
	if err := os.WriteFile(in.file, []byte(strings.Join(lines, "")), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

func (in *installation) config() sealing.Config {
	return sealing.Config{Store: in.memory, KEKFile: in.file, Outside: in.outside, Audit: in.log, Now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
}

// seals has a server make a key for a tenant.
func (in *installation) seals(tenant string) {
	in.t.Helper()
	sealText(in.t, open(in.t, in.config()), tenant, "text")
}

// rotates does what the command does, with the file as it is.
func (in *installation) rotates(own bool) (sealing.KEKRotation, error) {
	in.t.Helper()
	s, err := sealing.New(in.t.Context(), in.config())
	if err != nil {
		in.t.Fatal(err)
	}
	return s.RotateKEK(in.t.Context(), "ann", own)
}

// rotated is rotates for what must not fail.
func (in *installation) rotated(own bool) {
	in.t.Helper()
	if _, err := in.rotates(own); err != nil {
		in.t.Fatal(err)
	}
}

// breaksOff has a rotation wrap what is in the store, and no more.
func (in *installation) breaksOff(own bool) {
	in.t.Helper()
	broken := errors.New("broken")
	in.rewrap = func() error { return broken }
	if _, err := in.rotates(own); !errors.Is(err, broken) {
		in.t.Fatal(err)
	}
	in.rewrap = nil
}

// lines returns what the file holds.
func (in *installation) lines() string {
	in.t.Helper()
	data, err := os.ReadFile(in.file)
	if err != nil {
		in.t.Fatal(err)
	}
	return string(data)
}

// opensUnder says which of the keys have wrapped something of the store.
func (in *installation) opensUnder() (names string) {
	in.t.Helper()
	for name, line := range map[string]string{"A": keyA, "B": keyB, "C": keyC} {
		secret, err := base64.StdEncoding.DecodeString(strings.TrimSpace(line))
		if err != nil {
			in.t.Fatal(err)
		}
		key, err := seal.NewKEK(secret)
		if err != nil {
			in.t.Fatal(err)
		}
		if slices.ContainsFunc(in.records, func(r sealing.Record) bool { return key.Wrapped(sealing.Binding(&r.Key), r.Wrapped) }) {
			names += name
		}
	}
	sorted := strings.Split(names, "")
	slices.Sort(sorted)
	return strings.Join(sorted, "")
}

// TestARotationIsRecognisedForWhatItIs: one that is due, was interrupted, has ended, or
// has its lines swapped, in a file of the operator's and in one of the server's own.
func TestARotationIsRecognisedForWhatItIs(t *testing.T) {
	for name, c := range map[string]struct {
		own     bool
		arrange func(*installation)
		want    sealing.KEKRotation
		// refused is what the error says; then nothing is changed.
		refused []string
		// lines are what the file holds afterwards, where it is not as it was, and opens
		// the keys that open something.
		lines, opens string
	}{
		"the operator's, due": {
			arrange: func(in *installation) { in.write(keyB, keyA) },
			want:    sealing.KEKRotation{Wrapped: 1}, opens: "B",
		},
		"the operator's, done": {
			arrange: func(in *installation) { in.write(keyB, keyA); in.rotated(false) },
			want:    sealing.KEKRotation{Nothing: true}, opens: "B",
		},
		"the operator's, of a second server whose log is left": {
			arrange: func(in *installation) { in.write(keyB, keyA); in.rotated(false); in.second = 3 },
			want:    sealing.KEKRotation{Wrapped: 3}, opens: "B",
		},
		"the operator's, interrupted": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.second = 2
				in.breaksOff(false)
			},
			want: sealing.KEKRotation{Wrapped: 2}, opens: "B",
		},
		"the operator's, done, and a server with the lines of before has wrapped again": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.rotated(false)
				in.write(keyA, keyB)
				in.seals("globex")
				in.write(keyB, keyA)
			},
			want: sealing.KEKRotation{Wrapped: 1}, opens: "B",
		},
		"the operator's, the new key on the second line": {
			arrange: func(in *installation) { in.write(keyA, keyB) },
			refused: []string{"never was", "put it on the first line", "still needed"}, opens: "A",
		},
		"the operator's, the new key on the second line here, and on the first at a server": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.seals("globex")
				in.write(keyA, keyB)
			},
			refused: []string{"are swapped"}, opens: "AB",
		},
		"the operator's, swapped after it was done": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.rotated(false)
				in.write(keyA, keyB)
			},
			refused: []string{"are swapped", "2027-01-15T08:00:00Z"}, opens: "B",
		},
		"the operator's, swapped after it was interrupted": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.second = 2
				in.breaksOff(false)
				in.write(keyA, keyB)
			},
			refused: []string{"are swapped"}, opens: "B",
		},
		"the operator's, a key that was rotated away twice ago": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.rotated(false)
				in.write(keyC, keyB)
				in.rotated(false)
				in.write(keyA, keyC)
			},
			refused: []string{"are swapped"}, opens: "C",
		},
		"the operator's, without the former key": {
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.rotated(false)
				in.write(keyB)
			},
			refused: []string{"holds one key", "in use since 2027-01-15T08:00:00Z", "openssl rand"}, opens: "B",
		},
		"the operator's, of a program that did not note its keys": {
			arrange: func(in *installation) { in.write(keyB, keyA); in.keks = nil },
			want:    sealing.KEKRotation{Wrapped: 1}, opens: "B",
		},
		"the operator's, done by a program that did not note its keys": {
			arrange: func(in *installation) { in.write(keyB, keyA); in.rotated(false); in.keks = nil },
			refused: []string{"as far as is known", "if it is a former one, remove its line"}, opens: "B",
		},
		"the operator's, with nothing that is wrapped": {
			arrange: func(in *installation) { in.write(keyB, keyA); in.records, in.keks = nil, nil },
			want:    sealing.KEKRotation{Nothing: true},
		},
		"the server's, interrupted before anything was wrapped": {
			own:     true,
			arrange: func(in *installation) { in.write(keyB, keyA) },
			want:    sealing.KEKRotation{Wrapped: 1, Resumed: true}, lines: keyB, opens: "B",
		},
		"the server's, interrupted before the former key was removed": {
			own:     true,
			arrange: func(in *installation) { in.write(keyB, keyA); in.rotated(false) },
			want:    sealing.KEKRotation{Resumed: true}, lines: keyB, opens: "B",
		},
		"the server's, a key of somebody's on the second line": {
			own:     true,
			arrange: func(in *installation) { in.write(keyA, keyB) },
			refused: []string{"never was"}, opens: "A",
		},
		"the server's, swapped by hand": {
			own: true,
			arrange: func(in *installation) {
				in.write(keyB, keyA)
				in.rotated(false)
				in.write(keyA, keyB)
			},
			refused: []string{"are swapped"}, opens: "B",
		},
		"the server's, two keys and nothing that is wrapped": {
			own:     true,
			arrange: func(in *installation) { in.write(keyB, keyA); in.records, in.keks = nil, nil },
			want:    sealing.KEKRotation{Nothing: true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			in.write(keyA)
			in.seals("acme")
			c.arrange(in)
			before, keks := in.lines(), slices.Clone(in.keks)
			if c.lines == "" {
				c.lines = before
			}
			got, err := in.rotates(c.own)
			if got.Wrapped != c.want.Wrapped || got.Resumed != c.want.Resumed || err == nil && got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
			if (err != nil) != (len(c.refused) > 0) || err != nil && kindOf(err) != fault.Conflict {
				t.Errorf("%v", err)
			}
			for _, word := range c.refused {
				if err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), in.file) {
					t.Errorf("%v, want %q", err, word)
				}
			}
			if err != nil && !cmp.Equal(keks, in.keks) {
				t.Errorf("refused, and %+v are noted, %+v before", in.keks, keks)
			}
			if after := in.lines(); after != c.lines {
				t.Errorf("the file holds %q, want %q", after, c.lines)
			}
			if opens := in.opensUnder(); opens != c.opens {
				t.Errorf("the keys %q open something, want %q", opens, c.opens)
			}
		})
	}
}

// TestTheServersOwnKeyIsReplacedEachTime, and every one is noted, with nothing wrapped
// in between, too.
func TestTheServersOwnKeyIsReplacedEachTime(t *testing.T) {
	in := install(t)
	in.write(keyA)
	seen := map[string]bool{in.lines(): true}
	for range 3 {
		in.rotated(true)
		seen[in.lines()] = true
	}
	if len(seen) != 4 || len(in.keks) != 4 || strings.Count(in.lines(), "\n") != 1 {
		t.Errorf("%d keys, of which %+v are noted, and %d lines", len(seen), in.keks, strings.Count(in.lines(), "\n"))
	}
}

// failing keeps records, but for those of whose number it says so.
type failing struct {
	ledger

	count int
	fails map[int]bool
}

var errFull = fault.New(fault.Unavailable, "The audit log is full")

func (l *failing) Record(ctx context.Context, r *audit.Record) error {
	l.count++
	if l.fails[l.count] {
		return errFull
	}
	return l.ledger.Record(ctx, r)
}

// TestRecordsSayHowARotationEnded: nothing is done without a record that it began, and
// what was done says how it ended.
func TestRecordsSayHowARotationEnded(t *testing.T) {
	for name, c := range map[string]struct {
		lines []string
		fails int
		wrong error
		// records are the outcomes, and wraps the key that has wrapped what there is.
		records []string
		wraps   string
		err     string
	}{
		"done":                    {lines: []string{keyB, keyA}, records: []string{"begun", "ok"}, wraps: "B"},
		"failed":                  {lines: []string{keyB, keyA}, wrong: fault.New(fault.Unavailable, "the disk is away"), records: []string{"begun", "unavailable"}, wraps: "B", err: "the disk is away"},
		"no record of a begin":    {lines: []string{keyB, keyA}, fails: 1, wraps: "A", err: "The audit log is full"},
		"no record of an end":     {lines: []string{keyB, keyA}, fails: 2, records: []string{"begun"}, wraps: "B", err: "is not on record, and that it began is"},
		"refused, nothing begins": {lines: []string{keyA, keyB}, wraps: "A", err: "never was"},
	} {
		t.Run(name, func(t *testing.T) {
			in := install(t)
			in.write(keyA)
			in.seals("acme")
			in.write(c.lines...)
			in.rewrap = func() error { return c.wrong }
			log := &failing{fails: map[int]bool{c.fails: true}}
			cfg := in.config()
			cfg.Audit = log
			s, err := sealing.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			if _, err = s.RotateKEK(t.Context(), "ann", false); (err != nil) != (c.err != "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%v, want %q", err, c.err)
			}
			var outcomes []string
			for _, r := range log.records {
				if r.Event != audit.KeyRotate || r.Object != "kek" || r.Actor != "ann" {
					t.Errorf("a record %+v", r)
				}
				outcomes = append(outcomes, r.Outcome)
			}
			if diff := cmp.Diff(c.records, outcomes); diff != "" {
				t.Error(diff)
			}
			if opens := in.opensUnder(); opens != c.wraps {
				t.Errorf("%q have wrapped what there is, want %q", opens, c.wraps)
			}
		})
	}
}

// TestAServersOwnFileIsLeftAloneWithoutARecord: not even a new key is put there.
func TestAServersOwnFileIsLeftAloneWithoutARecord(t *testing.T) {
	in := install(t)
	in.write(keyA)
	in.seals("acme")
	in.log.full = true
	if _, err := in.rotates(true); kindOf(err) != fault.Unavailable {
		t.Error(err)
	}
	if now := in.lines(); now != keyA || in.opensUnder() != "A" {
		t.Errorf("the file holds %q", now)
	}
}

// TestWhatIsLeftOfARotationIsSaid without anything being done.
func TestWhatIsLeftOfARotationIsSaid(t *testing.T) {
	in := install(t)
	in.write(keyA)
	in.seals("acme")
	says := func(want string, lines ...string) {
		t.Helper()
		in.write(lines...)
		text, err := sealing.FormerKEK(t.Context(), in.config())
		if err != nil || want == "" && text != "" || !strings.Contains(text, want) {
			t.Errorf("%q, %v; want %q", text, err, want)
		}
	}
	says("", keyA)
	says("and has not yet (keys that are wrapped under that: 1); run onnxgate keys rotate --use kek", keyB, keyA)
	says("never was", keyA, keyB)
	in.write(keyB, keyA)
	in.rotated(false)
	says("; remove that line", keyB, keyA)
	says("are swapped", keyA, keyB)
	if _, err := os.Stat(in.file + ".none"); err == nil {
		t.Fatal("there is a file")
	}
	in.file += ".none"
	if text, err := sealing.FormerKEK(t.Context(), in.config()); text != "" || err != nil {
		t.Errorf("without a file: %q, %v", text, err)
	}
}

// A rotation that broke off before anything was noted, of a key that had wrapped the
// audit log alone, goes on also where the server has wrapped something since.
func TestARotationOfAKeyThatWrappedTheLogAloneGoesOn(t *testing.T) {
	for _, own := range []bool{false, true} {
		in := install(t)
		in.second = 2
		in.write(keyB, keyA)
		in.seals("acme")
		got, err := in.rotates(own)
		if want := (sealing.KEKRotation{Wrapped: 2, Resumed: own}); err != nil || got != want {
			t.Errorf("own %v: %+v, %v, want %+v", own, got, err, want)
		}
		if in.first != 2 || in.opensUnder() != "B" {
			t.Errorf("own %v: %d of the log and %s of the store open under the new key", own, in.first, in.opensUnder())
		}
	}
}
