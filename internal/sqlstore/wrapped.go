package sqlstore

import (
	"onnxgate/internal/accounts"
	"onnxgate/internal/keys"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
)

// The statements on key-encryption keys. They are few, and the installation's.
const (
	listKEKs = `SELECT fingerprint, number, since FROM key_encryption_keys`
	addKEK   = `INSERT INTO key_encryption_keys (fingerprint, number, since) VALUES (?, ?, ?)`
)

// wrapped is what the key-encryption key wraps, of every table, inside of a
// transaction.
type wrapped struct{ *transaction }

var _ sealing.Wrapped = wrapped{}

// EachWrapped hands to visit what the database keeps wrapped, and stores what it
// returns in its place; nil leaves it.
func (w wrapped) EachWrapped(visit func(seal.Binding, []byte) ([]byte, error)) error {
	if err := rewrap(rows[sealing.Record]{fernetKeys, w.transaction}, visit, func(r *sealing.Record) (seal.Binding, *[]byte) {
		if r.State == sealing.Retired {
			return seal.Binding{}, nil
		}
		return sealing.Binding(&r.Key), &r.Wrapped
	}); err != nil {
		return err
	}
	return rewrap(rows[keys.Record]{signingKeys, w.transaction}, visit, func(r *keys.Record) (seal.Binding, *[]byte) {
		if r.Retired {
			return seal.Binding{}, nil
		}
		return sealing.SigningBinding(r.KID), &r.Private
	})
}

// rewrap visits what the records of a table keep wrapped: of returns nothing for a
// record that keeps nothing.
func rewrap[R any](in rows[R], visit func(seal.Binding, []byte) ([]byte, error), of func(*R) (seal.Binding, *[]byte)) error {
	all, err := in.List(anyTenant, accounts.Page{})
	if err != nil {
		return err
	}
	for i := range all {
		binding, wrapped := of(&all[i])
		if wrapped == nil {
			continue
		}
		instead, err := visit(binding, *wrapped)
		if err != nil {
			return err
		}
		if instead == nil {
			continue
		}
		*wrapped = instead
		if err := in.Replace(&all[i]); err != nil {
			return err
		}
	}
	return nil
}

// KEKs returns the key-encryption keys that were ever in use, in any order.
func (w wrapped) KEKs() (all []sealing.KEKUse, err error) {
	err = w.each(anyTenant, listKEKs, nil, func(scan func(...any) error) error {
		var use sealing.KEKUse
		err := scan(text{&use.Fingerprint}, number{&use.Number}, instant{&use.Since})
		all = append(all, use)
		return err
	})
	return all, err
}

// AddKEK adds one that is not there.
func (w wrapped) AddKEK(use *sealing.KEKUse) error {
	_, err := w.change(anyTenant, addKEK, use.Fingerprint, use.Number, use.Since.Unix())
	return err
}
