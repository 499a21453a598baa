package app

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"onnxgate/internal/config"
	"onnxgate/internal/regular"
)

// private is a file or a folder that other users have no business with.
type private struct {
	id         string // of the finding that it is open
	what, path string
	// refused are the permission bits with which no server starts: others could put
	// keys and users of their own there, or have read what the server alone knows.
	refused fs.FileMode
}

// privates is the one list of what has to be private, for a start and for those who
// look before it. What is missing is made later, for this user alone. A file that
// the operator mounts may be open to readers by its nature, which is told and not
// refused.
func privates(cfg *config.Config) []private {
	all := []private{
		{dataDirMode, "data directory", cfg.DataDir, regular.OthersWrite},
		{dataDirMode, "folder of the signing keys", inDataDir(cfg, keysDir), regular.OthersWrite},
		{dataDirMode, "folder of the certificate's key", inDataDir(cfg, certsDir), regular.OthersWrite},
		{keyFileMode, "first administrator's password", inDataDir(cfg, passwordFile), 0},
	}
	keys, _ := fs.Glob(os.DirFS(inDataDir(cfg, keysDir)), "*.pem") // a folder that cannot be read has none
	for _, name := range keys {
		all = append(all, private{keyFileMode, "signing key", filepath.Join(inDataDir(cfg, keysDir), name), regular.OthersAccess})
	}
	if cfg.DatabaseURL.Reveal() == "" {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			all = append(all, private{keyFileMode, "database", inDataDir(cfg, databaseFile) + suffix, regular.OthersAccess})
		}
	}
	switch path, ours := kekPath(cfg); {
	case ours:
		all = append(all, private{keyFileMode, "key-encryption key", path, regular.OthersAccess})
	default:
		all = append(all, private{keyFileMode, "key-encryption key", path, regular.OthersWrite})
	}
	switch {
	case cfg.TLS && cfg.TLSKeyFile != "":
		all = append(all, private{keyFileMode, "private key", cfg.TLSKeyFile, 0})
	case cfg.TLS:
		all = append(all, private{keyFileMode, "private key", filepath.Join(inDataDir(cfg, certsDir), "key.pem"), regular.OthersAccess})
	}
	if cfg.EnvIdentityFile != "" {
		all = append(all, private{keyFileMode, "identity of sealed settings", cfg.EnvIdentityFile, 0})
	}
	secrets := cfg.SecretFiles()
	for _, name := range slices.Sorted(maps.Keys(secrets)) {
		all = append(all, private{keyFileMode, "secret of " + name, secrets[name], 0})
	}
	for _, path := range cfg.PlainFiles() {
		all = append(all, private{keyFileMode, "file with secret settings", path, 0})
	}
	return all
}

// checkModes refuses what a server does not start with.
func checkModes(cfg *config.Config) error {
	var errs []error
	for _, p := range privates(cfg) {
		info, err := os.Stat(p.path)
		if err != nil {
			continue // there is none yet, or whoever reads it says what is wrong
		}
		err = regular.CheckMode(p.path, info.Mode(), p.refused)
		switch {
		case err == nil:
		case p.path == cfg.DataDir:
			errs = append(errs, fmt.Errorf("the %s %s: %w, or name another with ONNXGATE_DATA_DIR or --data-dir (a folder in this one is made private)", p.what, p.path, err))
		default:
			errs = append(errs, fmt.Errorf("the %s %s: %w", p.what, p.path, err))
		}
	}
	return errors.Join(errs...)
}

// openToOthers warns of what a server starts with although others may read it.
func openToOthers(cfg *config.Config) []Finding {
	var all []Finding
	for _, p := range privates(cfg) {
		info, err := os.Stat(p.path)
		if err != nil || p.refused == regular.OthersAccess {
			continue
		}
		mode := info.Mode().Perm()
		switch {
		case mode&regular.OthersAccess == 0:
		case !info.IsDir():
			all = append(all, Finding{
				p.id, Warning, fmt.Sprintf("other users may read or change the %s %s (mode %04o)", p.what, p.path, mode), "run chmod o= " + p.path,
			})
		case p.path == cfg.DataDir: // the folders in it are closed by this one
			all = append(all, Finding{
				p.id, Warning, fmt.Sprintf("other users may enter the %s %s (mode %04o)", p.what, p.path, mode), "run chmod 700 " + p.path,
			})
		}
	}
	return all
}
