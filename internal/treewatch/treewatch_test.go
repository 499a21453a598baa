package treewatch_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"onnxgate/internal/treewatch"
)

// tolerant is far above what any of these takes.
const tolerant = 30 * time.Second

// watch watches a folder and returns what is told.
func watch(t *testing.T, cfg treewatch.Config) <-chan treewatch.Cause {
	t.Helper()
	told := make(chan treewatch.Cause, 1000)
	cfg.Changed = func(c treewatch.Cause) { told <- c }
	cfg.Degraded = func(err error) { t.Errorf("degraded: %v", err) }
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); treewatch.Watch(ctx, cfg) }()
	t.Cleanup(func() { cancel(); <-done })
	return told
}

// until waits for the cause.
func until(t *testing.T, told <-chan treewatch.Cause, want treewatch.Cause) {
	t.Helper()
	limit := time.After(tolerant)
	for {
		select {
		case got := <-told:
			if got == want {
				return
			}
		case <-limit:
			t.Fatalf("nobody was told of cause %d", want)
		}
	}
}

func write(t *testing.T, parts ...string) {
	t.Helper()
	path := filepath.Join(parts...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// ready waits until changes are noticed: the first ones may come before the
// watch.
func ready(t *testing.T, dir string, told <-chan treewatch.Cause) {
	t.Helper()
	limit := time.After(tolerant)
	for {
		write(t, dir, "ready")
		select {
		case got := <-told:
			if got == treewatch.Settled {
				return
			}
		case <-time.After(500 * time.Millisecond):
		case <-limit:
			t.Fatal("nothing was noticed")
		}
	}
}

func TestEveryChangeOfTheTreeIsTold(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	write(t, elsewhere, "one", "1", "model.onnx")
	write(t, elsewhere, "two", "1", "model.onnx")
	told := watch(t, treewatch.Config{Dir: dir, Depth: 3, Quiet: 50 * time.Millisecond, Poll: time.Hour})
	ready(t, dir, told)
	move := func(from, to string) error { return os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)) }
	link := func(to, name string) error { return os.Symlink(to, filepath.Join(dir, name)) }
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"a folder of folders", func() error { write(t, dir, "@acme", "iris", "1", "model.onnx"); return nil }},
		{"a file in it", func() error { write(t, dir, "@acme", "iris", "1", "model.yaml"); return nil }},
		{"the file again", func() error { write(t, dir, "@acme", "iris", "1", "model.yaml"); return nil }},
		{"a file moved over another", func() error { write(t, dir, "new"); return move("new", "@acme/iris/1/model.onnx") }},
		{"a folder gone", func() error { return os.RemoveAll(filepath.Join(dir, "@acme", "iris")) }},
		{"a link to a folder", func() error { return link(filepath.Join(elsewhere, "one"), "linked") }},
		{"a file behind it", func() error { write(t, elsewhere, "one", "1", "model.yaml"); return nil }},
		{"the link swapped", func() error { return orElse(link(filepath.Join(elsewhere, "two"), "next"), move("next", "linked")) }},
		{"a file behind it now", func() error { write(t, elsewhere, "two", "1", "model.yaml"); return nil }},
		{"Kubernetes' link", func() error { return link(filepath.Join(elsewhere, "one"), "..data") }},
		{"that link swapped", func() error {
			return orElse(link(filepath.Join(elsewhere, "two"), "..data_tmp"), move("..data_tmp", "..data"))
		}},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		t.Log(step.name)
		until(t, told, treewatch.Settled)
	}
	for len(told) > 0 {
		<-told
	}
	write(t, dir, ".hidden", "file")
	write(t, dir, ".hidden", "another")
	write(t, dir, "last")
	until(t, told, treewatch.Settled)
	if len(told) > 0 {
		t.Errorf("told once more: %d", <-told)
	}
}

// The top of the tree may be a link, which is swapped.
func TestALinkToTheTreeIsFollowed(t *testing.T) {
	above := t.TempDir()
	t.Chdir(above)
	write(t, above, "one", "iris", "1", "model.onnx")
	write(t, above, "two", "iris", "1", "model.onnx")
	top := filepath.Join(above, "current")
	link := func(to string) {
		if err := orElse(os.Symlink(to, top+".new"), os.Rename(top+".new", top)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{top + "/", "current", "./current"} {
		link("one")
		told := watch(t, treewatch.Config{Dir: dir, Depth: 3, Quiet: 50 * time.Millisecond, Poll: time.Hour})
		ready(t, top, told)
		link("two")
		until(t, told, treewatch.Settled)
		for len(told) > 0 {
			<-told
		}
		write(t, above, "two", "iris", "1", "model.yaml")
		until(t, told, treewatch.Settled)
	}
}

func orElse(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAChangeThatGoesOnIsToldBeforeItsEnd(t *testing.T) {
	dir := t.TempDir()
	told := watch(t, treewatch.Config{Dir: dir, Quiet: 200 * time.Millisecond, AtMost: 400 * time.Millisecond, Poll: time.Hour})
	ready(t, dir, told)
	limit := time.After(tolerant)
	for ongoing := false; !ongoing; {
		write(t, dir, "growing")
		select {
		case got := <-told:
			ongoing = got == treewatch.Ongoing
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatal("a change that goes on was not told")
		}
	}
	until(t, told, treewatch.Settled)
}

func TestWithoutNotificationsThePollLooks(t *testing.T) {
	told := watch(t, treewatch.Config{Dir: filepath.Join(t.TempDir(), "not", "there"), Poll: 20 * time.Millisecond})
	until(t, told, treewatch.Polled)
	until(t, told, treewatch.Polled)
}
