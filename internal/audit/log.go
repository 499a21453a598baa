package audit

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/audit/vault"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

const (
	// keysName is the directory of the keys, within that of the log.
	keysName = "keys"
	// defaultWithin leaves half of the 100 ms to the disk.
	defaultWithin = 50 * time.Millisecond
	defaultRetry  = 250 * time.Millisecond
	// defaultHung is far beyond what disks need, and short enough for a request to
	// wait.
	defaultHung = 5 * time.Second
	// maxWaiting bounds what waits to be written: some 16 MiB.
	maxWaiting = 16 << 20
)

// Wrapper is the key-encryption key, which wraps the keys of tenants and the one
// that signs the log.
type Wrapper = vault.Wrapper

// Config is what a Log needs. Dir, Mode, KEK and Now are required.
type Config struct {
	// Dir is the directory of the log, which is made if need be.
	Dir string
	// Mode is Strict or BestEffort: whether Record waits for the disk.
	Mode Mode
	KEK  Wrapper
	Now  func() time.Time
	// Within is how long a record that nobody waits for may stay in memory; 0
	// stands for 50 ms.
	Within time.Duration
	// Retry is how often a log that cannot be written tries again; 0 stands for
	// 250 ms.
	Retry time.Duration
	// Hung is how long the disk may take before it counts as one that cannot be
	// written, for a record, and for the end of the log; 0 stands for 5 s.
	Hung time.Duration
	// OpenFile opens a file for writing; nil stands for the operating system's.
	OpenFile func(path string) (ledger.File, error)
	// SegmentBits is the number of records in a file as a power of two; 0 stands
	// for 16, 65,536 records.
	SegmentBits int
}

// Log keeps records in a directory: encrypted, in a Merkle log with signed
// checkpoints. It is a Recorder, safe for concurrent use; further processes may
// write the same log.
type Log struct {
	cfg    Config
	vault  *vault.Vault // the writer's
	ledger *ledger.Ledger
	keys   logKeys

	mu      sync.Mutex
	next    *batch // what is written next
	spare   *batch
	failed  error     // nil while the log can be written
	missing int64     // records since, that were not kept
	writing int       // how many records are being written
	began   time.Time // since when the writer may be waiting for the disk; zero when it is not
	closed  bool

	wake    chan struct{} // there is something to write
	hurry   chan struct{} // and somebody waits for it
	stop    chan struct{}
	stopped chan struct{}
	tasks   chan func() // what the writer does between batches
}

// logKeys are the keys that sign checkpoints and check them, in the form of
// golang.org/x/mod/sumdb/note.
type logKeys struct {
	signer   note.Signer
	verifier note.Verifier
	// text is the verifier's key, for others.
	text string
}

// Open opens the log of a directory, or makes it. What a process that was killed
// left half-written is cut off; a log that is not what its checkpoints say is an
// error, for the operator.
func Open(cfg Config) (*Log, error) {
	switch {
	case cfg.Dir == "" || cfg.KEK == nil || cfg.Now == nil:
		return nil, errors.New("audit: a directory, a key-encryption key and a clock are needed")
	case cfg.Mode != Strict && cfg.Mode != BestEffort:
		return nil, fmt.Errorf("audit: a log is %s or %s, not %q", Strict, BestEffort, cfg.Mode)
	}
	if cfg.Within <= 0 {
		cfg.Within = defaultWithin
	}
	if cfg.Retry <= 0 {
		cfg.Retry = defaultRetry
	}
	if cfg.Hung <= 0 {
		cfg.Hung = defaultHung
	}
	l := &Log{
		cfg: cfg, next: &batch{}, spare: &batch{},
		wake: make(chan struct{}, 1), hurry: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}), tasks: make(chan func()),
	}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("the audit log %s: %w", cfg.Dir, err)
	}
	go l.write()
	return l, nil
}

func (l *Log) open() (err error) {
	if l.vault, err = vault.New(filepath.Join(l.cfg.Dir, keysName), l.cfg.KEK); err != nil {
		return err
	}
	if err = ledger.Hold(l.cfg.Dir, func() (err error) {
		l.keys, err = openKeys(l.cfg.Dir, l.vault, true)
		return err
	}); err != nil {
		return err
	}
	l.ledger, err = ledger.Open(ledger.Config{
		Dir: l.cfg.Dir, Bits: l.cfg.SegmentBits, Signer: l.keys.signer, Verifier: l.keys.verifier,
		Authentic: authentic(l.vault), Pruned: statement, Repaired: l.repaired, OpenFile: l.cfg.OpenFile,
	})
	return err
}

// openKeys reads the keys that sign the log; with create they are made for a log
// that has no records.
func openKeys(dir string, v *vault.Vault, create bool) (logKeys, error) {
	var fresh func() (string, error)
	if create && !ledger.Exists(dir) {
		fresh = newKeys
	}
	text, err := v.LogKey(fresh)
	if err != nil {
		return logKeys{}, err
	}
	signing, verifying, _ := strings.Cut(text, "\n")
	k := logKeys{text: verifying}
	if k.signer, err = note.NewSigner(signing); err != nil {
		return logKeys{}, err
	}
	if k.verifier, err = note.NewVerifier(verifying); err != nil {
		return logKeys{}, err
	}
	if create {
		err = ledger.PublishKey(dir, verifying)
	}
	return k, err
}

// CountWrapped returns how many keys of the log in a directory the key-encryption key,
// as it is at present, has wrapped, and how many a former one; none where there is no
// log. Others may read and write the log meanwhile.
func CountWrapped(dir string, kek Wrapper) (present, former int, err error) {
	keys, err := keysOf(dir)
	if err != nil || keys == "" {
		return 0, 0, err
	}
	if present, former, err = vault.View(keys, kek).CountWrapped(); err != nil {
		return 0, 0, fmt.Errorf("the audit log %s: %w", dir, err)
	}
	return present, former, nil
}

// keysOf returns where the keys of a log are, empty where there are none.
func keysOf(dir string) (string, error) {
	keys := filepath.Join(dir, keysName)
	if _, err := os.Stat(keys); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		return "", err
	}
	return keys, nil
}

// Rewrap wraps under the key-encryption key, as it is at present, what a former one
// wrapped of the keys of the log in a directory, and returns how many that were; none
// where there is no log. Others may read and write the log meanwhile.
func Rewrap(dir string, kek Wrapper) (count int, err error) {
	keys, err := keysOf(dir)
	if err != nil || keys == "" {
		return 0, err
	}
	err = ledger.Hold(dir, func() (err error) {
		count, err = vault.View(keys, kek).Rewrap()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("the audit log %s: %w", dir, err)
	}
	return count, nil
}

// newKeys makes the keys of a log, under a name that no other log has.
func newKeys() (string, error) {
	id := make([]byte, 8)
	if _, err := io.ReadFull(rand.Reader, id); err != nil {
		return "", err
	}
	signing, verifying, err := note.GenerateKey(rand.Reader, "onnxgate/audit/"+hex.EncodeToString(id))
	return signing + "\n" + verifying, err
}

// repaired puts on record what was cut off the end of the log.
func (l *Log) repaired(r ledger.Repair) {
	outcome := OK
	if r.Lines > 0 {
		outcome = "forged"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next.add(&reqctx.Info{}, &Record{Event: AuditCut, Tenant: identity.DefaultTenant, Count: int64(r.Lines), Outcome: outcome}, l.cfg.Now())
	l.notify(l.wake)
}

// errUnavailable is for a record that could not be kept.
func errUnavailable(cause error) error {
	err := fault.New(fault.Unavailable, "The audit log cannot be written")
	err.Err = cause
	return err
}

var (
	errFull   = errors.New("too many audit records wait for the disk")
	errClosed = errors.New("the audit log is closed")
	errHung   = errors.New("the disk of the audit log does not answer")
)

// Record keeps a record. In strict mode it returns when a record that is Durable is
// on the disk; every other one is there within 100 ms, unless the disk is slower.
// Its error is of kind fault.Unavailable.
func (l *Log) Record(ctx context.Context, rec *Record) error {
	wait, first, err := l.enqueue(ctx, rec)
	if err != nil {
		return errUnavailable(err)
	}
	switch {
	case wait != nil:
		l.notify(l.hurry)
	case first:
		l.notify(l.wake)
	}
	if wait == nil {
		return nil
	}
	// The context's end is no reason to leave: the record will be there, and who
	// waits for it would take the log for broken.
	hung := time.NewTimer(l.cfg.Hung)
	defer hung.Stop()
	select {
	case <-wait.done:
		return wait.err
	case <-hung.C:
		return errUnavailable(errHung)
	}
}

// enqueue copies a record into the next batch, and returns what to wait for.
func (l *Log) enqueue(ctx context.Context, rec *Record) (wait *result, first bool, err error) {
	at := rec.Time
	if at.IsZero() {
		at = l.cfg.Now()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.next.text) > maxWaiting {
		err = errFull
	}
	if failed := l.broken(); failed != nil {
		err = failed
	}
	if l.closed {
		err = errClosed
	}
	if err != nil {
		l.missing++
		return nil, false, err
	}
	it := l.next.add(reqctx.From(ctx), rec, at)
	if l.cfg.Mode == Strict && rec.Durable() {
		it.waits = true
		if l.next.result == nil {
			l.next.result = &result{done: make(chan struct{})}
		}
		wait = l.next.result
	}
	return wait, len(l.next.items) == 1, nil
}

// notify wakes the writer, which may be awake.
func (*Log) notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Err is nil while the log can be written.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken()
}

// broken returns why no record can be kept: the last attempt failed, or the present
// one has been going on for too long. l.mu is held.
func (l *Log) broken() error {
	if l.failed == nil && !l.began.IsZero() && l.cfg.Now().Sub(l.began) > l.cfg.Hung {
		return errHung
	}
	return l.failed
}

// Name is that of the key which signs the log. No other log has it.
func (l *Log) Name() string { return l.keys.verifier.Name() }

// Lag is how many records wait for the disk.
func (l *Log) Lag() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.next.items) + l.writing)
}
