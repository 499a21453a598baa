package regular_test

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/regular"
)

func stampOf(t *testing.T, name string) regular.Stamp {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return regular.StampOf(info)
}

func TestAStampTellsOfEveryChange(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	write := func(at, text string) {
		t.Helper()
		if err := os.WriteFile(at, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(name, "one")
	before := stampOf(t, name)
	if stampOf(t, name) != before {
		t.Fatal("a file that has not changed has another stamp")
	}
	long := time.Unix(1_000_000, 0)
	changes := map[string]func(){
		"another size": func() { write(name, "three") },
		"another time": func() {
			if err := os.Chtimes(name, long, long); err != nil {
				t.Fatal(err)
			}
		},
	}
	if runtime.GOOS == "linux" {
		changes["another file of the same size and time"] = func() {
			old := stampOf(t, name)
			write(name+".new", "n3w!!")
			if err := os.Chtimes(name+".new", time.Time{}, time.Unix(0, old.Modified)); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(name+".new", name); err != nil {
				t.Fatal(err)
			}
			if now := stampOf(t, name); now.Size != old.Size || now.Modified != old.Modified {
				t.Fatal("the test changed more than the file")
			}
		}
	}
	for _, what := range []string{"another size", "another time", "another file of the same size and time"} {
		change, ok := changes[what]
		if !ok {
			continue
		}
		before := stampOf(t, name)
		change()
		if stampOf(t, name) == before {
			t.Errorf("%s: the stamp is the same", what)
		}
	}
}

func TestAStampIsSettledWhenTheClockHasMovedOn(t *testing.T) {
	s := regular.Stamp{Modified: time.Unix(100, 0).UnixNano()}
	if s.Settled(time.Unix(102, 0)) || !s.Settled(time.Unix(103, 0)) {
		t.Error("two seconds may be one step of a clock, three are not")
	}
	if s.Changed = time.Unix(103, 0).UnixNano(); s.Settled(time.Unix(103, 0)) {
		t.Error("a change of the file behind its time of modification is forgotten")
	}
	info, err := fstest.MapFS{"f": {}}.Stat("f")
	if err != nil {
		t.Fatal(err)
	}
	if regular.StampOf(info).Settled(time.Now()) {
		t.Error("a file without times is settled")
	}
}
