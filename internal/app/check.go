package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authz"
	"onnxgate/internal/config"
	"onnxgate/internal/inference"
	"onnxgate/internal/modelstore"
)

// Checked is what Check has to say of a configuration that a server starts with.
type Checked struct {
	// Warnings are what works, and is probably not what the operator means.
	Warnings []string
	// Untried says why the key-encryption key was not tried on what the database holds;
	// empty when it was.
	Untried string
}

// Check says whether a server with this configuration could start, with the
// errors that its start would have, and what its operator should know. It leaves
// nothing behind. Whether the addresses are free it does not ask: the server may
// be running. A database that cannot be reached is no error.
func Check(ctx context.Context, cfg *config.Config) (checked Checked, err error) {
	looking, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	var found []Finding
	var wrong, closed, damaged error
	_ = inParallel( // all of them are asked
		func() error { found, wrong = examine(ctx, cfg); return nil },
		func() error { checked.Untried, closed = checkStoredKEK(looking, cfg); return nil },
		func() error { _, damaged = verifyAudit(looking, cfg); return nil },
	)
	if sealed, _ := kekAtFault(cfg, damaged); closed != nil && sealed {
		damaged = nil // it is one file that opens both
	}
	checked.Warnings = texts(found)
	return checked, errors.Join(wrong, closed, damaged, ctx.Err()) // what was cut short has found nothing
}

// examine looks at what is there without any server, and reaches for nothing that
// is elsewhere.
func examine(ctx context.Context, cfg *config.Config) (found []Finding, err error) {
	var catalog *inference.Catalog
	tenants := &seenTenants{cfg: cfg}
	defer func() { err = errors.Join(err, tenants.close()) }()
	var ofDatabase, ofRedis []Finding
	var roles authz.Roles
	err = inParallel(
		func() (err error) { ofDatabase, err = checkDatabase(cfg); return err },
		func() (err error) { ofRedis, err = checkRedis(cfg); return err },
		func() (err error) { roles, err = readRoles(cfg); return err },
		func() error { return probeDataDir(cfg) },
		func() error { return checkAdminPassword(cfg) },
		func() error { return checkCerts(cfg) },
		func() error { return checkKEK(cfg) },
		func() error { return checkSigningKeys(cfg) },
		func() error { return checkIssuers(cfg) },
		func() error { return checkTelemetry(cfg) },
		func() (err error) {
			catalog, err = newCatalog(ctx, cfg, inference.Config{TenantExists: tenants.exists})
			return err
		},
	)
	if err != nil {
		return nil, err
	}
	for _, p := range catalog.Problems() {
		found = append(found, Finding{modelNotServed, Warning, p.Error(), "fix it or remove it; onnxgate model check says more"})
	}
	for _, w := range accessWarnings(ctx, catalog, roles, tenants.exists) {
		found = append(found, Finding{modelRules, Warning, fmt.Sprintf("model %s: %s", w.Model, w.Text), "change its model.yaml, or ONNXGATE_ROLES_FILE"})
	}
	return slices.Concat(found, ofDatabase, ofRedis, advice(cfg, catalog)), nil
}

// advice is what works, and is probably not what the operator means.
func advice(cfg *config.Config, catalog *inference.Catalog) []Finding {
	all := append(openToOthers(cfg), wideProxies(cfg)...)
	all = append(all, inTheClear(cfg)...)
	if !cfg.TLS {
		severity := Warning
		if beyondLoopback(cfg) {
			severity = Error
		}
		all = append(all, Finding{tlsOff, severity, "TLS is off: passwords and tokens travel in the clear", change(cfg, "ONNXGATE_TLS", "on")})
	}
	if len(catalog.All()) == 0 {
		all = append(all, Finding{modelNotServed, Error, "no model is served", "put one at " + filepath.Join(cfg.ModelsDir, "NAME", "1", modelstore.ModelFile)})
	}
	return all
}

// beyondLoopback reports whether another machine can reach a listener.
func beyondLoopback(cfg *config.Config) bool {
	return slices.ContainsFunc([]string{cfg.Addr, cfg.AdminAddr, cfg.GRPCAddr}, func(addr string) bool { return addr != "" && !config.IsLoopback(addr) })
}

func checkAdminPassword(cfg *config.Config) error {
	if !cfg.AdminPassword.IsSet() {
		return nil
	}
	return badAdminPassword(accounts.CheckPassword(accounts.AdminName, cfg.AdminPassword.Reveal()))
}

func badAdminPassword(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("ONNXGATE_ADMIN_PASSWORD_FILE: %w", err)
}

// Networks wider than these are no proxies' but everybody's; 10.0.0.0/8 and
// fc00::/7 are the widest private ones.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

// wideProxies warns of networks in which every client is a trusted proxy.
func wideProxies(cfg *config.Config) []Finding {
	var all []Finding
	for _, p := range cfg.TrustedProxies {
		if p.Addr().Is4() && p.Bits() >= widestIPv4 || p.Addr().Is6() && p.Bits() >= widestIPv6 {
			continue
		}
		severity := Warning
		if p.Bits() == 0 {
			severity = Error
		}
		all = append(all, Finding{
			proxiesAny, severity,
			fmt.Sprintf("ONNXGATE_TRUSTED_PROXIES holds %s: any client in it may claim any address, and with it escape the rate limits", p),
			"name the addresses of the proxies alone: " + change(cfg, "ONNXGATE_TRUSTED_PROXIES", "ADDRESS,…"),
		})
	}
	return all
}

// probeDataDir finds out by doing whether the directory can be made, or written
// to, and undoes it: permissions alone do not tell for root, for read-only file
// systems, and for those of the kernel.
func probeDataDir(cfg *config.Config) error {
	dir := cfg.DataDir
	_, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return badDataDir(probeMkdir(dir))
	}
	if err == nil {
		err = probeWrite(dir)
	}
	return errors.Join(badDataDir(err), checkModes(cfg))
}

// probeMkdir makes the topmost directory that is missing.
func probeMkdir(dir string) error {
	top := filepath.Clean(dir)
	for {
		parent := filepath.Dir(top)
		if _, err := os.Stat(parent); parent == top || !errors.Is(err, os.ErrNotExist) {
			break
		}
		top = parent
	}
	if err := os.Mkdir(top, 0o700); err != nil {
		return err
	}
	return os.Remove(top)
}

func probeWrite(dir string) error {
	f, err := os.CreateTemp(dir, ".check-*")
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "write to", Path: dir, Err: failed.Err} // not a name made up here
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}
