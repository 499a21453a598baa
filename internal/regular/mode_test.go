package regular_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"onnxgate/internal/regular"
)

func TestAModeIsHeldToWhatOthersMayNotDo(t *testing.T) {
	for name, tc := range map[string]struct {
		mode, forbidden fs.FileMode
		want            string
	}{
		"private":             {0o600, regular.OthersAccess, ""},
		"of a group":          {0o660, regular.OthersAccess, ""},
		"read by others":      {0o604, regular.OthersAccess, "its mode 0604 gives other users access: run chmod 600 kek"},
		"read, and it may be": {0o604, regular.OthersWrite, ""},
		"written by others":   {0o602, regular.OthersWrite, "its mode 0602 lets other users change it: run chmod 600 kek"},
		"a folder":            {fs.ModeDir | 0o777, regular.OthersWrite, "its mode 0777 lets other users change it: run chmod 700 kek"},
	} {
		got := ""
		if err := regular.CheckMode("kek", tc.mode, tc.forbidden); err != nil {
			got = err.Error()
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestFilesAndFoldersAreSynchronised(t *testing.T) {
	dir := place(t)
	if err := errors.Join(regular.Sync(dir), regular.Sync(filepath.Join(dir, "five"))); err != nil {
		t.Error(err)
	}
	if err := regular.Sync(filepath.Join(dir, "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that it is not there", err)
	}
}
