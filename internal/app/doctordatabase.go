package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authz"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
)

// databaseFindings looks at the database that there is, and at what is in it, and says
// which was looked at.
func databaseFindings(ctx context.Context, cfg *config.Config) (found []Finding, looked string) {
	if HasAccounts(cfg) != nil {
		return kekFindings(cfg), "database " + inDataDir(cfg, databaseFile) + ": none yet"
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	store, status, err := sqlstore.Look(ctx, database(cfg))
	if err != nil {
		return append(kekFindings(cfg), unreachableDatabase(cfg, err)), "database: it cannot be reached or read"
	}
	defer store.Close() //nolint:errcheck // only read from
	looked = fmt.Sprintf("database %s: %s, version %d of the schema", status.Location, status.Backend, status.Version)
	if status.Version == status.Newest {
		return slices.Concat(storedKEKFindings(ctx, cfg, store), roleFindings(ctx, cfg, store)), looked
	}
	found = kekFindings(cfg)
	switch {
	case status.Version > status.Newest:
		found = append(found, Finding{
			databaseSchema, Error, fmt.Sprintf("%s has version %d of the schema, and this program knows %d", status.Location, status.Version, status.Newest),
			"run the newer program, or restore a backup from before it",
		})
	case status.Version > 0: // else no server was started with it yet
		found = append(found, Finding{
			databaseSchema, Warning, fmt.Sprintf("%s has version %d of the schema, which a start brings to %d", status.Location, status.Version, status.Newest),
			"run onnxgate db backup FILE first, to be able to go back",
		})
	}
	return found, looked
}

func unreachableDatabase(cfg *config.Config, err error) Finding {
	fix := "fix it, or name another data directory with ONNXGATE_DATA_DIR"
	if cfg.DatabaseURL.IsSet() {
		fix = "start it, or change " + cfg.Variable("ONNXGATE_DATABASE_URL")
	}
	return Finding{databaseUnreachable, Error, err.Error(), fix}
}

// storedKEKFindings try the key-encryption key on what is in the database, and look for
// a rotation that was not finished.
func storedKEKFindings(ctx context.Context, cfg *config.Config, store *sqlstore.Store) []Finding {
	if err := wrongKEK(ctx, cfg, store); err != nil {
		what, fix := cutFix(err.Error())
		return []Finding{{startRefused, Error, what, fix}}
	}
	path, _ := kekPath(cfg)
	text, err := sealing.FormerKEK(ctx, sealing.Config{Store: store.Sealing(), KEKFile: path, Outside: auditKeys{cfg}})
	if err != nil || text == "" {
		return nil // told as what refuses a start
	}
	what, fix := cutFix(text)
	return []Finding{{kekFormer, Warning, what, fix}}
}

// wrongKEK returns the error with which a server refuses to start for a key-encryption
// key that does not open what is in the database. A file of the operator's that holds
// no key is told elsewhere.
func wrongKEK(ctx context.Context, cfg *config.Config, store *sqlstore.Store) error {
	path, ours := kekPath(cfg)
	if _, err := seal.ReadKEK(path); err != nil && !ours {
		return nil
	}
	return sealing.CheckKEK(ctx, sealing.Config{Store: store.Sealing(), KEKFile: path})
}

// checkStoredKEK tries the key-encryption key on what is in the database, and changes
// nothing. Where it cannot be tried it says why.
func checkStoredKEK(ctx context.Context, cfg *config.Config) (untried string, err error) {
	if HasAccounts(cfg) != nil {
		return "there is no database " + inDataDir(cfg, databaseFile) + " yet", nil
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	store, status, err := sqlstore.Look(ctx, database(cfg))
	if err != nil {
		return err.Error(), nil
	}
	defer store.Close() //nolint:errcheck // only read from
	if other := otherSchema(status); other != nil {
		return other.Error(), nil
	}
	return "", wrongKEK(ctx, cfg, store)
}

// otherSchema says that nothing can be read in a database of another version.
func otherSchema(status *sqlstore.Status) error {
	switch status.Version {
	case status.Newest:
		return nil
	case 0:
		return errors.New("no server was started yet with the database " + status.Location)
	}
	return fmt.Errorf("%s has version %d of the schema, and this program makes %d", status.Location, status.Version, status.Newest)
}

// seenTenants are those of a database that is only looked at.
type seenTenants struct {
	cfg  *config.Config
	once sync.Once

	store  *sqlstore.Store
	status *sqlstore.Status
	err    error
}

// exists reports whether there is a tenant: none where no server was started yet, and
// any where that cannot be found out.
func (s *seenTenants) exists(ctx context.Context, name string) (exists bool, err error) {
	if HasAccounts(s.cfg) != nil {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, doctorTime)
	defer cancel()
	s.once.Do(func() { s.store, s.status, s.err = sqlstore.Look(ctx, database(s.cfg)) })
	if s.err != nil || otherSchema(s.status) != nil {
		return s.err != nil || s.status.Version > 0, nil
	}
	err = s.store.View(ctx, func(tx *accounts.Tx) error {
		_, err := tx.Tenants.Get(name, name)
		return err
	})
	return fault.KindOf(err) != fault.NotFound, nil
}

func (s *seenTenants) close() error {
	if s.store == nil {
		return nil
	}
	return s.store.Close()
}

// kekLooked says which key-encryption key there is: replicas have the same.
func kekLooked(cfg *config.Config) []string {
	path, _ := kekPath(cfg)
	kek, err := seal.ReadKEK(path)
	if err != nil {
		return nil
	}
	keys := kek.Fingerprints()
	looked := "key-encryption key " + path + ": fingerprint " + keys[0]
	if kek.Rotating() {
		looked += ", and of the former one " + keys[1]
	}
	return []string{looked}
}

// UndefinedRoles returns those of the roles that permit nothing, since they are neither
// built in nor in the operator's file, each once. Words that only the rules of a model
// know are among them, too.
func UndefinedRoles(cfg *config.Config, roles []string) ([]string, error) {
	known, err := readRoles(cfg)
	if err != nil {
		return nil, err
	}
	return undefinedIn(known, roles), nil
}

func undefinedIn(known authz.Roles, roles []string) []string {
	undefined := slices.DeleteFunc(slices.Clone(roles), known.Knows)
	slices.Sort(undefined)
	return slices.Compact(undefined)
}

// roleFindings name the roles of users, keys and clients that nobody has defined, and
// what else of a key is probably not meant.
func roleFindings(ctx context.Context, cfg *config.Config, store *sqlstore.Store) []Finding {
	known, err := readRoles(cfg)
	if err != nil {
		return nil // told as what refuses a start
	}
	var all []Finding
	judge := func(who string, roles []string) {
		for _, role := range undefinedIn(known, roles) {
			all = append(all, Finding{
				roleUndefined, Warning,
				fmt.Sprintf("%s has the role %q, which is neither built in nor in ONNXGATE_ROLES_FILE: it permits nothing", who, role),
				"give another role, or define this one in ONNXGATE_ROLES_FILE",
			})
		}
	}
	err = store.View(ctx, func(tx *accounts.Tx) error {
		users, err := tx.Users.List(accounts.AnyTenant, accounts.Page{})
		if err != nil {
			return err
		}
		for i := range users {
			judge("the user "+users[i].Name, users[i].Roles)
		}
		keys, err := tx.Keys.List(accounts.AnyTenant, accounts.Page{})
		for i := range keys {
			judge("the API key "+keys[i].ID, keys[i].Roles)
			all = append(all, keyFindings(cfg, &keys[i])...)
		}
		if err != nil {
			return err
		}
		clients, err := tx.Clients.List(accounts.AnyTenant, accounts.Page{})
		for i := range clients {
			judge("the client "+clients[i].ID, clients[i].Roles)
		}
		return err
	})
	if err != nil {
		all = append(all, unreachableDatabase(cfg, err))
	}
	return all
}
