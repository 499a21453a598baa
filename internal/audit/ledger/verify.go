package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Check is what a log is verified with.
type Check struct {
	// Verifier is the key that the log's checkpoints are signed with.
	Verifier note.Verifier
	// Authentic is that of Config; nil where its keys are not at hand: then a record
	// that no checkpoint covers is a wrong one.
	Authentic func(index int64, prev tlog.Hash, line []byte) error
	// Known is a tree that the log is known to have had; nil where there is none.
	Known *tlog.Tree
}

// WrongError says what is wrong with a log, and where: no record before Index is.
type WrongError struct {
	Index  int64
	Reason string
}

func (e *WrongError) Error() string { return fmt.Sprintf("record %d: %s", e.Index, e.Reason) }

// verification is how far a log was looked at.
type verification struct {
	Check
	ctx  context.Context //nolint:containedctx // of the one call that it is made for
	view *View
	state
	part verifiedSegment
}

// verifiedSegment is what is known about the segment that is looked at.
type verifiedSegment struct {
	number int
	before state
	tree   frontier
	stored []tlog.Hash
	signed tlog.Tree
	// differs and misplaced are the first records that are not as their stored hash
	// or their place has it; -1 for none.
	differs, misplaced int64
}

// Verify looks at every record, and returns how many there are. Its error is a
// *WrongError unless the log could not be read.
func (v *View) Verify(ctx context.Context, c Check) (size int64, err error) {
	w := &verification{Check: c, ctx: ctx, view: v}
	roots, err := readHashes(rootsPath(v.dir))
	if err != nil {
		return 0, err
	}
	for i := range v.firsts {
		if err := w.segment(i); err != nil {
			return w.tree.size, err
		}
		if last := i == len(v.firsts)-1; !last && i < len(roots) && roots[i] != w.part.tree.root() {
			return w.tree.size, &WrongError{v.firsts[i], "the stored hash of its segment is not that of its records"}
		}
	}
	return w.tree.size, w.atEnd()
}

// atEnd compares the end of the log with the tree that is known.
func (w *verification) atEnd() error {
	switch {
	case w.Known == nil:
		return nil
	case w.Known.N > w.tree.size:
		return &WrongError{w.tree.size, fmt.Sprintf("it and the records up to %d, which the given checkpoint signs, are missing", w.Known.N-1)}
	case w.Known.N == 0 && w.Known.Hash != (&frontier{}).root():
		return &WrongError{0, "the given checkpoint signs another log"}
	}
	return nil
}

// segment looks at the records of one segment.
func (w *verification) segment(i int) (err error) {
	first, last := w.view.firsts[i], i == len(w.view.firsts)-1
	if want := int64(i) << w.view.bits; first != want {
		return &WrongError{want, missing}
	}
	w.part = verifiedSegment{number: i, before: w.state, differs: -1, misplaced: -1}
	if w.part.stored, err = readHashes(hashesPath(w.view.dir, first)); err != nil {
		return err
	}
	unsigned := w.readCheckpoint(last)
	partial, err := w.view.segment(i, w.line)
	switch {
	case errors.Is(err, errLong):
		err = w.wrong(w.tree.size, errLong.Error())
	case err != nil:
	case unsigned != nil:
		err = w.wrong(first, unsigned.Error())
	case w.tree.size < w.part.signed.N:
		err = w.wrong(w.tree.size, fmt.Sprintf("it and the records up to %d are missing", w.part.signed.N-1))
	case !last && (partial > 0 || w.tree.size < first+1<<w.view.bits):
		err = w.wrong(w.tree.size, "its segment is shorter than it was")
	case w.part.differs >= 0:
		err = &WrongError{w.part.differs, "the stored hash of the record is not its hash"}
	}
	return err
}

// wrong says that there is something wrong at a record, or earlier in the segment
// where a record is not as its hash or its place has it, or does not open.
func (w *verification) wrong(index int64, reason string) error {
	for _, earlier := range []int64{w.part.differs, w.part.misplaced} {
		if earlier >= 0 && earlier < index {
			index, reason = earlier, notThatRecord
		}
	}
	if w.Authentic == nil {
		return &WrongError{index, reason}
	}
	if forged, ok := errors.AsType[*WrongError](w.open()); ok && forged.Index < index {
		return forged
	}
	return &WrongError{index, reason}
}

const notThatRecord = "it is not the record that was written there"

// readCheckpoint reads the checkpoint of the segment, and returns what is wrong
// with it.
func (w *verification) readCheckpoint(last bool) (err error) {
	first, data := w.view.firsts[w.part.number], w.view.checkpoints[w.part.number]
	if len(data) == 0 {
		if last {
			return nil // the process was killed before it signed the first one
		}
		return errors.New("the checkpoint of its segment is missing")
	}
	w.part.signed, err = ParseCheckpoint(data, w.Verifier)
	if err != nil {
		return fmt.Errorf("the checkpoint of its segment: %w", err)
	}
	end := first + 1<<w.view.bits
	if n := w.part.signed.N; n <= first || n > end || !last && n != end {
		return errors.New("the checkpoint of its segment is that of another time")
	}
	return nil
}

// line looks at one record.
func (w *verification) line(prefixed []byte) error {
	index, first := w.tree.size, w.view.firsts[w.part.number]
	if index%1024 == 0 && w.ctx.Err() != nil {
		return w.ctx.Err()
	}
	if index == first+1<<w.view.bits {
		return w.wrong(index, "there are more records than a segment has")
	}
	line, prev := prefixed[1:], w.prev
	hash := w.take(prefixed)
	w.part.tree.push(0, hash)
	if at := index - first; w.part.differs < 0 && at < int64(len(w.part.stored)) && w.part.stored[at] != hash {
		w.part.differs = index
	}
	if w.part.misplaced < 0 && !inPlace(line, index) {
		w.part.misplaced = index
	}
	if w.tree.size == w.part.signed.N && w.tree.root() != w.part.signed.Hash {
		return w.locate()
	}
	if w.Known != nil && w.tree.size == w.Known.N && w.tree.root() != w.Known.Hash {
		return w.wrong(0, "the given checkpoint signs other records: somebody with the key of the log wrote it anew")
	}
	if index >= w.part.signed.N {
		return w.behind(index, prev, line)
	}
	return nil
}

// inPlace reports whether a line says that it is the record of an index.
func inPlace(line []byte, index int64) bool {
	var buf [32]byte
	want := append(strconv.AppendInt(append(buf[:0], `{"index":`...), index, 10), ',')
	return bytes.HasPrefix(line, want)
}

// behind looks at a record that no checkpoint covers.
func (w *verification) behind(index int64, prev tlog.Hash, line []byte) error {
	if w.Authentic == nil {
		return w.wrong(index, "no checkpoint covers it, and without the keys of the log nobody can say whether it is genuine")
	}
	if err := w.Authentic(index, prev, line); err != nil {
		return w.wrong(index, "no checkpoint covers it, and it is forged: "+err.Error())
	}
	return nil
}

// locate finds the first record that is not the one that was signed: by the stored
// hashes when they are those that were signed, else by the keys of the log.
func (w *verification) locate() error {
	first, signed := w.view.firsts[w.part.number], w.part.signed
	if n := int(signed.N - first); len(w.part.stored) >= n {
		tree := w.part.before.tree
		for _, hash := range w.part.stored[:n] {
			tree.push(0, hash)
		}
		if tree.root() == signed.Hash {
			return &WrongError{w.part.differs, notThatRecord}
		}
	}
	return w.wrong(signed.N-1, fmt.Sprintf("one of the records from %d on is not the one that was written there", first))
}

// open opens the records of the segment until one is not genuine.
func (w *verification) open() error {
	index, prev := w.view.firsts[w.part.number], w.part.before.prev
	_, err := w.view.segment(w.part.number, func(prefixed []byte) error {
		err := w.Authentic(index, prev, prefixed[1:])
		if err != nil && !errors.Is(err, ErrUnknown) {
			return &WrongError{index, notThatRecord + ": " + err.Error()}
		}
		index++
		prev = leafHash(prefixed)
		return nil
	})
	return err
}
