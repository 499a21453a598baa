package sqlstore

import (
	"strings"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
)

// TestAStatementThatForgetsTheTenantFindsNothing runs the statements of a table
// that lack what binds them to the tenant.
func TestAStatementThatForgetsTheTenantFindsNothing(t *testing.T) {
	s, err := Open(t.Context(), Config{URL: testkit.StartPostgres(t).Database(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	forgetful := *users
	for _, statement := range []*string{&forgetful.sql.get, &forgetful.sql.list, &forgetful.sql.replace, &forgetful.sql.remove} {
		before := *statement
		*statement = strings.Replace(before, "WHERE tenant = ? AND", "WHERE ? <> '' AND", 1)
		if *statement == before {
			t.Fatalf("nothing to forget in %s", before)
		}
	}
	at := time.Unix(1, 0).UTC()
	ada := &accounts.Record{User: accounts.User{Name: "ada", Tenant: "default", CreatedAt: at, UpdatedAt: at, Roles: []string{"user"}}}
	foreign := *ada
	foreign.Tenant = "acme"
	err = s.write(t.Context(), func(tx *transaction) error {
		mine := rows[accounts.Record]{&forgetful, tx}
		acme := accounts.Tenant{CreatedAt: at, UpdatedAt: at}
		acme.Name = "acme"
		if err := (rows[accounts.Tenant]{tenants, tx}).Insert(&acme); err != nil {
			return err
		}
		if err := mine.Insert(ada); err != nil {
			return err
		}
		if _, err := mine.Get("default", "ada"); err != nil {
			t.Errorf("as its own tenant: %v", err)
		}
		if _, err := mine.Get("acme", "ada"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("get: %v, want not found", err)
		}
		if all, err := mine.List("acme", accounts.Page{}); err != nil || len(all) != 0 {
			t.Errorf("list: %v, %v, want nothing", all, err)
		}
		if err := mine.Delete("acme", "ada"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("delete: %v, want not found", err)
		}
		if err := mine.Replace(&foreign); fault.KindOf(err) != fault.NotFound {
			t.Errorf("replace: %v, want not found", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
