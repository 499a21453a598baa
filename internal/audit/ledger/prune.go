package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/regular"
)

// The lines of full segments may be taken away, of the first ones on, once a line of
// the log says so: of how many records, and what their root is. Their hashes stay, so
// that everything behind them verifies as before. Whoever takes lines away without
// that line is found.

// Statement returns of how many records a line says that their lines are not kept,
// and the root of the tree of them; false for a line that says nothing of it.
type Statement func(line []byte) (tree tlog.Tree, ok bool)

// statementName is the file that says which record is the newest statement. Without
// it, every line is looked at.
const statementName = "pruned"

// Prunable is the records whose lines may be taken away.
type Prunable struct {
	// Tree is the tree of all of them.
	Tree tlog.Tree
	// Lines is how many of them still have lines.
	Lines int64
}

// Prunable returns which lines may be taken away: those of full segments, from the
// first on, in which every line may. What is left of them, their hashes and
// checkpoints, is compared with the lines. Its error is a *DamagedError where it
// differs.
func (v *View) Prunable(ctx context.Context, verifier note.Verifier, may func(line []byte) (bool, error)) (p Prunable, err error) {
	var s state
	for i := range v.firsts[:max(len(v.firsts)-1, 0)] {
		lines, free, err := v.prunableSegment(ctx, i, &s, may)
		if err != nil || !free {
			return p, err
		}
		signed, err := ParseCheckpoint(v.checkpoints[i], verifier)
		if err != nil || signed.N != s.tree.size || signed.Hash != s.tree.root() {
			return p, &DamagedError{Index: v.firsts[i], Reason: "its segment is not what its checkpoint signs; `onnxgate audit verify` says which record"}
		}
		p.Tree, p.Lines = signed, p.Lines+lines
	}
	return p, nil
}

// prunableSegment adds a segment to the state, and reports whether its lines, of which
// it returns the number, may be taken away.
func (v *View) prunableSegment(ctx context.Context, i int, s *state, may func(line []byte) (bool, error)) (lines int64, free bool, err error) {
	first := v.firsts[i]
	stored, err := v.storedHashes(i)
	if err != nil {
		return 0, false, err
	}
	if v.gone[i] {
		for _, leaf := range stored {
			s.add(leaf, v.bits)
		}
		return 0, true, nil
	}
	_, err = v.segment(i, func(prefixed []byte) error {
		at := s.tree.size - first
		if leaf := s.take(prefixed, v.bits); at >= int64(len(stored)) || leaf != stored[at] {
			return &DamagedError{Index: first + at, Reason: "its stored hash is not its own"}
		}
		ok, err := may(prefixed[1:])
		if err == nil && !ok {
			err = errKept
		}
		if err == nil {
			err = ctx.Err()
		}
		return err
	})
	if errors.Is(err, errKept) {
		return 0, false, nil
	}
	return s.tree.size - first, err == nil, err
}

var errKept = errors.New("a line is still needed")

// storedHashes returns the hashes of a full segment, which are all there.
func (v *View) storedHashes(i int) ([]tlog.Hash, error) {
	stored, err := readHashes(hashesPath(v.dir, v.firsts[i]))
	if err == nil && len(stored) != 1<<v.bits {
		err = &WrongError{v.firsts[i], missing}
	}
	return stored, err
}

// Prune takes the lines of so many records away, the first ones of the log, which the
// newest line of this process states. It may be done again where it was stopped.
func (g *Ledger) Prune(records int64) error {
	statement := g.tree.size - 1
	return g.Locked(func() error {
		if records > statement || records&(1<<g.cfg.Bits-1) != 0 {
			return fmt.Errorf("%d records are not whole segments before record %d", records, statement)
		}
		if err := g.storeStatement(statement); err != nil {
			return err
		}
		for first := int64(0); first < records; first += 1 << g.cfg.Bits {
			if err := g.pruneSegment(first); err != nil {
				return err
			}
		}
		return regular.Sync(g.cfg.Dir)
	})
}

// pruneSegment takes the lines away once what is left of them is on the disk.
func (g *Ledger) pruneSegment(first int64) error {
	lines := linesPath(g.cfg.Dir, first)
	if _, err := os.Stat(lines); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := g.syncRest(first); err != nil {
		return err
	}
	if err := os.Remove(tagsPath(g.cfg.Dir, first)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Remove(lines)
}

// storeStatement notes which record is the newest statement.
func (g *Ledger) storeStatement(index int64) error {
	path := filepath.Join(g.cfg.Dir, statementName)
	f, err := g.cfg.OpenFile(path + ".new")
	if err != nil {
		return err
	}
	_, err = io.WriteString(io.NewOffsetWriter(f, 0), fmt.Sprintf("%019d\n", index))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return errors.Join(os.Rename(path+".new", path), regular.Sync(g.cfg.Dir))
}

// checkGone returns an error unless the log says of every segment without lines that
// they are not kept. The log is loaded.
func (g *Ledger) checkGone() error {
	v := &View{dir: g.cfg.Dir, bits: g.cfg.Bits}
	if err := v.look(); err != nil {
		return err
	}
	last := int64(-1)
	for i, gone := range v.gone {
		if gone {
			last = int64(i)
		}
	}
	if last < 0 {
		return nil
	}
	need := (last + 1) << g.cfg.Bits
	if at, err := g.statedAt(); err == nil && g.stated(v, at, need, true) {
		return nil
	}
	if at := firstGone(v); !g.stated(v, at, need, false) {
		return &DamagedError{Index: at, Reason: missing}
	}
	return nil
}

func firstGone(v *View) int64 {
	for i, gone := range v.gone {
		if gone {
			return v.firsts[i]
		}
	}
	return -1
}

func (g *Ledger) statedAt() (int64, error) {
	data, err := os.ReadFile(filepath.Join(g.cfg.Dir, statementName))
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(data)), 10, 64)
}

// errStated ends a search.
var errStated = errors.New("stated")

// stated reports whether a genuine line, that of an index or one behind it, says that
// so many records need no lines.
func (g *Ledger) stated(v *View, at, need int64, only bool) bool {
	err := v.lines(at, func(index int64, _ tlog.Hash, line []byte) error {
		if tree, ok := g.cfg.Pruned(line); ok && tree.N >= need && g.genuine(v, index, line, tree) {
			return errStated
		}
		if only {
			return io.EOF
		}
		return nil
	})
	return errors.Is(err, errStated)
}

// genuine reports whether a line is the one of its index in the tree that was loaded,
// and what it states is the beginning of that tree.
func (g *Ledger) genuine(v *View, index int64, line []byte, tree tlog.Tree) bool {
	proof, err := tlog.ProveRecord(g.tree.size, index, v)
	if err != nil || tlog.CheckRecord(proof, g.tree.size, g.tree.root(), index, tlog.RecordHash(line)) != nil {
		return false
	}
	root, err := tlog.TreeHash(tree.N, v)
	return err == nil && root == tree.Hash
}
