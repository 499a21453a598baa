package app

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"slices"

	"onnxgate/internal/config"
	"onnxgate/internal/regular"
)

// Local asks the server of a configuration, for a command on its machine.
type Local struct {
	cfg *config.Config
	tls *tls.Config // nil without TLS
	// served is the certificate that the last answer came with, nil without TLS.
	served *tls.ConnectionState
}

// NewLocal reads the certificate by which the server is known.
func NewLocal(cfg *config.Config) (*Local, error) {
	l := &Local{cfg: cfg}
	if !cfg.TLS {
		return l, nil
	}
	return l, l.pin()
}

// Get asks a listener, host:port, for a path. The name in the request is localhost,
// whatever the address is: a server on loopback answers no other. The caller closes
// the body.
func (l *Local) Get(ctx context.Context, addr, path string, header http.Header) (*http.Response, error) {
	scheme := "http"
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr) // an unspecified address dials this machine
		},
	}
	if l.tls != nil {
		scheme, transport.TLSClientConfig = "https", l.tls
	}
	_, port, _ := net.SplitHostPort(addr)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost:"+port+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		req.Header[name] = values
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no answer on %s: %w", addr, err)
	}
	l.served = resp.TLS
	return resp, nil
}

// maxCertificate bounds the file of the server's certificate, in bytes.
const maxCertificate = 1 << 20

// pin accepts the server's own certificate and no other, under any name: the
// certificate of an operator need not name localhost.
func (l *Local) pin() error {
	file := l.cfg.TLSCertFile
	if file == "" {
		file = filepath.Join(inDataDir(l.cfg, certsDir), "cert.pem")
	}
	data, _, err := regular.ReadFile(file, maxCertificate)
	if err != nil {
		return fmt.Errorf("no certificate to compare with: %w; start a server first, or name its data directory with --data-dir or ONNXGATE_DATA_DIR", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return fmt.Errorf("%s holds no certificate", file)
	}
	l.tls = &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // G402: VerifyConnection compares the certificate itself
		VerifyConnection: func(state tls.ConnectionState) error {
			if !slices.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the server's certificate is not the one in " + file)
			}
			return nil
		},
	}
	return nil
}
