package ledger

import (
	"encoding/binary"
	"errors"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/regular"
)

// Append appends n lines, and returns how many of them are on the disk and under
// a checkpoint, which are all unless there is an error. Of the others there is
// nothing in the log.
func (g *Ledger) Append(n int, src Source) (done int, err error) {
	err = g.Locked(func() error {
		if err := src.Begin(); err != nil {
			return err
		}
		for done < n {
			some := min(n-done, int(g.first()+1<<g.cfg.Bits-g.tree.size))
			if err := g.appendSome(src, done, some); err != nil {
				return err
			}
			done += some
		}
		return nil
	})
	return done, err
}

// appendSome appends lines to one segment, or none of them.
func (g *Ledger) appendSome(src Source, from, n int) error {
	before, first := g.state, g.first()
	err := g.openSegment(first)
	if err == nil {
		err = g.writeLines(src, from, n)
	}
	if err == nil {
		err = g.seal(first, before.tree.size)
	}
	if err == nil {
		return nil
	}
	g.state = before
	return errors.Join(err, g.undo())
}

// undo takes away what was written of lines that are not in the log. The files are
// opened again the next time: a file whose sync failed cannot be trusted to report
// the next failure.
func (g *Ledger) undo() error {
	g.dirty = true
	if g.open.lines == nil || g.open.hashes == nil {
		return g.closeFiles()
	}
	if g.cutTo(g.open.lines, g.open.hashes, g.first()) == nil {
		g.dirty = false
	}
	return g.closeFiles()
}

// cutTo takes away what is behind the last line of a segment, hashes first: wherever it
// is stopped, there are none of lines that are not there.
func (g *Ledger) cutTo(lines, hashes File, first int64) error {
	count, err := countHashes(g.cfg.Dir, first)
	if err == nil && first+count > g.tree.size {
		err = hashes.Truncate((g.tree.size - first) * tlog.HashSize)
	}
	if err != nil {
		return err
	}
	return lines.Truncate(g.offset)
}

// openSegment opens the files of the segment, and makes them if need be.
func (g *Ledger) openSegment(first int64) (err error) {
	if g.open.lines != nil {
		return nil
	}
	if g.open.lines, err = g.cfg.OpenFile(linesPath(g.cfg.Dir, first)); err != nil {
		return err
	}
	if g.open.hashes, err = g.cfg.OpenFile(hashesPath(g.cfg.Dir, first)); err != nil {
		return err
	}
	if g.open.tags, err = g.cfg.OpenFile(tagsPath(g.cfg.Dir, first)); err != nil {
		return err
	}
	if g.open.checkpoint, err = g.cfg.OpenFile(checkpointPath(g.cfg.Dir, first)); err != nil || g.offset > 0 {
		return err
	}
	return regular.Sync(g.cfg.Dir)
}

// writeLines makes the lines and writes them, and waits for the disk.
func (g *Ledger) writeLines(src Source, from, n int) error {
	g.leaves, g.tags = g.leaves[:0], g.tags[:0]
	for i := 0; i < n; {
		g.buf = append(g.buf[:0], 0)
		for ; i < n && len(g.buf) < chunk; i++ {
			if err := g.makeLine(src, from+i); err != nil {
				return err
			}
		}
		if err := src.Ready(); err != nil {
			return err
		}
		lines := g.buf[1:]
		if _, err := g.open.lines.WriteAt(lines, g.offset); err != nil {
			return err
		}
		g.offset += int64(len(lines))
	}
	return g.open.lines.Sync()
}

// makeLine appends a line to the buffer. The byte before it is the prefix of a
// leaf while it is hashed, and then the end of the line before again.
func (g *Ledger) makeLine(src Source, i int) (err error) {
	start := len(g.buf)
	if g.buf, err = src.Append(g.buf, i, g.tree.size, g.prev); err != nil {
		return err
	}
	if len(g.buf)-start >= MaxLine {
		return errLong
	}
	g.buf[start-1] = 0
	g.leaves = append(g.leaves, g.take(g.buf[start-1:], g.cfg.Bits))
	g.tags = binary.LittleEndian.AppendUint64(g.tags, src.Tag(i))
	g.buf[start-1] = '\n'
	g.buf = append(g.buf, '\n')
	return nil
}

// take adds a line, with its prefix, to the tree.
func (s *state) take(prefixed []byte, bits int) tlog.Hash {
	s.add(leafHash(prefixed), bits)
	return s.prev
}

// add adds the hash of a line.
func (s *state) add(leaf tlog.Hash, bits int) {
	s.prev = leaf
	if (s.tree.size+1)&(1<<bits-1) == 0 {
		s.ended = s.tree.ending(bits, leaf)
	}
	s.tree.push(0, leaf)
}

// seal stores the hashes of new lines and signs a checkpoint over them. The lines
// are on the disk: so a checkpoint never says more than is there, wherever the
// power fails.
func (g *Ledger) seal(first, from int64) error {
	g.hashes = appendHashes(g.hashes[:0], g.leaves)
	if _, err := g.open.hashes.WriteAt(g.hashes, (from-first)*tlog.HashSize); err != nil {
		return err
	}
	// What does not find a record makes its search longer, and nothing else.
	_, _ = g.open.tags.WriteAt(g.tags, (from-first)*tagSize)
	signed, err := g.signature()
	if err != nil {
		return err
	}
	if n, err := g.open.checkpoint.WriteAt(signed, 0); n > 0 && err != nil {
		return errors.Join(err, g.open.checkpoint.Truncate(0)) // half a checkpoint says less than none
	} else if err != nil {
		return err // the one from before holds
	}
	if g.first() > first {
		g.roll(first)
	}
	return nil
}

// roll ends a segment that is full. The records are in the log: what fails here
// is made good from them at the next start.
func (g *Ledger) roll(first int64) {
	_ = errors.Join(g.syncRest(first), g.closeFiles())
	g.offset = 0
	_ = g.storeRoots(first>>g.cfg.Bits, []tlog.Hash{g.ended})
}

// syncRest has what a full segment has beside its lines on the disk.
func (g *Ledger) syncRest(first int64) error {
	for _, path := range []string{hashesPath(g.cfg.Dir, first), checkpointPath(g.cfg.Dir, first)} {
		f, err := g.cfg.OpenFile(path)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// storeRoots writes the roots of full segments, from the one of a number on.
func (g *Ledger) storeRoots(number int64, roots []tlog.Hash) error {
	f, err := g.cfg.OpenFile(rootsPath(g.cfg.Dir))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(appendHashes(nil, roots), number*tlog.HashSize)
	return errors.Join(err, f.Sync(), f.Close())
}
