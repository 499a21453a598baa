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
)

// Check says whether a server with this configuration could start, with the
// errors that its start would have, and what its operator should know. It leaves
// nothing behind. Whether the addresses are free it does not ask: the server may
// be running.
func Check(cfg *config.Config) (warnings []string, err error) {
	found, err := examine(cfg)
	ctx, cancel := context.WithTimeout(context.Background(), verifyTime)
	defer cancel()
	_, damaged := verifyAudit(ctx, cfg)
	return texts(found), errors.Join(err, damaged)
}

// examine looks at what is there without any server, and reaches for nothing that
// is elsewhere.
func examine(cfg *config.Config) (found []Finding, err error) {
	var catalog *inference.Catalog
	tenants := &laterAccounts{cfg: cfg}
	defer func() { err = errors.Join(err, tenants.close()) }()
	var ofDatabase []Finding
	var roles authz.Roles
	err = inParallel(
		func() (err error) { ofDatabase, err = checkDatabase(cfg); return err },
		func() (err error) { roles, err = readRoles(cfg); return err },
		func() error { return probeDataDir(cfg.DataDir) },
		func() error { return checkAdminPassword(cfg) },
		func() error { return checkCerts(cfg) },
		func() error { return checkKEK(cfg) },
		func() error { return checkIssuers(cfg) },
		func() error { return checkTelemetry(cfg) },
		func() (err error) {
			catalog, err = newCatalog(cfg, inference.Config{TenantExists: tenants.exists})
			return err
		},
	)
	if err != nil {
		return nil, err
	}
	for _, p := range catalog.Problems() {
		found = append(found, Finding{modelNotServed, Warning, p.Error(), "mend it, or take it away; onnxgate model check says more"})
	}
	for _, w := range accessWarnings(catalog, roles, tenants.exists) {
		found = append(found, Finding{modelRules, Warning, fmt.Sprintf("model %s: %s", w.Model, w.Text), "change its model.yaml, or ONNXGATE_ROLES_FILE"})
	}
	return slices.Concat(found, ofDatabase, advice(cfg, catalog)), nil
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
		all = append(all, Finding{modelNotServed, Error, "no model is served", "put one at " + filepath.Join(cfg.ModelsDir, "NAME", "1", "model.onnx")})
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

// checkCerts reads the files of the operator; a certificate of our own is made
// at the start.
func checkCerts(cfg *config.Config) error {
	_, err := newClients(cfg)
	if cfg.TLS && cfg.TLSCertFile != "" {
		_, own := newCerts(cfg, nil)
		err = errors.Join(err, own)
	}
	return err
}

// The permission bits of others. Those of the group are left alone: volume
// managers set them for a group that the server alone is in.
const (
	othersWrite  fs.FileMode = 0o002
	othersAccess fs.FileMode = 0o007
)

// checkDataDir refuses a data directory, or a folder of secrets in it, that
// others may write to: they could put keys and users of their own there. What
// is missing is made later, for this user alone.
func checkDataDir(dir string) error {
	var errs []error
	for _, path := range []string{dir, filepath.Join(dir, keysDir), filepath.Join(dir, certsDir)} {
		if mode := modeOf(path); mode&othersWrite != 0 {
			errs = append(errs, fmt.Errorf("other users may write to %[1]s (mode %04[2]o), where keys and users are kept: "+
				"run chmod 700 %[1]s, or name another data directory with ONNXGATE_DATA_DIR or --data-dir (a folder in this one is made private)", path, mode))
		}
	}
	return errors.Join(errs...)
}

// modeOf returns the permission bits, and none for what is missing.
func modeOf(path string) fs.FileMode {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Mode().Perm()
}

// openToOthers warns of secrets that others may read.
func openToOthers(cfg *config.Config) []Finding {
	var all []Finding
	if mode := modeOf(cfg.DataDir); mode&othersAccess != 0 {
		all = append(all, Finding{
			dataDirMode, Warning,
			fmt.Sprintf("other users may enter the data directory %s (mode %04o)", cfg.DataDir, mode), "run chmod 700 " + cfg.DataDir,
		})
	}
	for _, secret := range secretFiles(cfg) {
		if mode := modeOf(secret.path); mode&othersAccess != 0 {
			all = append(all, Finding{
				keyFileMode, Warning,
				fmt.Sprintf("other users may read or change the %s %s (mode %04o)", secret.what, secret.path, mode), "run chmod o= " + secret.path,
			})
		}
	}
	return all
}

// secretFile is a file of the operator's that holds a key.
type secretFile struct{ what, path string }

func secretFiles(cfg *config.Config) []secretFile {
	all := []secretFile{{"key-encryption key", cfg.KEKFile}, {"identity of sealed settings", cfg.EnvIdentityFile}}
	if cfg.TLS {
		all = append(all, secretFile{"private key", cfg.TLSKeyFile})
	}
	return slices.DeleteFunc(all, func(f secretFile) bool { return f.path == "" })
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
func probeDataDir(dir string) error {
	_, err := os.Stat(dir)
	if errors.Is(err, os.ErrNotExist) {
		return badDataDir(probeMkdir(dir))
	}
	if err == nil {
		err = probeWrite(dir)
	}
	return errors.Join(badDataDir(err), checkDataDir(dir))
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
