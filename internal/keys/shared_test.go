package keys_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/keys"
)

// memory is a store that several sets share, as servers share a database.
type memory struct {
	mu       sync.Mutex
	records  []keys.Record
	revision int64
	loads    int
	looks    int
	away     error
}

func (m *memory) Load(context.Context) ([]keys.Record, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.loads++
	return slices.Clone(m.records), m.away
}

func (m *memory) Revision(context.Context) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.looks++
	return m.revision, m.away
}

func (m *memory) Update(_ context.Context, change func([]keys.Record) ([]keys.Record, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return m.away
	}
	changed, err := change(slices.Clone(m.records))
	if err != nil {
		return err
	}
	for _, r := range changed {
		m.records = append(slices.DeleteFunc(m.records, func(have keys.Record) bool { return have.KID == r.KID }), r)
	}
	slices.SortFunc(m.records, func(a, b keys.Record) int { return strings.Compare(a.KID, b.KID) })
	m.revision++
	return nil
}

// sharing opens the keys of a store.
func sharing(t *testing.T, store keys.Store, now *time.Time, change ...func(*keys.Config)) *keys.Set {
	t.Helper()
	return clocked(t, "", now, append([]func(*keys.Config){func(c *keys.Config) { c.Store = store }}, change...)...)
}

// inFolder has a set open move the keys of a folder.
func inFolder(dir string) func(*keys.Config) { return func(c *keys.Config) { c.Dir = dir } }

// sameEverywhere compares what servers do with the keys.
func sameEverywhere(t *testing.T, sets ...*keys.Set) {
	t.Helper()
	for _, s := range sets {
		look(t, s)
		if s.Signer().KID != sets[0].Signer().KID {
			t.Errorf("%s signs here, %s there", s.Signer(), sets[0].Signer())
		}
		if diff := cmp.Diff(string(sets[0].JWKS()), string(s.JWKS())); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(sets[0].List(), s.List()); diff != "" {
			t.Error(diff)
		}
	}
}

func TestServersThatStartAtOnceMakeOneKey(t *testing.T) {
	store := &memory{}
	sets := make([]*keys.Set, 8)
	var wg sync.WaitGroup
	for i := range sets {
		wg.Go(func() {
			var err error
			if sets[i], err = keys.Open(t.Context(), keys.Config{Store: store, Algorithm: keys.ES256}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	sameEverywhere(t, sets...)
	if n := len(store.records); n != 1 {
		t.Errorf("%d keys were made", n)
	}
}

func TestServersFollowWhatOneDoesWithTheKeys(t *testing.T) {
	now := time.Now()
	store := &memory{}
	one, other := sharing(t, store, &now), sharing(t, store, &now)
	first := one.Signer().KID
	remembered, _ := other.Verifier(first)
	second := rotate(t, one, &now)
	sameEverywhere(t, one, other)
	if again, _ := other.Verifier(first); again != remembered || other.Signer().KID != second {
		t.Errorf("after a rotation: %v", states(other))
	}
	loads := store.loads
	for range 5 {
		look(t, other)
	}
	if store.loads != loads {
		t.Errorf("unchanged keys were read %d times", store.loads-loads)
	}
	if err := other.Retire(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	sameEverywhere(t, one, other, sharing(t, store, &now))
	if diff := cmp.Diff(map[string]keys.State{first: keys.Retired, second: keys.Active}, states(one)); diff != "" || verifies(one, first) {
		t.Errorf("after a retirement: %s", diff)
	}
	for _, r := range store.records {
		if r.Retired != (len(r.Private) == 0) {
			t.Errorf("the key %s keeps %d private bytes", r.KID, len(r.Private))
		}
	}
	for name, err := range map[string]error{"signs": one.Retire(t.Context(), second), "is unknown": one.Retire(t.Context(), "nobody's")} {
		if err == nil {
			t.Errorf("a key that %s was retired", name)
		}
	}
}

// A rotation that is due is made once, by whoever is first.
func TestServersThatShareKeysRotateOnTimeOnce(t *testing.T) {
	const every = 10 * 24 * time.Hour
	now := time.Now()
	store := &memory{}
	onTime := func(c *keys.Config) { c.RotateEvery = every }
	sets := []*keys.Set{sharing(t, store, &now, onTime), sharing(t, store, &now, onTime)}
	now = now.Add(every - time.Hour + time.Minute)
	var wg sync.WaitGroup
	for _, s := range sets {
		wg.Go(func() { _ = s.Look(t.Context()) })
	}
	wg.Wait()
	sameEverywhere(t, sets...)
	if len(store.records) != 2 {
		t.Errorf("%d keys, want the next beside the first", len(store.records))
	}
}

// unwritable is a store without a key-encryption key, which can be read.
type unwritable struct {
	*memory

	tries int
	err   error
}

func (u *unwritable) Update(ctx context.Context, change func([]keys.Record) ([]keys.Record, error)) error {
	u.tries++
	if u.err != nil {
		return u.err
	}
	return u.memory.Update(ctx, change)
}

// A rotation that fails is told at every look, tried now and then, and keeps nobody
// from following what others do.
func TestARotationThatFailsIsTriedNowAndThen(t *testing.T) {
	const every = 10 * 24 * time.Hour
	now := time.Now()
	store := &unwritable{memory: &memory{}}
	set := sharing(t, store, &now, func(c *keys.Config) { c.RotateEvery = every })
	other := sharing(t, store.memory, &now)
	store.tries, store.err = 0, errors.New("no key to wrap with")
	now = now.Add(every)
	for range 41 {
		if err := set.Look(t.Context()); !errors.Is(err, store.err) || set.Behind() != nil {
			t.Fatalf("%v, %v", err, set.Behind())
		}
		now = now.Add(250 * time.Millisecond)
	}
	if store.tries != 2 {
		t.Errorf("%d tries in ten seconds", store.tries)
	}
	rotate(t, other, &now) // which makes it again unneeded
	look(t, set)
	sameEverywhere(t, set, other)
}

func TestAStoreThatIsAwayLeavesTheKeysAsTheyWere(t *testing.T) {
	now := time.Now()
	store := &memory{}
	set := sharing(t, store, &now)
	kid := set.Signer().KID
	store.away = errors.New("away")
	if err := set.Look(t.Context()); !errors.Is(err, store.away) || set.Signer().KID != kid || !verifies(set, kid) {
		t.Errorf("%v: %v", err, states(set))
	}
	if _, err := keys.Open(t.Context(), keys.Config{Store: store}); !errors.Is(err, store.away) {
		t.Errorf("a start: %v", err)
	}
	store.away = nil
	if _, err := keys.Open(t.Context(), keys.Config{Store: &memory{}, Existing: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a command made a key: %v", err)
	}
}

func TestARecordThatDoesNotFitIsRefused(t *testing.T) {
	now := time.Now()
	good, foreign := &memory{}, &memory{}
	sharing(t, good, &now)
	sharing(t, foreign, &now)
	for name, change := range map[string]func(*keys.Record){
		"another name":               func(r *keys.Record) { r.KID = foreign.records[0].KID },
		"another public half":        func(r *keys.Record) { r.KID, r.Public = foreign.records[0].KID, foreign.records[0].Public },
		"another private half":       func(r *keys.Record) { r.Private = foreign.records[0].Private },
		"no private half":            func(r *keys.Record) { r.Private = nil },
		"no public half":             func(r *keys.Record) { r.Public = nil },
		"a private one that is none": func(r *keys.Record) { r.Private = r.Public },
	} {
		bad := &memory{records: slices.Clone(good.records)}
		change(&bad.records[0])
		if _, err := keys.Open(t.Context(), keys.Config{Store: bad}); err == nil || !strings.Contains(err.Error(), bad.records[0].KID) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func wantGone(t *testing.T, dir string) {
	t.Helper()
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		left, _ := os.ReadDir(dir)
		t.Errorf("the folder is still there, with %v (%v)", left, err)
	}
}

func TestKeyFilesAreMovedIntoTheStoreAsTheyAre(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "keys")
	files := clocked(t, dir, &now)
	ended := files.Signer().KID
	rotate(t, files, &now)
	former := files.Signer().KID
	rotate(t, files, &now)
	if err := files.Retire(t.Context(), ended); err != nil {
		t.Fatal(err)
	}
	want := files.List()
	store := &memory{}
	set := sharing(t, store, &now, inFolder(dir))
	if diff := cmp.Diff(want, set.List()); diff != "" {
		t.Error(diff)
	}
	if moved := set.Moved(); moved.Left != nil || len(moved.KIDs) != 3 || !verifies(set, former) || verifies(set, ended) {
		t.Errorf("moved %+v: %v", moved, states(set))
	}
	wantGone(t, dir)
	if moved := sharing(t, store, &now, inFolder(dir)).Moved(); len(moved.KIDs) > 0 {
		t.Errorf("a second start moved %v", moved.KIDs)
	}
}

// moves is what was told of keys that are moved.
type moves struct {
	told   []string
	refuse error
}

func (m *moves) moving(kids []string, failed error) error {
	m.told = append(m.told, strings.Join(kids, " ")+fmt.Sprint(" ", failed))
	return m.refuse
}

// lost is a store that takes no change in the end.
type lost struct{ *memory }

var errLost = errors.New("the connection was lost")

func (l lost) Update(ctx context.Context, change func([]keys.Record) ([]keys.Record, error)) error {
	return l.memory.Update(ctx, func(records []keys.Record) ([]keys.Record, error) {
		_, err := change(records)
		return nil, errors.Join(err, errLost)
	})
}

// TestKeysAreToldOfBeforeTheyAreMoved, and stay where they are without that.
func TestKeysAreToldOfBeforeTheyAreMoved(t *testing.T) {
	now, broken := time.Now(), errors.New("it cannot be put on record")
	for name, c := range map[string]struct {
		refuse error
		lost   bool
		told   []string
		err    error
	}{
		"moved":    {told: []string{"<nil>"}},
		"refused":  {refuse: broken, told: []string{"<nil>"}, err: broken},
		"not kept": {lost: true, told: []string{"<nil>", errLost.Error()}, err: errLost},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			kid := clocked(t, dir, &now).Signer().KID
			told, store := &moves{refuse: c.refuse}, &memory{}
			cfg := keys.Config{Store: store, Dir: dir, Moving: told.moving}
			if c.lost {
				cfg.Store = lost{store}
			}
			for range 2 { // a second start has nothing to move, or everything
				if _, err := keys.Open(t.Context(), cfg); !errors.Is(err, c.err) {
					t.Errorf("%v, want %v", err, c.err)
				}
			}
			if c.err != nil {
				c.told = append(c.told, c.told...)
			}
			for i := range c.told {
				c.told[i] = kid + " " + c.told[i]
			}
			if diff := cmp.Diff(c.told, told.told); diff != "" {
				t.Error(diff)
			}
			_, err := os.Stat(filepath.Join(dir, kid+".pem"))
			if kept := err == nil; kept != (c.err != nil) || len(store.records) != map[bool]int{true: 0, false: 1}[kept] {
				t.Errorf("the file is kept: %v; the store has %d keys", kept, len(store.records))
			}
		})
	}
}

// Servers that had key files of their own, or copies, come to share a store, also
// after one was killed when it had moved its keys and before it removed the files.
func TestKeyFilesOfSeveralServersAreMovedWithoutLosingAToken(t *testing.T) {
	now := time.Now()
	long := now
	dirs := []string{filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b"), filepath.Join(t.TempDir(), "copy")}
	a := clocked(t, dirs[0], &now)
	long = long.Add(-60 * 24 * time.Hour)
	b := clocked(t, dirs[1], &long)
	old := b.Signer().KID
	long = now.Add(-time.Minute)
	rotate(t, b, &long) // so that tokens of both are good
	if err := os.CopyFS(dirs[2], os.DirFS(dirs[0])); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dirs[2], a.Signer().KID+".pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	store := &memory{}
	first := sharing(t, store, &now, inFolder(dirs[0]))
	second := sharing(t, store, &now, inFolder(dirs[1]))
	third := sharing(t, store, &now, inFolder(dirs[2]))
	sameEverywhere(t, first, second, third)
	for _, kid := range []string{a.Signer().KID, b.Signer().KID, old} {
		if !verifies(first, kid) {
			t.Errorf("tokens of %s are lost: %v", kid, states(first))
		}
	}
	if first.Signer().KID != a.Signer().KID {
		t.Error("a key signs before the others know it")
	}
	now = now.Add(time.Second)
	sameEverywhere(t, first, second, third)
	if first.Signer().KID != b.Signer().KID || !verifies(first, a.Signer().KID) {
		t.Errorf("after a moment: %v", states(first))
	}
	if n := len(third.Moved().KIDs); n != 0 {
		t.Errorf("%d keys of a copy were moved", n)
	}
	for _, dir := range dirs {
		wantGone(t, dir)
	}
}

func TestKeyFilesThatCannotBeRemovedAreTold(t *testing.T) {
	now := time.Now()
	dir := filepath.Join(t.TempDir(), "keys")
	kid := clocked(t, dir, &now).Signer().KID
	if err := os.MkdirAll(filepath.Join(dir, kid+".retired", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	set := sharing(t, &memory{}, &now, inFolder(dir))
	if set.Moved().Left == nil || !verifies(set, kid) {
		t.Errorf("%+v, %v", set.Moved(), states(set))
	}
}

// While servers are restarted one by one under another algorithm, each verifies what
// the others sign, and in the end the former algorithm is gone.
func TestTheAlgorithmChangesServerByServer(t *testing.T) {
	now := time.Now()
	store := &memory{}
	es256 := func(c *keys.Config) { c.Algorithm = keys.ES256 }
	before := sharing(t, store, &now)
	now = now.Add(30 * 24 * time.Hour)
	after := sharing(t, store, &now, es256)
	look(t, before)
	for range 2 {
		for _, s := range []*keys.Set{before, after} {
			if !verifies(s, before.Signer().KID) || !verifies(s, after.Signer().KID) {
				t.Errorf("%s: %v", s.Signer(), states(s))
			}
		}
		now = now.Add(10 * time.Minute)
		look(t, before)
		look(t, after)
	}
	now = now.Add(24 * time.Hour)
	look(t, before)
	if !verifies(before, after.Signer().KID) {
		t.Error("a server that was left behind refuses what the others sign")
	}
	look(t, after)
	if diff := cmp.Diff([]string{after.Signer().KID}, published(t, after)); diff != "" {
		t.Errorf("a day later: %s", diff)
	}
}
