package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// View is a log as it was at one moment, between two appends. It needs no key, and
// may be read while others append.
type View struct {
	dir    string
	bits   int
	firsts []int64
	ends   []int64 // of the segments, in bytes
	gone   []bool  // those without lines
	// hashed is how many records there are hashes of in the newest segment.
	hashed int64
	// checkpoints are those of the segments; nil where there is none.
	checkpoints [][]byte
}

// Look looks at the log of a directory; bits is that of Config.
func Look(dir string, bits int) (v *View, err error) {
	v = &View{dir: dir, bits: bitsOr(bits)}
	lock, err := os.Open(filepath.Join(dir, lockName)) //nolint:gosec // G304: the log's own directory
	if errors.Is(err, fs.ErrNotExist) {
		return v, v.look() // a copy
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := hold(lock, true); err != nil {
		return nil, err
	}
	return v, v.look()
}

func (v *View) look() (err error) {
	if v.firsts, err = segments(v.dir, v.bits); err != nil {
		return err
	}
	v.ends, v.gone = make([]int64, len(v.firsts)), make([]bool, len(v.firsts))
	v.checkpoints = make([][]byte, len(v.firsts))
	for i, first := range v.firsts {
		info, err := os.Stat(linesPath(v.dir, first))
		switch {
		case err == nil:
			v.ends[i] = info.Size()
		case errors.Is(err, fs.ErrNotExist):
			v.gone[i] = true
		default:
			return err
		}
		v.checkpoints[i], err = os.ReadFile(checkpointPath(v.dir, first))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if n := len(v.firsts); n > 0 {
		v.hashed, err = countHashes(v.dir, v.firsts[n-1])
	}
	return err
}

// Checkpoint returns the newest signed checkpoint; nil when there is none.
func (v *View) Checkpoint() []byte {
	for _, signed := range slices.Backward(v.checkpoints) {
		if len(signed) > 0 {
			return signed
		}
	}
	return nil
}

// ErrChanged says that lines were pruned since the log was looked at: it is to be
// looked at again.
var ErrChanged = errors.New("records were pruned meanwhile")

// segment calls do with the lines of a segment, each behind a zero, and returns
// how many bytes there are behind the last one. Its error is ErrChanged for lines that
// are not there any more.
func (v *View) segment(i int, do func(prefixed []byte) error) (partial int64, err error) {
	f, err := os.Open(linesPath(v.dir, v.firsts[i]))
	switch {
	case errors.Is(err, fs.ErrNotExist) && v.gone[i]:
		return 0, &WrongError{v.firsts[i], missing}
	case errors.Is(err, fs.ErrNotExist):
		return 0, ErrChanged
	case err != nil:
		return 0, err
	}
	defer func() { _ = f.Close() }() // it was only read
	lines := newLineReader(io.LimitReader(f, v.ends[i]))
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return lines.partial, nil
		}
		if err == nil {
			err = do(line)
		}
		if err != nil {
			return 0, err
		}
	}
}

// Lines calls do with the lines from one on that there are, in order, and with the
// hash of the line before each, until do returns an error.
func (v *View) Lines(ctx context.Context, from int64, do func(index int64, prev tlog.Hash, line []byte) error) error {
	return v.lines(from, func(index int64, prev tlog.Hash, line []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return do(index, prev, line)
	})
}

func (v *View) lines(from int64, do func(index int64, prev tlog.Hash, line []byte) error) error {
	start := max(int(from>>v.bits), 0)
	if start >= len(v.firsts) {
		return nil
	}
	prev, err := v.lastHash(start - 1)
	for i := start; i < len(v.firsts) && err == nil; i++ {
		index := v.firsts[i]
		if !v.gone[i] {
			_, err = v.segment(i, func(prefixed []byte) error {
				before := prev
				prev = leafHash(prefixed)
				index++
				if index-1 < from {
					return nil
				}
				return do(index-1, before, prefixed[1:])
			})
		}
		if v.gone[i] || errors.Is(err, ErrChanged) {
			v.gone[i] = true
			prev, err = v.lastHash(i)
		}
	}
	return err
}

// Gone returns the records from one on whose lines are not there, as spans from the
// first to behind the last.
func (v *View) Gone(from int64) (spans [][2]int64) {
	for i, gone := range v.gone {
		first, end := max(v.firsts[i], from), v.firsts[i]+1<<v.bits
		switch last := len(spans) - 1; {
		case !gone || end <= first:
		case last >= 0 && spans[last][1] == first:
			spans[last][1] = end
		default:
			spans = append(spans, [2]int64{first, end})
		}
	}
	return spans
}

// lastHash returns the hash of the last line of a full segment; that of a log's first
// record is behind none.
func (v *View) lastHash(i int) (last tlog.Hash, err error) {
	if i < 0 {
		return tlog.Hash{}, nil
	}
	f, err := os.Open(linesPath(v.dir, v.firsts[i]))
	if errors.Is(err, fs.ErrNotExist) {
		stored, err := v.storedHashes(i)
		if err != nil {
			return last, err
		}
		return stored[len(stored)-1], nil
	}
	if err != nil {
		return last, err
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, err := f.Seek(max(v.ends[i]-2*MaxLine, 0), io.SeekStart); err != nil {
		return last, err
	}
	lines := newLineReader(f)
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return last, nil
		}
		if err != nil {
			return last, err
		}
		last = leafHash(line)
	}
}

// ReadHashes makes a View a tlog.HashReader, so that it proves what it holds.
func (v *View) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	read := map[int64][]tlog.Hash{} // a proof takes most of its hashes from one segment
	for i, index := range indexes {
		level, n := tlog.SplitStoredHashIndex(index)
		var err error
		if hashes[i], err = v.node(level, n, read); err != nil {
			return nil, err
		}
	}
	return hashes, nil
}

// node returns the hash of the subtree of the leaves from n<<level on, where they need
// be with the hashes of segments that were read.
func (v *View) node(level int, n int64, read map[int64][]tlog.Hash) (tlog.Hash, error) {
	if level >= v.bits {
		return v.upper(level, n)
	}
	from, count := n<<level, int64(1)<<level
	first := from >> v.bits << v.bits
	leaves := read[first]
	if leaves == nil {
		var err error
		if leaves, err = readHashes(hashesPath(v.dir, first)); err != nil {
			return tlog.Hash{}, err
		}
		read[first] = leaves
	}
	if at := from - first; at+count <= int64(len(leaves)) {
		return full(leaves[at : at+count]), nil
	}
	return tlog.Hash{}, fmt.Errorf("the stored hashes of the records from %d on are missing", from)
}

// upper returns the hash of a subtree of whole segments.
func (v *View) upper(level int, n int64) (tlog.Hash, error) {
	roots, err := readHashes(rootsPath(v.dir))
	if err != nil {
		return tlog.Hash{}, err
	}
	shift := level - v.bits
	from, to := n<<shift, (n+1)<<shift
	if to > int64(len(roots)) {
		return tlog.Hash{}, fmt.Errorf("the stored hashes of the segments from %d on are missing", from)
	}
	return full(roots[from:to]), nil
}

// Size is how many whole lines the log has.
func (v *View) Size() (int64, error) {
	if len(v.firsts) == 0 {
		return 0, nil
	}
	last := len(v.firsts) - 1
	size := v.firsts[last]
	_, err := v.segment(last, func([]byte) error {
		size++
		return nil
	})
	return size, err
}
