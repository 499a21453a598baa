package audit

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/audit/vault"
)

// Report is what a verification found.
type Report struct {
	OK   bool  `json:"ok"`
	Size int64 `json:"size"`
	// FirstBad is the index of the first record that is wrong or missing; nil when
	// none is.
	FirstBad *int64 `json:"first_bad"`
	Reason   string `json:"reason"`
	// Pruned is of how many records, the first of the log, only the hashes are kept, as
	// the log itself says.
	Pruned int64 `json:"pruned,omitempty"`
	// Log is the name of the log, as its checkpoints have it, and Last the time of its
	// last record; empty and nil where nothing can be said of it.
	Log  string     `json:"log,omitempty"`
	Last *time.Time `json:"last,omitempty"`
	// Continues is how many records the given checkpoint signs, all of which are the
	// first of this log; nil without one, and where it is not so.
	Continues *int64 `json:"continues,omitempty"`
	// Warning is what is no proof that something is wrong, and yet not as it usually is.
	Warning string `json:"warning,omitempty"`
}

// Verify looks at every record of a log, and compares it with its checkpoints and,
// unless it is empty, with one that was kept elsewhere. It needs the
// key-encryption key only for what a process that was killed left behind the last
// checkpoint, and to be sure whose key it is that the checkpoints are signed with.
// Its error means that the log could not be read.
func (r *Reader) Verify(ctx context.Context, checkpoint []byte) (report *Report, err error) {
	for range maxLooks {
		if report, err = r.verify(ctx, checkpoint); !errors.Is(err, ledger.ErrChanged) {
			break
		}
	}
	return report, err
}

// maxLooks bounds how often a log is looked at again that is pruned meanwhile.
const maxLooks = 10

func (r *Reader) verify(ctx context.Context, checkpoint []byte) (*Report, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return nil, err
	}
	check, err := r.check()
	if key, ok := errors.AsType[*keyError](err); ok {
		return &Report{Reason: key.Error()}, nil
	}
	if err != nil {
		return nil, err
	}
	if len(checkpoint) > 0 {
		known, wrong := ledger.ParseCheckpoint(checkpoint, check.Verifier)
		if wrong != nil {
			return &Report{Reason: "the given checkpoint is none of this log: " + wrong.Error()}, nil //nolint:nilerr // it is what was asked
		}
		check.Known = &known
	}
	size, err := view.Verify(ctx, *check)
	report := &Report{OK: err == nil, Size: size}
	if wrong, ok := errors.AsType[*ledger.WrongError](err); ok {
		report.FirstBad, report.Reason = &wrong.Index, wrong.Reason
		return report, nil
	}
	if err != nil {
		return report, err
	}
	for _, span := range view.Gone(0) {
		report.Pruned += span[1] - span[0]
	}
	report.Log = check.Verifier.Name()
	if size == 0 {
		report.Warning = noRecord
	}
	if check.Known != nil {
		report.Continues = &check.Known.N
	}
	return report, report.readLast(ctx, view)
}

// noRecord is the warning of a log whose keys are there, and nothing else.
const noRecord = "the log has its keys and not one record: nothing was recorded yet, or somebody took all of it away; compare it with a checkpoint that was kept elsewhere"

// readLast takes over the time of the last record, which needs no key.
func (r *Report) readLast(ctx context.Context, view *ledger.View) error {
	if r.Size == 0 {
		return nil
	}
	err := view.Lines(ctx, r.Size-1, func(_ int64, _ tlog.Hash, line []byte) error {
		s, err := parseStored(line)
		if err != nil {
			return err
		}
		r.Last = &s.Time
		return errFound
	})
	return notFound(err)
}

// keyError says that the key of a log is not the one it was, so that nothing can be
// said of its records.
type keyError struct{ reason string }

func (e *keyError) Error() string { return e.reason }

// check returns what the log is verified with. Its error may be a *keyError.
func (r *Reader) check() (*ledger.Check, error) {
	published, err := ledger.PublishedKey(r.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if r.kek == nil {
		if err != nil {
			return nil, fmt.Errorf("there is neither the key-encryption key nor %w", err)
		}
		verifier, err := note.NewVerifier(published)
		if err != nil {
			return nil, &keyError{"the published key of the log is no key"}
		}
		return &ledger.Check{Verifier: verifier, Pruned: statement}, nil
	}
	keys := r.vault()
	own, err := openKeys(r.dir, keys, false)
	if errors.Is(err, vault.ErrUnknown) {
		return nil, &keyError{"the key that signs the log is missing"}
	}
	if err != nil {
		return nil, err
	}
	if published != "" && published != own.text {
		return nil, &keyError{"the published key of the log is not the one that signs it"}
	}
	return &ledger.Check{Verifier: own.verifier, Authentic: authentic(keys), Pruned: statement}, nil
}

// Receipt proves that a log holds a record: Line hashes to Leaf (RFC 6962 section
// 2.1), and Proof leads from there to the root that Checkpoint signs.
type Receipt struct {
	Record *Entry `json:"record"`
	// Line is empty for a record that was pruned.
	Line       string   `json:"line"`
	Leaf       string   `json:"leaf"`
	Size       int64    `json:"size"`
	Proof      []string `json:"proof"`
	Checkpoint string   `json:"checkpoint"`
	// Key checks the checkpoint (golang.org/x/mod/sumdb/note).
	Key string `json:"key"`
}

// Receipt returns the receipt of a record.
func (r *Reader) Receipt(ctx context.Context, e *Entry) (*Receipt, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return nil, err
	}
	check, err := r.check()
	if err != nil {
		return nil, err
	}
	signed := view.Checkpoint()
	tree, err := ledger.ParseCheckpoint(signed, check.Verifier)
	if err != nil {
		return nil, err
	}
	if tree.N <= e.Index {
		return nil, fmt.Errorf("no checkpoint covers the record %d yet; `onnxgate audit checkpoint` signs one", e.Index)
	}
	proof, err := tlog.ProveRecord(tree.N, e.Index, view)
	if err != nil {
		return nil, err
	}
	receipt := &Receipt{Record: e, Size: tree.N, Checkpoint: string(signed)}
	if receipt.Key, err = ledger.PublishedKey(r.dir); err != nil {
		return nil, err
	}
	for _, hash := range proof {
		receipt.Proof = append(receipt.Proof, base64.StdEncoding.EncodeToString(hash[:]))
	}
	leaf, err := receipt.take(ctx, view)
	if err != nil {
		return nil, err
	}
	receipt.Leaf = base64.StdEncoding.EncodeToString(leaf[:])
	return receipt, tlog.CheckRecord(proof, tree.N, tree.Hash, e.Index, leaf)
}

// take takes over the line of the record, and returns its hash, which is all that
// there is of one that was pruned.
func (r *Receipt) take(ctx context.Context, view *ledger.View) (leaf tlog.Hash, err error) {
	if r.Record.Missing == MissingPruned {
		hashes, err := view.ReadHashes([]int64{tlog.StoredHashIndex(0, r.Record.Index)})
		if err != nil {
			return leaf, err
		}
		return hashes[0], nil
	}
	err = view.Lines(ctx, r.Record.Index, func(_ int64, _ tlog.Hash, line []byte) error {
		r.Line = string(line)
		return errFound
	})
	if !errors.Is(err, errFound) {
		return leaf, errors.Join(errors.New("the record is gone"), err)
	}
	return tlog.RecordHash([]byte(r.Line)), nil
}

// Checkpoint returns the newest signed checkpoint. It needs no key.
func (r *Reader) Checkpoint() ([]byte, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return nil, err
	}
	signed := view.Checkpoint()
	if len(signed) == 0 {
		return nil, errors.New("the audit log has no checkpoint yet: nothing was recorded")
	}
	return signed, nil
}
