// Command onnxgate serves ONNX models as an API. Main owns what belongs to the
// process alone: its arguments, environment, streams, signals and exit code.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	"onnxgate/internal/cli"
)

// version is stamped by the build: -ldflags "-X main.version=…".
var version string

func main() { os.Exit(run()) }

func run() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go holdStack(ctx.Done())
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	stop := make(chan os.Signal, 2)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-stop
		cancel()
		<-stop // the second one does not wait for the drain
		os.Exit(cli.ExitFailed)
	}()
	executable, _ := os.Executable() // empty: the server does without a process for passwords
	return cli.Run(ctx, &cli.Process{
		Args: os.Args, Lookup: os.LookupEnv, Environ: os.Environ,
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Reload: reload, Now: time.Now, Version: version, Executable: executable,
	})
}
