package cli

import (
	"context"
	"errors"
	"os"
	"runtime"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

// drainTime is how long a stop waits for requests, after ONNXGATE_DRAIN_DELAY. It is
// under the 30 s after which Kubernetes kills.
const drainTime = 25 * time.Second

func serveCommand(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "serve", Short: "Serve the models", Args: exactly()}
	s := addSettings(cmd, p)
	cmd.Flags().BoolVar(&s.insecureHTTP, "insecure-http", false, "allow plain HTTP beyond this machine, where passwords and tokens can be read in transit")
	examples := cmd.Flags().Bool("print-examples", false, "print curl lines to paste once the server is listening")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.serve(cmd, s, *examples)
	}
	return cmd
}

func (p *Process) serve(cmd *cobra.Command, s *settings, examples bool) error {
	cfg, err := s.load(cmd)
	if err != nil {
		return err
	}
	if !cfg.Pprof {
		runtime.MemProfileRate = 0 // nobody can ask for what would be noted of allocations
	}
	a, err := app.New(cmd.Context(), cfg, app.Options{
		Log: p.Stderr, Text: p.onTerminal(), Version: p.version(), HashWorker: p.hashWorker(),
	})
	if err != nil {
		return err
	}
	if examples {
		if err := p.printExamples(cmd.Context(), a, cfg); err != nil {
			return errors.Join(err, a.Close())
		}
	}
	a.Start(cmd.Context())
	return p.untilDone(cmd, s, a)
}

// untilDone serves until the process is told to end, and reloads meanwhile:
// beside the loop, so that a reload that waits for a file system does not keep
// the process from ending. While one is under way, one more is remembered.
func (p *Process) untilDone(cmd *cobra.Command, s *settings, a *app.App) error {
	ctx := cmd.Context()
	wanted := make(chan struct{}, 1)
	defer close(wanted)
	go func() {
		for range wanted {
			a.Reload(ctx, func() (*config.Config, error) { return s.load(cmd) })
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return stop(ctx, a, nil)
		case err := <-a.Failed():
			return stop(ctx, a, err)
		case <-p.Reload:
			select {
			case wanted <- struct{}{}:
			default: // the one that waits will see this change too
			}
		}
	}
}

func stop(ctx context.Context, a *app.App, cause error) error {
	ctx = context.WithoutCancel(ctx)
	if cause == nil {
		cause = a.Withdraw(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	if err := a.Stop(ctx); cause == nil {
		return err
	}
	return cause
}

// onTerminal reports whether the log is read by a person.
func (p *Process) onTerminal() bool {
	f, ok := p.Stderr.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
