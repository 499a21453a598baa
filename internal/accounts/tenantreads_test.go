package accounts_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/accounts"
)

// reads are what was asked of a store.
type reads struct{ Views, Tenants int }

// counting counts the reads of a store.
type counting struct {
	accounts.Store

	reads reads
}

func (c *counting) View(ctx context.Context, read func(*accounts.Tx) error) error {
	c.reads.Views++
	return c.Store.View(ctx, func(tx *accounts.Tx) error { return read(c.count(tx)) })
}

func (c *counting) Note(ctx context.Context, change func(*accounts.Tx) error) error {
	return c.Store.Note(ctx, func(tx *accounts.Tx) error { return change(c.count(tx)) })
}

func (c *counting) count(tx *accounts.Tx) *accounts.Tx {
	counted := *tx
	counted.Tenants = countingTenants{tx.Tenants, &c.reads}
	return &counted
}

type countingTenants struct {
	accounts.Rows[accounts.Tenant]

	reads *reads
}

func (c countingTenants) Get(tenant, id string) (*accounts.Tenant, error) {
	c.reads.Tenants++
	return c.Rows.Get(tenant, id)
}

func TestASecretCostsOneLookUpWithItsTenant(t *testing.T) {
	var store *counting
	f := newFixture(t, func(c *accounts.Config) { store = &counting{Store: c.Store}; c.Store = store })
	f.add(t, "ada", "user")
	client, secret := f.addClient(t)
	token, _ := f.signIn(t)
	for name, test := range map[string]struct {
		present func() error
		want    reads
	}{
		"password": {func() error {
			_, _, err := f.VerifyPassword(t.Context(), "ada", password)
			return err
		}, reads{1, 1}},
		"wrong password": {func() error {
			_, _, err := f.VerifyPassword(t.Context(), "ada", another)
			return err
		}, reads{1, 1}},
		"secret of a client": {func() error {
			_, err := f.VerifyClient(t.Context(), client.ID, secret)
			return err
		}, reads{1, 1}},
		"refresh token": {func() error {
			_, err := f.refresh(t, token)
			return err
		}, reads{0, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			store.reads = reads{}
			if err := test.present(); (err != nil) != (name == "wrong password") {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, store.reads); diff != "" {
				t.Error(diff)
			}
		})
	}
}
