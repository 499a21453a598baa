package cli

import (
	"github.com/spf13/cobra"

	"onnxgate/internal/argon"
)

// hashWorker is the name of the command by which the server starts itself again.
const hashWorker = "hash-worker"

// hashWorkerCommand computes password hashes for the server that started it. No
// person calls it, so no help shows it.
func hashWorkerCommand(p *Process) *cobra.Command {
	return &cobra.Command{
		Use: hashWorker, Short: "Compute password hashes for the server that started this", Args: exactly(), Hidden: true,
		RunE: func(*cobra.Command, []string) error { return argon.Serve(p.Stdin, p.Stdout) },
	}
}

// hashWorker returns the path and the arguments of that command, nothing when the
// program does not know where it is.
func (p *Process) hashWorker() []string {
	if p.Executable == "" {
		return nil
	}
	return []string{p.Executable, p.Args[0], hashWorker}
}
