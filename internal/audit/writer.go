package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// write is the goroutine that writes: what came while the disk was busy is
// written together.
func (l *Log) write() {
	defer close(l.stopped)
	late := time.NewTimer(l.cfg.Within)
	late.Stop()
	for {
		select {
		case <-l.wake: // soon, with what comes until then
			late.Reset(l.cfg.Within)
		case <-l.hurry:
			l.busy(l.flush)
		case <-late.C:
			l.busy(l.flush)
		case task := <-l.tasks:
			l.busy(task)
		case <-l.stop:
			l.busy(l.flush)
			return
		}
		if l.lastErr() != nil {
			late.Reset(l.cfg.Retry)
		}
	}
}

// busy does what may wait for the disk, and lets others know since when.
func (l *Log) busy(do func()) {
	l.begin(l.cfg.Now())
	do()
	l.begin(time.Time{})
}

func (l *Log) begin(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.began = at
}

// flush writes what waits. After a failure it tries again what nobody waited for,
// together with a record of what is missing.
func (l *Log) flush() {
	b := l.take()
	missing := l.addGap(b)
	if len(b.items) == 0 {
		l.giveBack(b)
		return
	}
	done, err := l.ledger.Append(len(b.items), &sealer{vault: l.vault, batch: b})
	if err != nil {
		l.vault.Discard()
	}
	l.settle(b, done, missing, err)
}

// take returns the batch that is to be written, and begins another.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.next
	l.next, l.spare = l.spare, nil
	if l.next == nil {
		l.next = &batch{}
	}
	l.writing = len(b.items)
	return b
}

// lastErr is what came of the last attempt to write.
func (l *Log) lastErr() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// addGap adds the record of those that are missing, and returns how many that are.
func (l *Log) addGap(b *batch) int64 {
	l.mu.Lock()
	missing := l.missing
	l.missing = 0
	l.mu.Unlock()
	if missing > 0 {
		b.add(&reqctx.Info{}, &Record{Event: AuditGap, Tenant: identity.DefaultTenant, Count: missing, Outcome: OK}, l.cfg.Now())
	}
	return missing
}

// settle says what became of a batch of which the first records are written.
func (l *Log) settle(b *batch, done int, missing int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writing = 0
	if b.result != nil {
		if err != nil {
			b.result.err = errUnavailable(err)
		}
		close(b.result.done)
	}
	l.failed = err
	if err != nil {
		l.missing += missing
		l.keep(b, done, missing > 0)
	}
	b.reset()
	l.spare = b
}

// giveBack keeps an empty batch for its memory.
func (l *Log) giveBack(b *batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b.reset()
	l.spare = b
}

// keep puts what nobody waited for before what came since. Whoever waited was
// refused, so that their records would not be true.
func (l *Log) keep(b *batch, done int, gap bool) {
	came := l.next
	kept := &batch{}
	items := b.items[done:]
	if gap {
		items = items[:max(len(items)-1, 0)]
	}
	for i := range items {
		if items[i].waits {
			l.missing++
			continue
		}
		kept.copy(b, &items[i])
	}
	for i := range came.items {
		kept.copy(came, &came.items[i])
	}
	kept.result = came.result
	l.next = kept
}

// copy takes a record over from another batch.
func (b *batch) copy(from *batch, it *item) {
	shift := b.end() - it.start
	end := it.general
	if it.count > 0 {
		end = it.parts[it.count-1].body
	}
	b.text = append(b.text, from.text[it.start:end]...)
	moved := *it
	for _, at := range []*int32{&moved.start, &moved.event, &moved.tenant, &moved.readable, &moved.general} {
		*at += shift
	}
	for p := range moved.count {
		moved.parts[p].owner += shift
		moved.parts[p].body += shift
	}
	b.items = append(b.items, moved)
}

// do lets the writer do something between two batches, since the log is for one
// goroutine. A task that was begun when ctx ends goes on without its caller.
func do[T any](ctx context.Context, l *Log, task func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	result := make(chan outcome, 1)
	var none T
	select {
	case l.tasks <- func() {
		value, err := task()
		result <- outcome{value, err}
	}:
	case <-l.stopped:
		return none, errClosed
	case <-ctx.Done():
		return none, ctx.Err()
	}
	select {
	case r := <-result:
		return r.value, r.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// Checkpoint signs the log as it is and returns the signed note (C2SP
// tlog-checkpoint).
func (l *Log) Checkpoint(ctx context.Context) (signed []byte, err error) {
	return do(ctx, l, func() ([]byte, error) {
		l.flush()
		if err := l.lastErr(); err != nil {
			return nil, err
		}
		return l.ledger.Checkpoint()
	})
}

// Size is how many records are on the disk for good, those that other processes
// wrote among them.
func (l *Log) Size(ctx context.Context) (size int64, err error) {
	return do(ctx, l, func() (size int64, err error) {
		err = l.ledger.Locked(func() error {
			size = l.ledger.Size()
			return nil
		})
		return size, err
	})
}

// Close writes what waits, signs a checkpoint over everything and gives the files
// up. What is recorded afterwards fails. A disk that does not answer holds nobody up
// for longer than Config.Hung: the error then says how many records may be lost,
// and what is under way is left alone.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	close(l.stop)
	ended := make(chan error, 1)
	go func() { ended <- l.end() }()
	hung := time.NewTimer(l.cfg.Hung)
	defer hung.Stop()
	select {
	case err := <-ended:
		return err
	case <-hung.C:
		return fmt.Errorf("the audit log %s: %w: %s may be lost", l.cfg.Dir, errHung, records(l.Lag()))
	}
}

func records(n int64) string {
	if n == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", n)
}

// end waits for the writer, and closes what it wrote to.
func (l *Log) end() error {
	<-l.stopped
	failed := l.lastErr()
	if failed == nil {
		_, failed = l.ledger.Checkpoint()
	}
	return errors.Join(failed, l.ledger.Close())
}

var _ ledger.Source = (*sealer)(nil)
