// Package ledger keeps lines in a Merkle log (RFC 6962 section 2.1) of which
// signed checkpoints can be handed out: segments of lines, the hashes of the
// lines, and a checkpoint beside each segment. Several processes may write one
// log, one at a time.
//
// It must not know what a line says, nor how it is encrypted: whoever appends
// makes the lines, and says whether one that no checkpoint covers is genuine.
package ledger

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	dirMode  = 0o700
	fileMode = 0o600
	lockName = "lock"
	// rootsName is the file of the roots of full segments.
	rootsName = "roots"
	// DefaultBits is how many records a segment has, as a power of two.
	DefaultBits = 16
	// chunk is how many bytes of lines are gathered before they are written.
	chunk = 128 << 10
	// MaxLine bounds a line, in bytes.
	MaxLine = 128 << 10
)

// File is what a log is written to.
type File interface {
	io.WriterAt
	Truncate(size int64) error
	Sync() error
	Close() error
}

// Source makes the lines that are appended: a line begins with {"index":N, of its
// place, and has no line end in it. Its methods are called while no other process
// writes.
type Source interface {
	// Tag returns what finds line i again, beside which others may have it, too; 0 for
	// nothing.
	Tag(i int) uint64
	// Begin is called first: another process may have changed what lines depend on.
	Begin() error
	// Append appends line i, which will stand behind the line of the hash prev.
	Append(dst []byte, i int, index int64, prev tlog.Hash) ([]byte, error)
	// Ready is called before lines are written, to store what they depend on.
	Ready() error
}

// Config is what a Ledger needs. Dir, Signer, Verifier, Authentic and Pruned are
// required.
type Config struct {
	Dir string
	// Bits is the number of records in a segment, as a power of two; 0 stands for
	// DefaultBits. It is the same for the life of a log.
	Bits     int
	Signer   note.Signer
	Verifier note.Verifier
	// Authentic returns an error unless the line was made for its place by whoever
	// has the keys of the log; ErrUnknown when the key of this line was destroyed.
	Authentic func(index int64, prev tlog.Hash, line []byte) error
	// Pruned says which lines are statements of lines that are not kept.
	Pruned Statement
	// Repaired is told what was cut off the end of the log. Nil: nobody.
	Repaired func(Repair)
	// OpenFile opens a file for writing and makes it if need be; nil stands for the
	// operating system's.
	OpenFile func(path string) (File, error)
}

// Repair is what was cut off the end of a log before anything was appended.
type Repair struct {
	// Index is that of the first record that is not there any more.
	Index int64
	// Lines is how many whole lines did not authenticate; they were put aside. 0
	// stands for the beginning of a line whose writer was stopped.
	Lines int
	Bytes int64
}

// ErrUnknown is the reason for a line of which nobody can say any more whether it
// is genuine.
var ErrUnknown = errors.New("the key of the record was destroyed")

// DamagedError says that a log is not what its checkpoints say. Nothing is
// appended to such a log.
type DamagedError struct {
	Index  int64
	Reason string
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the audit log is damaged at record %d: %s; keep its directory as evidence, move it away and start anew", e.Index, e.Reason)
}

// state is how far a log goes.
type state struct {
	tree frontier
	prev tlog.Hash // of the last record
	// ended is the root of the segment that ended last, when the last record ended one.
	ended tlog.Hash
	// offset is the size of the segment in bytes.
	offset int64
}

// Ledger appends to a log. It is for one goroutine at a time.
type Ledger struct {
	cfg  Config
	lock *os.File
	state
	open segment
	// dirty says that there may be bytes behind offset that failed to be written.
	dirty  bool
	buf    []byte
	leaves []tlog.Hash
	// hashes and tags are those of the leaves, as they are written.
	hashes, tags []byte
}

// segment holds the open files of the segment that is appended to.
type segment struct{ lines, hashes, tags, checkpoint File }

// Open opens the log of a directory, or makes it, and cuts off what was not
// written to its end. Its error is a *DamagedError for a log that is not what its
// checkpoints say.
func Open(cfg Config) (*Ledger, error) {
	if cfg.Dir == "" || cfg.Signer == nil || cfg.Verifier == nil || cfg.Authentic == nil || cfg.Pruned == nil {
		return nil, errors.New("ledger: a directory, a key and a check of lines are needed")
	}
	cfg.Bits = bitsOr(cfg.Bits)
	if cfg.OpenFile == nil {
		cfg.OpenFile = openFile
	}
	if cfg.Repaired == nil {
		cfg.Repaired = func(Repair) {}
	}
	if err := os.MkdirAll(cfg.Dir, dirMode); err != nil {
		return nil, err
	}
	lock, err := openLock(cfg.Dir)
	if err != nil {
		return nil, err
	}
	g := &Ledger{cfg: cfg, lock: lock}
	if err := g.locked(g.load); err != nil {
		return nil, errors.Join(err, g.closeFiles(), lock.Close())
	}
	return g, nil
}

func bitsOr(bits int) int {
	if bits == 0 {
		return DefaultBits
	}
	return bits
}

func openFile(path string) (File, error) { //nolint:ireturn // as Config has it
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY, fileMode) //nolint:gosec // G304: in the log's own directory
}

// Hold does something to the directory of a log, which must be there, while no
// process writes the log.
func Hold(dir string, do func() error) (err error) {
	lock, err := openLock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	return (&Ledger{lock: lock}).locked(do)
}

func openLock(dir string) (*os.File, error) {
	return os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, fileMode) //nolint:gosec // G304: the log's own directory
}

// locked does something while no other process writes.
func (g *Ledger) locked(do func() error) error {
	if err := hold(g.lock, false); err != nil {
		return err
	}
	return errors.Join(do(), release(g.lock))
}

// Locked does something while no other process writes, with the log up to date.
func (g *Ledger) Locked(do func() error) error {
	return g.locked(func() error {
		if err := g.follow(); err != nil {
			return err
		}
		return do()
	})
}

// Size is how many records the log has, as far as this process knows.
func (g *Ledger) Size() int64 { return g.tree.size }

// Close gives the files up. What was appended is on the disk.
func (g *Ledger) Close() error {
	var failed error
	if g.open.checkpoint != nil {
		failed = g.open.checkpoint.Sync()
	}
	return errors.Join(failed, g.closeFiles(), g.lock.Close())
}

func (g *Ledger) closeFiles() error {
	var failed error
	for _, f := range []File{g.open.lines, g.open.hashes, g.open.tags, g.open.checkpoint} {
		if f != nil {
			failed = errors.Join(failed, f.Close())
		}
	}
	g.open = segment{}
	return failed
}

// first is the index of the first record of the segment that is appended to.
func (g *Ledger) first() int64 { return g.tree.size >> g.cfg.Bits << g.cfg.Bits }

// Checkpoint signs the log as it is and returns the signed note, which is on the
// disk then.
func (g *Ledger) Checkpoint() (signed []byte, err error) {
	err = g.locked(func() error {
		if err := g.follow(); err != nil {
			return err
		}
		if g.tree.size == 0 {
			signed, err = g.signature()
			return err
		}
		if signed, err = g.signature(); err != nil {
			return err
		}
		at := (g.tree.size - 1) >> g.cfg.Bits << g.cfg.Bits
		return g.store(at, signed)
	})
	return signed, err
}

// store writes the checkpoint of a segment.
func (g *Ledger) store(first int64, signed []byte) error {
	f, err := g.cfg.OpenFile(checkpointPath(g.cfg.Dir, first))
	if err != nil {
		return err
	}
	_, err = f.WriteAt(signed, 0)
	return errors.Join(err, f.Sync(), f.Close())
}

func (g *Ledger) signature() ([]byte, error) {
	return sign(tlog.Tree{N: g.tree.size, Hash: g.tree.root()}, g.cfg.Signer)
}
