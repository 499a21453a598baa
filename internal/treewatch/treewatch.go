// Package treewatch notices that something in a tree of folders has changed: by
// the notifications of the file system where there are any, and by a slow poll
// for volumes that give none. It owns which folders are watched, also through
// links that are swapped, and how long a change may go on before it is told.
//
// It must not know what the files hold: whoever is told looks for himself.
package treewatch

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
)

// Cause is why somebody is told to look.
type Cause uint8

// The causes.
const (
	// Settled is a change after which the tree was quiet.
	Settled Cause = iota
	// Ongoing is a change that goes on: what is looked at may be half written, and
	// a call with Settled will follow.
	Ongoing
	// Polled is no known change.
	Polled
)

// The defaults of Config.
const (
	DefaultQuiet  = 300 * time.Millisecond
	DefaultAtMost = 1200 * time.Millisecond
	DefaultPoll   = time.Minute
)

// ongoingShare is how much longer than the work for it a change may go on before
// it is looked at again.
const ongoingShare = 4

// Config says what is watched.
type Config struct {
	// Dir is the top of the tree, which should exist. It may be a link that is swapped.
	Dir string
	// Depth is how many levels of folders below it belong to the tree.
	Depth int
	// Quiet is how long nothing may happen before a change counts as settled, and
	// AtMost how long one that goes on is not told. Poll is the time between looks
	// that nothing asked for. Zero means the defaults.
	Quiet, AtMost, Poll time.Duration
	// Changed is told to look, for the first time when watching has begun. One call
	// ends before the next begins.
	Changed func(Cause)
	// Degraded is told once why changes are found by the poll alone, at least in
	// some folders. Nil: nobody is.
	Degraded func(error)
}

// Watch watches until ctx ends.
func Watch(ctx context.Context, cfg Config) {
	for _, d := range []struct {
		at       *time.Duration
		standard time.Duration
	}{{&cfg.Quiet, DefaultQuiet}, {&cfg.AtMost, DefaultAtMost}, {&cfg.Poll, DefaultPoll}} {
		if *d.at == 0 {
			*d.at = d.standard
		}
	}
	cfg.Dir = filepath.Clean(cfg.Dir)
	w := &watcher{cfg: cfg, watched: map[string]fs.FileInfo{}}
	notify, err := fsnotify.NewWatcher()
	if err != nil {
		w.degraded(err)
	} else {
		w.notify, w.events, w.errors = notify, notify.Events, notify.Errors
		defer notify.Close() //nolint:errcheck // nothing is written
	}
	w.tell(Polled)
	w.run(ctx)
}

type watcher struct {
	cfg    Config
	notify *fsnotify.Watcher // nil where there are no notifications
	events <-chan fsnotify.Event
	errors <-chan error
	// watched are the folders, by path, as they were when watching began.
	watched map[string]fs.FileInfo
	told    bool // that it is degraded

	// quiet and overdue fire when a change is told; nil while there is none.
	quiet, overdue *time.Timer
	took           time.Duration // by the last call of Changed
}

func (w *watcher) run(ctx context.Context) {
	poll := time.NewTicker(w.cfg.Poll)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-w.events:
			if w.concerns(event) {
				w.expect()
			}
		case err := <-w.errors: // some notifications are lost
			w.degraded(err)
			w.expect()
		case <-channel(w.quiet):
			w.tell(Settled)
		case <-channel(w.overdue):
			w.tell(Ongoing)
		case <-poll.C:
			w.tell(Polled)
		}
	}
}

func channel(t *time.Timer) <-chan time.Time {
	if t == nil {
		return nil
	}
	return t.C
}

// concerns reports whether an event is one of the tree's. Hidden names are not,
// but for those beginning with two dots, which Kubernetes swaps; and of what stands beside
// the top nothing is.
func (w *watcher) concerns(event fsnotify.Event) bool {
	switch path := filepath.Clean(event.Name); {
	case path == w.cfg.Dir:
		return true
	case !strings.HasPrefix(path, w.below()):
		return false
	}
	if event.Op == fsnotify.Chmod {
		// Also a file's times alone, and what makes it readable at last.
		return !hidden(filepath.Base(event.Name))
	}
	name := filepath.Base(event.Name)
	return !hidden(name) || strings.HasPrefix(name, "..")
}

// below is what the names of all begin with that is in the tree.
func (w *watcher) below() string {
	if w.cfg.Dir == "." {
		return ""
	}
	return strings.TrimSuffix(w.cfg.Dir, string(filepath.Separator)) + string(filepath.Separator)
}

func hidden(name string) bool { return strings.HasPrefix(name, ".") }

// expect notes a change.
func (w *watcher) expect() {
	if w.overdue == nil {
		w.overdue = time.NewTimer(max(w.cfg.AtMost, ongoingShare*w.took))
	}
	if w.quiet == nil {
		w.quiet = time.NewTimer(w.cfg.Quiet)
	} else {
		w.quiet.Reset(w.cfg.Quiet)
	}
}

// tell has somebody look, after the folders that came are watched: what happens
// in them from then on is another change.
func (w *watcher) tell(cause Cause) {
	w.overdue = nil
	if cause == Settled {
		w.quiet = nil
	}
	w.follow()
	begin := time.Now() //nolint:forbidigo // a duration
	w.cfg.Changed(cause)
	w.took = time.Since(begin)
}

// follow watches the folders that there are now.
func (w *watcher) follow() {
	if w.notify == nil {
		return
	}
	present := map[string]fs.FileInfo{}
	folders(w.cfg.Dir, w.cfg.Depth, present)
	if top, err := os.Lstat(w.cfg.Dir); err == nil && top.Mode()&fs.ModeSymlink != 0 {
		folders(filepath.Dir(w.cfg.Dir), 0, present) // where the link is swapped
	}
	for path, was := range w.watched {
		if now, ok := present[path]; !ok || !os.SameFile(was, now) {
			_ = w.notify.Remove(path) // it may be gone by itself
			delete(w.watched, path)
		}
	}
	for path, info := range present {
		if w.watched[path] != nil {
			continue
		}
		if err := w.notify.Add(path); err == nil {
			w.watched[path] = info
		} else if _, gone := os.Stat(path); gone == nil {
			w.degraded(err)
		}
	}
}

// folders finds the folders of the tree, behind links too.
func folders(dir string, depth int, found map[string]fs.FileInfo) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		return
	}
	found[dir] = info
	if depth == 0 {
		return
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // the poll looks again
	}
	for _, entry := range entries {
		if !hidden(entry.Name()) && (entry.IsDir() || entry.Type()&fs.ModeSymlink != 0) {
			folders(filepath.Join(dir, entry.Name()), depth-1, found)
		}
	}
}

func (w *watcher) degraded(err error) {
	if !w.told && w.cfg.Degraded != nil {
		w.told = true
		w.cfg.Degraded(err)
	}
}
