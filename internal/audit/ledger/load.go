package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/regular"
)

// load reads how far the log goes, from its checkpoints and its newest segment.
func (g *Ledger) load() error {
	firsts, err := segments(g.cfg.Dir, g.cfg.Bits)
	if err != nil {
		return err
	}
	for i := range firsts {
		if err := g.present(int64(i)<<g.cfg.Bits, i == len(firsts)-1); err != nil {
			return err
		}
	}
	if len(firsts) > 1 {
		if err := g.loadFull(len(firsts) - 1); err != nil {
			return err
		}
	}
	if err := g.adopt(); err != nil {
		return err
	}
	return g.checkGone()
}

// present returns an error for a segment of which something is missing that always
// is there: its lines may be pruned, unless it is the newest.
func (g *Ledger) present(first int64, newest bool) error {
	_, err := os.Stat(linesPath(g.cfg.Dir, first))
	if errors.Is(err, fs.ErrNotExist) && !newest {
		_, err = os.Stat(hashesPath(g.cfg.Dir, first))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &DamagedError{Index: first, Reason: missing}
	}
	return nil
}

// loadFull takes over the segments before the newest. Their roots are stored, and
// are those that the last one's checkpoint signs; or they are worked out again.
func (g *Ledger) loadFull(n int) error {
	last := int64(n-1) << g.cfg.Bits
	signed, err := g.checkpointOf(last)
	if err != nil || signed.N != int64(n)<<g.cfg.Bits {
		return &DamagedError{Index: last, Reason: "the checkpoint of its segment, which is full, is missing or wrong"}
	}
	for _, roots := range []func(n int) ([]tlog.Hash, error){g.storedRoots, g.hashedRoots} {
		all, err := roots(n)
		if err != nil {
			return err
		}
		var tree frontier
		for _, root := range all {
			tree.push(g.cfg.Bits, root)
		}
		if tree.size == signed.N && tree.root() == signed.Hash {
			g.tree = tree
			return g.setPrev(last)
		}
	}
	return &DamagedError{Index: 0, Reason: "the stored hashes are not those that the checkpoints sign; `onnxgate audit verify` looks at every record"}
}

func (g *Ledger) storedRoots(n int) ([]tlog.Hash, error) {
	roots, err := readHashes(rootsPath(g.cfg.Dir))
	return roots[:min(n, len(roots))], err
}

// hashedRoots works the roots out from the hashes of the records, and stores them.
func (g *Ledger) hashedRoots(n int) ([]tlog.Hash, error) {
	roots := make([]tlog.Hash, n)
	for i := range roots {
		leaves, err := readHashes(hashesPath(g.cfg.Dir, int64(i)<<g.cfg.Bits))
		if err != nil {
			return nil, err
		}
		roots[i] = full(leaves)
	}
	return roots, g.storeRoots(0, roots)
}

// setPrev reads the hash of the last record of a full segment.
func (g *Ledger) setPrev(first int64) error {
	leaves, err := readHashes(hashesPath(g.cfg.Dir, first))
	if err == nil && len(leaves) > 0 {
		g.prev = leaves[len(leaves)-1]
	}
	return err
}

// checkpointOf returns the tree that the checkpoint of a segment signs.
func (g *Ledger) checkpointOf(first int64) (tlog.Tree, error) {
	data, err := os.ReadFile(checkpointPath(g.cfg.Dir, first))
	if err != nil {
		return tlog.Tree{}, err
	}
	return ParseCheckpoint(data, g.cfg.Verifier)
}

// follow takes over what other processes appended, and takes away what this one
// failed to append.
func (g *Ledger) follow() error {
	if err := g.tidy(g.first()); err != nil {
		return err
	}
	info, err := os.Stat(linesPath(g.cfg.Dir, g.first()))
	switch {
	case errors.Is(err, fs.ErrNotExist) && g.offset == 0:
		_, err = os.Stat(g.cfg.Dir)
		return err
	case errors.Is(err, fs.ErrNotExist):
		// Long ago, others filled it and pruned it.
		return g.reload()
	case err == nil && info.Size() < g.offset:
		return &DamagedError{Index: g.first(), Reason: "the segment was cut while the server ran"}
	case err != nil || info.Size() == g.offset:
		return err
	}
	if err := g.closeFiles(); err != nil {
		return err
	}
	return g.adopt()
}

// reload reads everything anew.
func (g *Ledger) reload() error {
	if err := g.closeFiles(); err != nil {
		return err
	}
	g.state = state{}
	return g.load()
}

// tidy takes away what this process failed to append to a segment, unless another one
// has taken it over: that has signed it, with what it wrote behind it.
func (g *Ledger) tidy(first int64) error {
	if !g.dirty {
		return nil
	}
	if signed, err := g.checkpointOf(first); err == nil && signed.N > g.tree.size {
		g.dirty = false
		return nil
	}
	return g.clean(first)
}

// clean takes away what is behind the last line of a segment.
func (g *Ledger) clean(first int64) error {
	f, err := g.cfg.OpenFile(linesPath(g.cfg.Dir, first))
	if err != nil {
		return err
	}
	hashes, err := g.cfg.OpenFile(hashesPath(g.cfg.Dir, first))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(g.cutTo(f, hashes, first), f.Close(), hashes.Close()); err != nil {
		return err
	}
	g.dirty = false
	return nil
}

// adopt takes over the lines behind those that are known, segment by segment, and
// signs them.
func (g *Ledger) adopt() error {
	for {
		first := g.first()
		if err := g.adoptSegment(first); err != nil {
			return err
		}
		if g.first() == first {
			return nil
		}
		g.roll(first)
	}
}

func (g *Ledger) adoptSegment(first int64) error {
	f, err := os.Open(linesPath(g.cfg.Dir, first))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	if _, err := f.Seek(g.offset, io.SeekStart); err != nil {
		return err
	}
	from, signed := g.tree.size, int64(0)
	tree, err := g.checkpointOf(first)
	if err == nil {
		signed = tree.N
	}
	g.leaves = g.leaves[:0]
	lines := newLineReader(f)
	wrong := g.adoptLines(lines, tree, first)
	if _, damaged := errors.AsType[*DamagedError](wrong); damaged {
		return wrong
	}
	if g.tree.size < signed {
		return &DamagedError{Index: g.tree.size, Reason: fmt.Sprintf("it and the records up to %d are missing", signed-1)}
	}
	if signed == 0 && errors.Is(wrong, io.EOF) {
		if err := g.uncut(first); err != nil {
			return err
		}
	}
	if !errors.Is(wrong, io.EOF) || lines.partial > 0 {
		if err := g.cut(f, first, errors.Is(wrong, io.EOF)); err != nil {
			return err
		}
	}
	err = g.adopted(first, from, signed)
	g.leaves = nil // as many as a segment has; what is appended at once is fewer
	return err
}

// uncut returns an error for a segment without a checkpoint that has more hashes than
// lines: the lines are on the disk before their hashes are written, so that somebody took
// them away.
func (g *Ledger) uncut(first int64) error {
	count, err := countHashes(g.cfg.Dir, first)
	if err == nil && first+count > g.tree.size {
		return &DamagedError{Index: g.tree.size, Reason: lostLines(first + count)}
	}
	return err
}

// adoptLines takes over lines until there is none any more, io.EOF, or one is not
// genuine.
func (g *Ledger) adoptLines(lines *lineReader, signed tlog.Tree, first int64) error {
	for g.first() == first {
		line, err := lines.next()
		if err != nil {
			return err
		}
		index := g.tree.size
		if index >= signed.N {
			err = g.cfg.Authentic(index, g.prev, line[1:])
		}
		if errors.Is(err, ErrUnknown) {
			return &DamagedError{Index: index, Reason: "no checkpoint covers it, and its key was destroyed"}
		}
		if err != nil {
			return err
		}
		g.leaves = append(g.leaves, g.take(line, g.cfg.Bits))
		g.offset += int64(len(line))
		if g.tree.size == signed.N && g.tree.root() != signed.Hash {
			return &DamagedError{Index: first, Reason: "the checkpoint of its segment signs other records; `onnxgate audit verify` says which"}
		}
	}
	if _, err := lines.r.Peek(1); err == nil {
		return errLong // there is more than a segment has
	}
	return io.EOF
}

// adopted stores the hashes of lines that were taken over, where they differ, and
// signs those that no checkpoint covered.
func (g *Ledger) adopted(first, from, signed int64) error {
	path := hashesPath(g.cfg.Dir, first)
	stored, err := readHashes(path)
	if err != nil {
		return err
	}
	at := int(from - first)
	end := at + len(g.leaves)
	if len(stored) < end || !slices.Equal(stored[at:end], g.leaves) {
		f, err := g.cfg.OpenFile(path)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(appendHashes(nil, g.leaves), int64(at)*tlog.HashSize)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if g.tree.size <= signed || g.tree.size == first {
		return nil
	}
	text, err := g.signature()
	if err != nil {
		return err
	}
	return g.store(first, text)
}

// cut takes away what stands behind the last genuine line: the beginning of a line
// whose writer was stopped, or else lines that are put aside as evidence.
func (g *Ledger) cut(lines *os.File, first int64, torn bool) error {
	info, err := lines.Stat()
	if err != nil {
		return err
	}
	repair := Repair{Index: g.tree.size, Bytes: info.Size() - g.offset}
	if !torn {
		if repair.Lines, err = g.putAside(lines, first); err != nil {
			return err
		}
	}
	if err := g.clean(first); err != nil {
		return err
	}
	g.cfg.Repaired(repair)
	return nil
}

// putAside copies what is behind the last genuine line into a file of its own.
func (g *Ledger) putAside(lines *os.File, first int64) (count int, err error) {
	rest := io.NewSectionReader(lines, g.offset, 1<<62)
	out, err := os.CreateTemp(g.cfg.Dir, fmt.Sprintf("rejected-%012d-*", g.tree.size)) // mode 0600
	if err != nil {
		return 0, err
	}
	if _, err = io.Copy(out, rest); err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return 0, errors.Join(err, os.Remove(out.Name()))
	}
	_, err = rest.Seek(0, io.SeekStart)
	for r := newLineReader(rest); err == nil; count++ {
		_, err = r.next()
	}
	return count, regular.Sync(filepath.Dir(linesPath(g.cfg.Dir, first)))
}
