package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/certs"
	"onnxgate/internal/config"
)

func (a *App) openCerts() (err error) {
	if !a.cfg.TLS {
		return nil
	}
	if a.certs, err = newCerts(a.cfg, a.certificateChanged, a.clock.Now); err != nil {
		return err
	}
	a.clients, err = newClients(a.cfg, a.clock.Now)
	return err
}

// newClients returns what judges client certificates, nil when none is asked
// for.
func newClients(cfg *config.Config, now func() time.Time) (*certs.Clients, error) {
	if cfg.ClientCAFile == "" {
		return nil, nil //nolint:nilnil // it is off
	}
	clients, err := certs.NewClients(certs.ClientConfig{
		CAFile: cfg.ClientCAFile, CRLFile: cfg.ClientCRLFile, Now: now,
	})
	if err != nil {
		return nil, fmt.Errorf("ONNXGATE_CLIENT_CA_FILE, ONNXGATE_CLIENT_CRL_FILE: %w", err)
	}
	return clients, nil
}

func newCerts(cfg *config.Config, changed func(*certs.Certificate, error), now func() time.Time) (*certs.Manager, error) {
	m, err := certs.New(certs.Config{
		CertFile: cfg.TLSCertFile, KeyFile: cfg.TLSKeyFile,
		Dir: inDataDir(cfg, certsDir), Hosts: certificateHosts(cfg),
		Now: now, Changed: changed,
	})
	if err != nil && cfg.TLSCertFile != "" {
		return nil, fmt.Errorf("ONNXGATE_TLS_CERT_FILE, ONNXGATE_TLS_KEY_FILE: %w", err)
	}
	return m, err
}

// certificateHosts are the names, beside the loopback ones, under which this
// server can be reached as far as it can know.
func certificateHosts(cfg *config.Config) []string {
	host, _, _ := net.SplitHostPort(cfg.Addr)
	hosts := []string{host}
	if name, err := os.Hostname(); err == nil {
		hosts = append(hosts, name)
	}
	return hosts
}

func (a *App) certificateChanged(cert *certs.Certificate, err error) {
	ctx := context.Background()
	if err != nil {
		a.log.ErrorContext(ctx, "kept the old certificate", slog.Any("error", err))
		return
	}
	a.noted(ctx, &audit.Record{Event: audit.ServerCertificate, Object: cert.Fingerprint})
	a.log.InfoContext(ctx, "took over a new certificate", slog.String("sha256_fingerprint", cert.Fingerprint))
}

// Fingerprint is the SHA-256 of the certificate, and its file when it is one of
// our own making, which clients may trust. Both are empty without TLS.
func (a *App) Fingerprint() (fingerprint, ownFile string) {
	if a.certs == nil {
		return "", ""
	}
	if a.certs.SelfSigned() {
		ownFile = a.certs.CertFile()
	}
	return a.certs.Current().Fingerprint, ownFile
}

// Certificate returns the certificate in use and the file that it is from; nil
// without TLS.
func (a *App) Certificate() (cert *certs.Certificate, file string) {
	if a.certs == nil {
		return nil, ""
	}
	return a.certs.Current(), a.certs.CertFile()
}

// checkCerts reads the files of the operator, or those of our own where they were made
// before.
func checkCerts(cfg *config.Config) error {
	_, err := newClients(cfg, time.Now)
	if !cfg.TLS {
		return err
	}
	if cfg.TLSCertFile == "" {
		return errors.Join(err, certs.Check(inDataDir(cfg, certsDir)))
	}
	_, own := newCerts(cfg, nil, time.Now)
	return errors.Join(err, own)
}
