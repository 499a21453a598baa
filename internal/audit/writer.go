package audit

import (
	"context"
	"errors"
	"time"

	"onnxgate/internal/audit/ledger"
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
			l.flush()
		case <-late.C:
			l.flush()
		case do := <-l.tasks:
			do()
		case <-l.stop:
			l.flush()
			return
		}
		if l.Err() != nil {
			late.Reset(l.cfg.Retry)
		}
	}
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

// addGap adds the record of those that are missing, and returns how many that are.
func (l *Log) addGap(b *batch) int64 {
	l.mu.Lock()
	missing := l.missing
	l.missing = 0
	l.mu.Unlock()
	if missing > 0 {
		b.add(context.Background(), &Record{Event: AuditGap, Count: missing, Outcome: OK}, l.cfg.Now())
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
	shift := len(b.text) - it.start
	end := it.parts[it.count-1].body
	b.text = append(b.text, from.text[it.start:end]...)
	moved := *it
	moved.start += shift
	moved.tenant += shift
	for p := range moved.count {
		moved.parts[p].subject += shift
		moved.parts[p].body += shift
	}
	b.items = append(b.items, moved)
}

// do lets the writer do something between two batches, since the log is for one
// goroutine.
func (l *Log) do(ctx context.Context, task func() error) error {
	result := make(chan error, 1)
	select {
	case l.tasks <- func() { result <- task() }:
		return <-result
	case <-l.stopped:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Checkpoint signs the log as it is and returns the signed note (C2SP
// tlog-checkpoint).
func (l *Log) Checkpoint(ctx context.Context) (signed []byte, err error) {
	err = l.do(ctx, func() error { //nolint:contextcheck // what waits was recorded by others
		l.flush()
		if err := l.Err(); err != nil {
			return err
		}
		signed, err = l.ledger.Checkpoint()
		return err
	})
	return signed, err
}

// Size is how many records are on the disk for good, those that other processes
// wrote among them.
func (l *Log) Size(ctx context.Context) (size int64, err error) {
	err = l.do(ctx, func() error {
		return l.ledger.Locked(func() error {
			size = l.ledger.Size()
			return nil
		})
	})
	return size, err
}

// Close writes what waits, signs a checkpoint over everything and gives the files
// up. What is recorded afterwards fails.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if closed {
		return nil
	}
	close(l.stop)
	<-l.stopped
	failed := l.Err()
	if failed == nil {
		_, failed = l.ledger.Checkpoint()
	}
	return errors.Join(failed, l.ledger.Close())
}

var _ ledger.Source = (*sealer)(nil)
