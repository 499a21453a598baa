package ledger

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	linesExt      = ".jsonl"
	hashesExt     = ".hashes"
	tagsExt       = ".tags"
	checkpointExt = ".checkpoint"
	// tagSize is how many bytes a tag has.
	tagSize = 8
)

// A segment is named after its first record, so that names sort as records do.
func segmentPath(dir string, first int64, ext string) string {
	return filepath.Join(dir, fmt.Sprintf("%012d%s", first, ext))
}

func linesPath(dir string, first int64) string      { return segmentPath(dir, first, linesExt) }
func hashesPath(dir string, first int64) string     { return segmentPath(dir, first, hashesExt) }
func tagsPath(dir string, first int64) string       { return segmentPath(dir, first, tagsExt) }
func checkpointPath(dir string, first int64) string { return segmentPath(dir, first, checkpointExt) }

func rootsPath(dir string) string { return filepath.Join(dir, rootsName) }

// segments returns the first records of the segments that there are, in order:
// also of those whose lines somebody took away, of which the hashes, the checkpoint
// or the root still speak.
func segments(dir string, bits int) ([]int64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var all []int64
	for _, e := range entries {
		if first, ok := segmentOf(e); ok {
			all = append(all, first)
		}
	}
	roots, err := readHashes(rootsPath(dir))
	for i := range roots {
		all = append(all, int64(i)<<bits)
	}
	slices.Sort(all)
	return slices.Compact(all), err
}

// segmentOf returns the first record of the segment that a file is of. What a
// process made and was killed before it wrote says nothing of a segment.
func segmentOf(e fs.DirEntry) (first int64, ok bool) {
	ext := filepath.Ext(e.Name())
	first, err := strconv.ParseInt(strings.TrimSuffix(e.Name(), ext), 10, 64)
	if err != nil || first < 0 {
		return 0, false
	}
	switch ext {
	case linesExt:
		return first, true
	case hashesExt, checkpointExt:
		info, err := e.Info()
		return first, err == nil && info.Size() > 0
	}
	return 0, false
}

// missing is the reason for a segment without lines.
const missing = "the file of its segment is missing"

// lineReader reads lines one after another.
type lineReader struct {
	r *bufio.Reader
	// line is the last one read, behind one byte of zero, and without its end.
	line []byte
	// partial is how many bytes there are behind the last line end.
	partial int64
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, MaxLine), line: make([]byte, 1, 1024)}
}

// errLong is for what is longer than any line that was written.
var errLong = errors.New("it is longer than any record")

// next returns the next line, with a zero before it; io.EOF behind the last whole
// line; errLong.
func (l *lineReader) next() ([]byte, error) {
	text, err := l.r.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, errLong
	case errors.Is(err, io.EOF):
		l.partial = int64(len(text))
		return nil, io.EOF
	case err != nil:
		return nil, err
	}
	l.line = append(l.line[:1], text[:len(text)-1]...)
	return l.line, nil
}

// countHashes returns how many hashes of records a segment has.
func countHashes(dir string, first int64) (int64, error) {
	info, err := os.Stat(hashesPath(dir, first))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size() / tlog.HashSize, nil
}

// lostLines is the reason for lines up to an index of which there are only hashes.
func lostLines(end int64) string {
	return fmt.Sprintf("it and the records up to %d, whose hashes are there, are missing", end-1)
}

// readHashes returns the hashes of a file; nil when there is none.
func readHashes(path string) ([]tlog.Hash, error) {
	data, err := os.ReadFile(path) //nolint:gosec // G304: in the log's own directory
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	hashes := make([]tlog.Hash, len(data)/tlog.HashSize)
	for i := range hashes {
		copy(hashes[i][:], data[i*tlog.HashSize:])
	}
	return hashes, err
}

func appendHashes(dst []byte, hashes []tlog.Hash) []byte {
	for i := range hashes {
		dst = append(dst, hashes[i][:]...)
	}
	return dst
}

// keyName is the file of the key that checks checkpoints, for whoever has no other
// copy of it.
const keyName = "log.pub"

// Exists reports whether the directory holds a log that has records.
func Exists(dir string) bool {
	all, err := segments(dir, DefaultBits)
	return len(all) > 0 || err != nil && !errors.Is(err, fs.ErrNotExist)
}

// PublishKey stores the key that checks checkpoints, in the form of package note.
func PublishKey(dir, key string) error {
	path := filepath.Join(dir, keyName)
	if data, err := os.ReadFile(path); err == nil && string(data) == key+"\n" { //nolint:gosec // G304: in the log's own directory
		return nil
	}
	return os.WriteFile(path, []byte(key+"\n"), fileMode)
}

// PublishedKey reads it.
func PublishedKey(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, keyName)) //nolint:gosec // G304: in the log's own directory
	return strings.TrimSuffix(string(data), "\n"), err
}
