package sealing

import (
	"context"
	"errors"
	"fmt"

	"onnxgate/internal/audit"
	"onnxgate/internal/identity"
	"onnxgate/internal/seal"
)

// kekObject is the key-encryption key in records.
const kekObject = "kek"

// KEKRotation is what came of a rotation of the key-encryption key.
type KEKRotation struct {
	// Wrapped is how many keys were wrapped again.
	Wrapped int
	// Nothing says that there was nothing to do, and that nothing was done: the rotation
	// had ended before, or nothing is wrapped at all.
	Nothing bool
	// Resumed says that a key was taken which was in the file already, and none was made.
	Resumed bool
}

// rotation is one under way.
type rotation struct {
	*Service
	KEKRotation

	actor string
	// own says that the key is made here, and not by whoever keeps the file.
	own   bool
	begun bool
}

// RotateKEK wraps everything under another key-encryption key. Servers that share the
// store go on. With own, it makes the new key in the file, and removes the former one
// when nothing is wrapped under it any more; else whoever keeps the file has put the
// new key before the former one, and removes that afterwards. A rotation that broke
// off, wherever, goes on with the next, and one that has ended stays as it is.
//
// It is on record before anything is done, with the outcome audit.Begun, and afterwards
// with how it ended. Faults: Conflict where there is no new key, and for lines that were
// swapped. Actor is who asks, for the record.
func (s *Service) RotateKEK(ctx context.Context, actor string, own bool) (KEKRotation, error) {
	r := &rotation{Service: s, actor: actor, own: own}
	// Each inside of a transaction, that nobody else may write meanwhile.
	err := s.store.Update(ctx, func(keys Keys) error { return r.begin(ctx, keys.Wrapped()) })
	if err == nil && r.begun {
		err = s.store.Update(ctx, func(keys Keys) error { return r.end(keys.Wrapped()) })
	}
	if err == nil {
		err = s.Reload(ctx)
	}
	if !r.begun {
		return r.KEKRotation, err
	}
	// Who gave up waiting is told of as well.
	if unkept := r.record(context.WithoutCancel(ctx), audit.Outcome(err)); unkept != nil {
		err = errors.Join(err, fmt.Errorf("how the rotation ended is not on record, and that it began is: %w", unkept))
	}
	return r.KEKRotation, err
}

// begin wraps what of the store is not wrapped under the new key.
func (r *rotation) begin(ctx context.Context, all Wrapped) error {
	kek, err := seal.ReadKEK(r.kekFile)
	if err != nil {
		return err
	}
	l, err := r.weigh(kek, all)
	if err != nil {
		return err
	}
	if todo, err := r.judge(kek, l); err != nil || !todo {
		r.Nothing = err == nil
		return err
	}
	if err := r.record(ctx, audit.Begun); err != nil {
		return err
	}
	r.begun = true
	if !kek.Rotating() {
		if kek, l, err = r.makeKey(all); err != nil {
			return err
		}
	}
	if err := r.note(all, l, true); err != nil {
		return err
	}
	return r.rewrap(kek, all)
}

// judge reports whether there is anything to do, and notes what a former rotation has
// left.
func (r *rotation) judge(kek *seal.KEK, l *lines) (todo bool, err error) {
	if !kek.Rotating() {
		if !r.own {
			return false, l.alone()
		}
		return true, nil
	}
	at, err := l.stage()
	// A key of our own making that is over has yet to go.
	todo = err == nil && (at == due || at == over && r.own)
	r.Resumed = todo && r.own
	return todo, err
}

// makeKey puts a new key before the one in the file.
func (r *rotation) makeKey(all Wrapped) (*seal.KEK, *lines, error) {
	if err := seal.BeginKEKRotation(r.kekFile); err != nil {
		return nil, nil, err
	}
	kek, err := seal.ReadKEK(r.kekFile)
	if err != nil {
		return nil, nil, err
	}
	l, err := r.weigh(kek, all)
	return kek, l, err
}

func (r *rotation) rewrap(kek *seal.KEK, all Wrapped) error {
	return all.EachWrapped(func(b seal.Binding, wrapped []byte) ([]byte, error) {
		if kek.Wrapped(b, wrapped) {
			return nil, nil
		}
		secret, err := kek.Unwrap(b, wrapped)
		if err != nil {
			return nil, r.wrong(b)
		}
		r.Wrapped++
		return kek.Wrap(b, secret), nil
	})
}

// end wraps what is outside of the store, and removes a former key of our own making
// where nothing is wrapped under it. Somebody else may have begun another rotation
// meanwhile, and ends that.
func (r *rotation) end(all Wrapped) error {
	more, err := r.outside.Rewrap()
	r.Wrapped += more
	if err != nil || !r.own {
		return err
	}
	kek, err := seal.ReadKEK(r.kekFile)
	if err != nil {
		return err
	}
	if l, err := r.weigh(kek, all); err != nil || l.by[1] > 0 {
		return err
	}
	return seal.EndKEKRotation(r.kekFile)
}

func (r *rotation) record(ctx context.Context, outcome string) error {
	return r.audit.Record(ctx, &audit.Record{
		Event: audit.KeyRotate, Actor: r.actor, Tenant: identity.DefaultTenant, Object: kekObject,
		Changes: audit.Changes{{What: audit.PropertySecret}}, Decision: audit.Allow, Outcome: outcome,
	})
}
