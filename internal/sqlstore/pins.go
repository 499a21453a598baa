package sqlstore

import (
	"context"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
)

var modelPins = newTable(table[inference.Pin]{
	name: "model_pins", what: "model that was rolled back", key: "folder", tenant: "tenant",
	columns: []column[inference.Pin]{
		{"folder", func(r *inference.Pin) field { return text{&r.Folder} }},
		{"tenant", func(r *inference.Pin) field { return text{&r.Tenant} }},
		{"version", func(r *inference.Pin) field { return text{&r.Version} }},
		{"newest", func(r *inference.Pin) field { return text{&r.Newest} }},
	},
})

// ModelPins is the store as models see it that are rolled back.
type ModelPins struct{ store *Store }

var _ inference.Pins = ModelPins{}

// ModelPins returns the versions that models were rolled back to.
func (s *Store) ModelPins() ModelPins { return ModelPins{s} }

// All returns the pins of every tenant, by their folders.
func (p ModelPins) All(ctx context.Context) (pins []inference.Pin, err error) {
	err = p.store.viewing(ctx, func(t *transaction) error {
		pins, err = rows[inference.Pin]{modelPins, t}.List(accounts.AnyTenant, accounts.Page{})
		return err
	})
	return pins, err
}

// Put keeps a pin instead of the one that its folder has, and moves the
// revision. Faults: NotFound when there is no such tenant.
func (p ModelPins) Put(ctx context.Context, pin inference.Pin) error {
	return p.store.moving(ctx, func(t *transaction) error {
		if _, err := (rows[accounts.Tenant]{tenants, t}).Get(pin.Tenant, pin.Tenant); err != nil {
			return err
		}
		pins := rows[inference.Pin]{modelPins, t}
		err := pins.Replace(&pin)
		if fault.KindOf(err) == fault.NotFound {
			err = pins.Insert(&pin)
		}
		return err
	})
}

// Delete removes the pin of a folder, if it has one, and then moves the revision.
func (p ModelPins) Delete(ctx context.Context, tenant, folder string) error {
	return p.store.moving(ctx, func(t *transaction) error {
		pins := rows[inference.Pin]{modelPins, t}
		if _, err := pins.Get(tenant, folder); err != nil {
			if fault.KindOf(err) == fault.NotFound {
				return nil
			}
			return err
		}
		return pins.Delete(tenant, folder)
	})
}
