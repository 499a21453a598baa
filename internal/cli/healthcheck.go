package cli

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
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/config"
	"onnxgate/internal/regular"
)

// healthTime is how long the server may take to say that it lives.
const healthTime = 3 * time.Second

func healthcheckCommand(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "healthcheck", Short: "Ask the server on this machine whether it lives", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_ADDR", "ONNXGATE_DATA_DIR")
	s.insecureHTTP = true // whether the bind is allowed is not the question here
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		cfg, err := s.load(cmd)
		if err != nil {
			return err
		}
		return healthcheck(cmd.Context(), cfg)
	}
	return cmd
}

// healthcheck asks for /livez. The name in the request is localhost, whatever
// the address is: a server on loopback answers no other.
func healthcheck(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	addr := cfg.Addr
	if cfg.ClientCert == "require" && cfg.AdminAddr != "" {
		addr = cfg.AdminAddr // the other listener lets nobody in without a certificate
	}
	scheme := "http"
	transport := &http.Transport{
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr) // an unspecified address dials this machine
		},
	}
	if cfg.TLS {
		scheme = "https"
		var err error
		if transport.TLSClientConfig, err = pinned(cfg); err != nil {
			return err
		}
	}
	_, port, _ := net.SplitHostPort(addr)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://localhost:"+port+"/livez", http.NoBody)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return fmt.Errorf("no answer on %s: %w", addr, err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server on %s answered %s", addr, resp.Status)
	}
	return nil
}

// maxCertificate bounds the file of the server's certificate, in bytes.
const maxCertificate = 1 << 20

// pinned accepts the server's own certificate and no other, under any name: the
// certificate of an operator need not name localhost.
func pinned(cfg *config.Config) (*tls.Config, error) {
	file := cfg.TLSCertFile
	if file == "" {
		file = filepath.Join(cfg.DataDir, "tls", "cert.pem")
	}
	data, _, err := regular.ReadFile(file, maxCertificate)
	if err != nil {
		return nil, fmt.Errorf("no certificate to compare with: %w; start a server first, or name its data directory with --data-dir or ONNXGATE_DATA_DIR", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, //nolint:gosec // G402: VerifyConnection compares the certificate itself
		VerifyConnection: func(state tls.ConnectionState) error {
			if !slices.Equal(state.PeerCertificates[0].Raw, block.Bytes) {
				return errors.New("the server's certificate is not the one in " + file)
			}
			return nil
		},
	}, nil
}
