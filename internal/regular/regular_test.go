package regular_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"onnxgate/internal/regular"
)

// place makes one of each kind of file and returns their folder.
func place(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "five"), []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		os.Symlink("five", filepath.Join(dir, "link")),
		os.Mkdir(filepath.Join(dir, "folder"), 0o700),
		syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600),
		os.Symlink("/dev/zero", filepath.Join(dir, "endless")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOnlyARegularFileWithinTheBoundIsRead(t *testing.T) {
	dir := place(t)
	for _, tc := range []struct {
		name  string
		limit int64
		want  error
	}{
		{"five", 5, nil},
		{"link", 5, nil},
		{"five", 4, regular.TooLargeError(4)},
		{"folder", 5, regular.ErrNotRegular},
		{"pipe", 5, regular.ErrNotRegular},
		{"endless", 5, regular.ErrNotRegular},
		{"missing", 5, fs.ErrNotExist},
	} {
		t.Run(tc.name, func(t *testing.T) {
			data, _, err := regular.ReadFile(filepath.Join(dir, tc.name), tc.limit)
			check(t, data, err, tc.want)
			data, err = regular.ReadFS(os.DirFS(dir), tc.name, tc.limit)
			check(t, data, err, tc.want)
		})
	}
}

func check(t *testing.T, data []byte, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
	if want == nil && string(data) != "12345" {
		t.Errorf("read %q", data)
	}
	if e, ok := errors.AsType[*fs.PathError](err); err != nil && (!ok || e.Path == "") {
		t.Errorf("%v names no file", err)
	}
}

func TestTheMetadataIsThatOfTheFileThatWasRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, info, err := regular.ReadFile(path, 1)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestAFileSystemInMemoryIsRead(t *testing.T) {
	fsys := fstest.MapFS{"a/five": {Data: []byte("12345")}}
	data, err := regular.ReadFS(fsys, "a/five", 5)
	check(t, data, err, nil)
	_, err = regular.ReadFS(fsys, "a", 5)
	check(t, nil, err, regular.ErrNotRegular)
}
