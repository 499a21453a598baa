package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

// healthTime is how long the server may take to say that it lives.
const healthTime = 3 * time.Second

func healthcheckCommand(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "healthcheck", Short: "Check whether the server on this machine is alive", Args: exactly()}
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

// healthcheck asks for /livez.
func healthcheck(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	server, err := app.NewLocal(cfg)
	if err != nil {
		return err
	}
	addr := cfg.Addr
	if cfg.ClientCert == "require" && cfg.AdminAddr != "" {
		addr = cfg.AdminAddr // the other listener lets nobody in without a certificate
	}
	resp, err := server.Get(ctx, addr, "/livez", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the server on %s answered %s", addr, resp.Status)
	}
	return nil
}
