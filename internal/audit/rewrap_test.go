package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"onnxgate/internal/audit"
)

// keyFile is the file of the key-encryption key: the present one, and perhaps the
// former.
type keyFile struct{ lines atomic.Pointer[[]kek] }

func (f *keyFile) write(lines ...kek) { f.lines.Store(&lines) }

// kept are the keys that were read from a file.
type kept struct {
	file *keyFile
	keks []kek
}

func (f *keyFile) read() kept { return kept{f, *f.lines.Load()} }

func (k kept) Again() (audit.Wrapper, error) { return k.file.read(), nil }

func (k kept) Wrap(use, tenant, id string, key []byte) []byte {
	return k.keks[0].Wrap(use, tenant, id, key)
}

func (k kept) Wrapped(use, tenant, id string, wrapped []byte) bool {
	return k.keks[0].Wrapped(use, tenant, id, wrapped)
}

func (k kept) Unwrap(use, tenant, id string, wrapped []byte) (key []byte, err error) {
	for _, one := range k.keks {
		if key, err = one.Unwrap(use, tenant, id, wrapped); err == nil {
			break
		}
	}
	return key, err
}

// opened counts the keys in the directory of a log that a key-encryption key opens.
func opened(t *testing.T, dir string, key kek) (count int) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "keys", "*"))
	more, wrong := filepath.Glob(filepath.Join(dir, "keys", ".*"))
	if err = errors.Join(err, wrong); err != nil || len(paths) == 0 {
		t.Fatalf("%d files of keys: %v", len(paths), err)
	}
	for _, path := range append(paths, more...) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if key.Wrapped("audit log", "", "", data) {
			count++
		}
		for line := range bytes.Lines(data) {
			var tenant struct {
				Tenant string
				Key    []byte
			}
			if json.Unmarshal(line, &tenant) == nil && key.Wrapped("audit tenant", tenant.Tenant, "", tenant.Key) {
				count++
			}
		}
	}
	return count
}

// wantCounted counts the keys of a log that each of the two lines has wrapped.
func wantCounted(t *testing.T, cfg audit.Config, present, former int) {
	t.Helper()
	if first, second, err := audit.CountWrapped(cfg.Dir, cfg.KEK); err != nil || first != present || second != former {
		t.Errorf("%d and %d keys, %v; want %d and %d", first, second, err, present, former)
	}
}

func recordOf(t *testing.T, l *audit.Log, tenants ...string) {
	t.Helper()
	for _, tenant := range tenants {
		if err := l.Record(t.Context(), &audit.Record{Event: audit.UserAdd, Actor: "root", Tenant: tenant, Outcome: audit.OK}); err != nil {
			t.Fatal(err)
		}
	}
}

// A server goes on with whatever it knew of the key-encryption key, and wraps
// nothing under the one that is rotated away.
func TestARewrappedLogNeedsTheFormerKeyNoMore(t *testing.T) {
	old, fresh := newKEK(t, 1), newKEK(t, 2)
	for name, known := range map[string][]kek{
		"it knew the former alone":       {old},
		"it knew the new one, to open":   {old, fresh},
		"it knew both, before it was so": {fresh, old},
	} {
		t.Run(name, func(t *testing.T) {
			cfg, file := config(t, t.TempDir()), &keyFile{}
			file.write(old)
			cfg.KEK = file.read()
			first := open(t, cfg)
			recordOf(t, first, "acme", "globex")
			file.write(known...)
			cfg.KEK = file.read()
			server := open(t, cfg)
			recordOf(t, server, "initech")
			file.write(fresh, old)
			before := opened(t, cfg.Dir, old)
			wantCounted(t, cfg, opened(t, cfg.Dir, fresh), before)
			if n, err := audit.Rewrap(cfg.Dir, cfg.KEK); err != nil || n != before || before < 3 {
				t.Fatalf("rewrapped %d of %d: %v", n, before, err)
			}
			wantCounted(t, cfg, opened(t, cfg.Dir, fresh), 0)
			recordOf(t, server, "hooli", "acme")
			file.write(fresh)
			recordOf(t, server, "umbrella", "globex")
			recordOf(t, first, "soylent")
			if n := opened(t, cfg.Dir, old); n > 0 {
				t.Errorf("the former key opens %d keys", n)
			}
			if n := opened(t, cfg.Dir, fresh); n != 7 {
				t.Errorf("the new key opens %d keys", n)
			}
			if err := errors.Join(first.Close(), server.Close()); err != nil {
				t.Error(err)
			}
			cfg.KEK = file.read()
			recordOf(t, open(t, cfg), "acme")
			if report := verify(t, audit.NewReader(cfg), nil); !report.OK || len(entries(t, cfg, audit.AnyTenant)) != 9 {
				t.Error(show(report))
			}
		})
	}
}

// Nothing but the key of the log tells a server then that there is another.
func TestTheFirstTenantAfterARewrappingIsWrappedUnderTheNewKey(t *testing.T) {
	old, fresh := newKEK(t, 1), newKEK(t, 2)
	cfg, file := config(t, t.TempDir()), &keyFile{}
	file.write(old)
	cfg.KEK = file.read()
	server := open(t, cfg)
	file.write(fresh, old)
	if n, err := audit.Rewrap(cfg.Dir, cfg.KEK); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	file.write(fresh)
	recordOf(t, server, "acme")
	if n, m := opened(t, cfg.Dir, old), opened(t, cfg.Dir, fresh); n != 0 || m != 2 {
		t.Errorf("the former key opens %d keys, the new one %d", n, m)
	}
}

// A process that was killed wherever leaves keys under both, which the next
// rewrapping ends, and files that were not put into place, which it removes.
func TestARewrappingThatWasKilledIsEndedByTheNext(t *testing.T) {
	old, fresh := newKEK(t, 1), newKEK(t, 2)
	for _, undone := range []string{"log", "tenants.jsonl"} {
		cfg, file := config(t, t.TempDir()), &keyFile{}
		file.write(old)
		cfg.KEK = file.read()
		server := open(t, cfg)
		recordOf(t, server, "acme")
		path := filepath.Join(cfg.Dir, "keys", undone)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file.write(fresh, old)
		if _, err := audit.Rewrap(cfg.Dir, cfg.KEK); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.WriteFile(path, before, 0o600), os.WriteFile(filepath.Join(cfg.Dir, "keys", ".new-1"), before, 0o600)); err != nil {
			t.Fatal(err)
		}
		recordOf(t, server, "globex", "acme")
		if n := opened(t, cfg.Dir, old); n == 0 {
			t.Errorf("%s: nothing is wrapped under the former key", undone)
		}
		if _, err := audit.Rewrap(cfg.Dir, cfg.KEK); err != nil {
			t.Fatal(err)
		}
		file.write(fresh)
		recordOf(t, server, "initech")
		if n, m := opened(t, cfg.Dir, old), opened(t, cfg.Dir, fresh); n != 0 || m != 4 {
			t.Errorf("%s: the former key opens %d keys, the new one %d", undone, n, m)
		}
		if report := verify(t, audit.NewReader(cfg), nil); !report.OK || len(entries(t, cfg, audit.AnyTenant)) != 4 {
			t.Error(show(report))
		}
	}
}

func TestALogThatAnotherKeyWrappedIsNotRewrapped(t *testing.T) {
	cfg, file := config(t, t.TempDir()), &keyFile{}
	file.write(newKEK(t, 1))
	cfg.KEK = file.read()
	recordOf(t, open(t, cfg), "acme")
	file.write(newKEK(t, 3), newKEK(t, 2))
	if n, err := audit.Rewrap(cfg.Dir, cfg.KEK); err == nil || n > 0 {
		t.Errorf("%d, %v", n, err)
	}
	if _, _, err := audit.CountWrapped(cfg.Dir, cfg.KEK); err == nil || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("counted: %v", err)
	}
	if n := opened(t, cfg.Dir, newKEK(t, 1)); n != 2 {
		t.Errorf("its key opens %d", n)
	}
	if n, err := audit.Rewrap(filepath.Join(t.TempDir(), "none"), cfg.KEK); err != nil || n > 0 {
		t.Errorf("where there is no log: %d, %v", n, err)
	}
	if n, m, err := audit.CountWrapped(filepath.Join(t.TempDir(), "none"), cfg.KEK); err != nil || n+m > 0 {
		t.Errorf("where there is no log: %d and %d, %v", n, m, err)
	}
}
