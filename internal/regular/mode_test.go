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

func TestAFileIsReplacedAsAWhole(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	for _, content := range []string{"a first text", "another"} {
		if err := regular.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		data, info, err := regular.ReadFile(path, 1<<10)
		if err != nil || string(data) != content || info.Mode().Perm() != 0o600 {
			t.Errorf("%q of mode %v, %v; want %q", data, info.Mode(), err, content)
		}
	}
	if err := regular.Replace(dir, nil); err == nil {
		t.Error("a folder was replaced")
	}
	if err := regular.Replace(filepath.Join(dir, "missing", "file"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want that the folder is not there", err)
	}
	for _, where := range []string{dir, filepath.Dir(dir)} {
		if left, err := filepath.Glob(filepath.Join(where, ".new-*")); err != nil || left != nil {
			t.Errorf("%v is left behind, %v", left, err)
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
