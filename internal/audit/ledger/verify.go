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
	// Pruned is that of Config.
	Pruned Statement
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
	// gone is the first records of segments without lines, and roots those of the tree
	// at the end of each segment.
	gone  []int64
	roots []tlog.Hash
	// stated is of how many records the log says that their lines are not kept.
	stated int64
}

// verifiedSegment is what is known about the segment that is looked at.
type verifiedSegment struct {
	number int
	before state
	stored []tlog.Hash
	signed tlog.Tree
	// differs and misplaced are the first records that are not as their stored hash
	// or their place has it; -1 for none.
	differs, misplaced int64
}

// Verify looks at every record, and returns how many there are. Its error is a
// *WrongError unless the log could not be read, or is ErrChanged.
func (v *View) Verify(ctx context.Context, c Check) (size int64, err error) {
	w := &verification{Check: c, ctx: ctx, view: v}
	err = w.all()
	return w.tree.size, w.unlessGone(err)
}

func (w *verification) all() error {
	roots, err := readHashes(rootsPath(w.view.dir))
	if err != nil {
		return err
	}
	for i, first := range w.view.firsts {
		if err := w.segment(i); err != nil {
			return err
		}
		if last := i == len(w.view.firsts)-1; !last && i < len(roots) && roots[i] != w.ended {
			return &WrongError{first, "the stored hash of its segment is not that of its records"}
		}
		w.roots = append(w.roots, w.tree.root())
	}
	return w.atEnd()
}

// unlessGone puts before an error that lines are missing earlier of which the log does
// not say that they are not kept.
func (w *verification) unlessGone(err error) error {
	wrong, isWrong := errors.AsType[*WrongError](err)
	if len(w.gone) == 0 || err != nil && !isWrong {
		return err
	}
	if isWrong {
		if unread := w.readStatements(wrong.Index); unread != nil {
			return unread
		}
	}
	for _, first := range w.gone {
		if first+1<<w.view.bits > w.stated && (!isWrong || first < wrong.Index) {
			return &WrongError{first, missing + ", and no record of the log says that it was pruned"}
		}
	}
	return err
}

// readStatements looks for statements from the segment of a record on that is wrong.
// Where the keys of the log are at hand, they must be genuine.
func (w *verification) readStatements(from int64) error {
	for i := int(from >> w.view.bits); i < len(w.view.firsts); i++ {
		var prev tlog.Hash
		_, err := w.view.segment(i, func(prefixed []byte) error {
			if _, ok := w.Pruned(prefixed[1:]); ok && w.genuine(prefixed[1:], prev) {
				w.readStatement(prefixed[1:], true)
			}
			prev = leafHash(prefixed)
			return w.ctx.Err()
		})
		if _, wrong := errors.AsType[*WrongError](err); err != nil && !wrong && !errors.Is(err, errLong) {
			return err
		}
	}
	return nil
}

// genuine reports whether a line was made for the place that it names, wherever it
// stands now, behind the record before it or the one that was there.
func (w *verification) genuine(line []byte, prev tlog.Hash) bool {
	if w.Authentic == nil {
		return true
	}
	text, _, _ := bytes.Cut(bytes.TrimPrefix(line, []byte(indexPrefix)), []byte(","))
	index, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || index < 1 {
		return false
	}
	if w.Authentic(index, prev, line) == nil {
		return true
	}
	before, err := w.view.ReadHashes([]int64{tlog.StoredHashIndex(0, index-1)})
	return err == nil && w.Authentic(index, before[0], line) == nil
}

const indexPrefix = `{"index":`

// readStatement takes over what a line says of lines that are not kept. Only where
// something is wrong already, a tree beyond what was looked at is taken on trust.
func (w *verification) readStatement(line []byte, trust bool) {
	tree, ok := w.Pruned(line)
	n := tree.N >> w.view.bits
	switch {
	case !ok || n <= 0 || tree.N != n<<w.view.bits:
	case n <= int64(len(w.roots)) && tree.Hash == w.roots[n-1], n > int64(len(w.roots)) && trust:
		w.stated = max(w.stated, tree.N)
	}
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
	if w.view.gone[i] && !last {
		return w.withoutLines(unsigned)
	}
	partial, err := w.view.segment(i, w.line)
	switch {
	case errors.Is(err, errLong):
		err = w.wrong(w.tree.size, errLong.Error())
	case err != nil:
	case unsigned != nil:
		err = w.wrong(first, unsigned.Error())
	case w.tree.size < w.part.signed.N:
		err = w.wrong(w.tree.size, fmt.Sprintf("it and the records up to %d are missing", w.part.signed.N-1))
	case last && w.part.signed.N == 0 && w.tree.size < first+w.view.hashed:
		err = w.wrong(w.tree.size, lostLines(first+w.view.hashed))
	case !last && (partial > 0 || w.tree.size < first+1<<w.view.bits):
		err = w.wrong(w.tree.size, "its segment is shorter than it was")
	case w.part.differs >= 0:
		err = &WrongError{w.part.differs, "the stored hash of the record is not its hash"}
	}
	return err
}

// withoutLines looks at the hashes of a segment that has no lines.
func (w *verification) withoutLines(unsigned error) error {
	first := w.view.firsts[w.part.number]
	if unsigned != nil || len(w.part.stored) != 1<<w.view.bits {
		return &WrongError{first, missing}
	}
	for _, leaf := range w.part.stored {
		w.add(leaf, w.view.bits)
		if w.otherThanKnown() {
			return &WrongError{0, writtenAnew}
		}
	}
	if w.tree.root() != w.part.signed.Hash {
		return &WrongError{first, "its hash, or that of another record of its segment, is not the one that was signed"}
	}
	w.gone = append(w.gone, first)
	return nil
}

const writtenAnew = "the given checkpoint signs other records: somebody with the key of the log wrote it anew"

// otherThanKnown reports whether the tree is as large as the known one, and another.
func (w *verification) otherThanKnown() bool {
	return w.Known != nil && w.tree.size == w.Known.N && w.tree.root() != w.Known.Hash
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
	hash := w.take(prefixed, w.view.bits)
	if at := index - first; w.part.differs < 0 && at < int64(len(w.part.stored)) && w.part.stored[at] != hash {
		w.part.differs = index
	}
	if w.part.misplaced < 0 && !inPlace(line, index) {
		w.part.misplaced = index
	}
	if w.tree.size == w.part.signed.N && w.tree.root() != w.part.signed.Hash {
		return w.locate()
	}
	if w.otherThanKnown() {
		return w.wrong(0, writtenAnew)
	}
	w.readStatement(line, false)
	if index >= w.part.signed.N {
		return w.behind(index, prev, line)
	}
	return nil
}

// inPlace reports whether a line says that it is the record of an index.
func inPlace(line []byte, index int64) bool {
	var buf [32]byte
	want := append(strconv.AppendInt(append(buf[:0], indexPrefix...), index, 10), ',')
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
