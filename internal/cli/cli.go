// Package cli is the command line: one file a command, on top of package app.
// It owns names of commands and flags, what they print, and the exit codes. It
// must not decide anything that a service decides.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"onnxgate/internal/apikey"
	"onnxgate/internal/config"
)

// Exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
)

// Process is what the command line takes from the process that runs it.
type Process struct {
	// Args are the arguments, the program's own name first.
	Args []string
	// Lookup and Environ read the environment, as os.LookupEnv and os.Environ.
	Lookup  func(string) (string, bool)
	Environ func() []string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Reload receives whenever the configuration should be read again.
	Reload <-chan os.Signal
	Now    func() time.Time
	// Version is what the build was stamped with; may be empty.
	Version string
	// Executable is the path of the program itself, so that the server can have a
	// process of its own for passwords; empty has none.
	Executable string
}

// usageError is an error in how the command was written.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// Run runs one command and returns the exit code. Errors are on standard error,
// one line each.
func Run(ctx context.Context, p *Process) int {
	root := rootCommand(p) //nolint:contextcheck // cobra hands the context of ExecuteContext to each command
	root.SetArgs(p.Args[1:])
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	if _, wrongUse := errors.AsType[*usageError](err); wrongUse {
		p.complain(fmt.Sprintf("%v; see `%s --help`", err, cmd.CommandPath()))
		return ExitUsage
	}
	p.complain(err.Error())
	return ExitFailed
}

// secretKey is an API key, or what was meant as one: longer than its id.
var secretKey = regexp.MustCompile(apikey.Prefix + `[^\s"';,<]{13,}`)

// complain writes to standard error. Errors repeat what was on the command line,
// and a secret that came there is not to go on into a log.
func (p *Process) complain(text string) {
	text = secretKey.ReplaceAllString(text, apikey.Prefix+"[redacted]")
	for line := range strings.SplitSeq(text, "\n") {
		_, _ = fmt.Fprintf(p.Stderr, "onnxgate: %s\n", line)
	}
}

// printf writes to standard output.
func (p *Process) printf(format string, args ...any) error {
	_, err := fmt.Fprintf(p.Stdout, format, args...)
	return err
}

func rootCommand(p *Process) *cobra.Command {
	root := group("onnxgate", "Serve ONNX models as a secure API",
		serveCommand(p), userCommand(p), clientCommand(p), apikeyCommand(p), tenantCommand(p), modelCommand(p), authzCommand(p),
		keysCommand(p), auditCommand(p), dbCommand(p), configCommand(p), packageCommand(p), doctorCommand(p), healthcheckCommand(p), versionCommand(p),
		hashWorkerCommand(p),
	)
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetIn(p.Stdin)
	root.SetOut(p.Stdout)
	root.SetErr(p.Stderr)
	root.SetFlagErrorFunc(flagError)
	root.Version = p.version()
	root.SetVersionTemplate(p.versionLine())
	completeNoFiles(root)
	addExamples(root)
	return root
}

// flagError names the flag that was probably meant, or how to give an argument that
// looks like one.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return &usageError{err}
	}
	// Cobra measures the distance between names of commands alone.
	flags := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		flags.AddCommand(&cobra.Command{Use: f.Name, Run: func(*cobra.Command, []string) {}})
	})
	if near := flags.SuggestionsFor(unknown.GetSpecifiedName()); len(near) > 0 {
		return usagef("%w; did you mean --%s?", err, near[0])
	}
	group := unknown.GetSpecifiedShortnames()
	if _, arguments, _ := strings.Cut(cmd.Use, " "); group != "" && arguments != "" && !strings.HasPrefix(arguments, "-") {
		return usagef("%w; an argument that begins with - stands behind --, as in %s -- -%s", err, cmd.CommandPath(), group)
	}
	return &usageError{err}
}

// completeNoFiles keeps the shell from offering files where none can stand.
func completeNoFiles(cmd *cobra.Command) {
	for _, c := range cmd.Commands() {
		completeNoFiles(c)
	}
	if !cmd.HasSubCommands() && !strings.Contains(cmd.Use, "FILE") {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var names []string
			for _, c := range commands {
				names = append(names, c.Name())
			}
			if len(args) == 0 {
				return usagef("say what to do: %s %s", cmd.CommandPath(), strings.Join(names, "|"))
			}
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				return usagef("unknown command %q for %q; did you mean %q?", args[0], cmd.CommandPath(), near[0])
			}
			return usagef("unknown command %q for %q; there is %s", args[0], cmd.CommandPath(), strings.Join(names, ", "))
		},
	}
	cmd.AddCommand(commands...)
	cmd.SuggestionsMinimumDistance = 2
	return cmd
}

// exactly refuses another number of arguments, and says what they are.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usagef("%s is missing", names[len(args)])
		case len(args) > len(names):
			return usagef("%q is one argument too many: the command is %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

// settings are the flags that stand for settings.
type settings struct {
	process      *Process
	values       map[string]*string // by the name of the setting
	envFile      string
	insecureHTTP bool
	loaded       *config.Config // by loadForUsers
}

// addSettings gives a command the flags of the named settings, or all that have
// one when none is named.
func addSettings(cmd *cobra.Command, p *Process, only ...string) *settings {
	s := &settings{process: p, values: map[string]*string{}}
	for _, setting := range config.Settings() {
		if setting.Flag == "" || len(only) > 0 && !slices.Contains(only, setting.Name) {
			continue
		}
		s.values[setting.Name] = cmd.Flags().String(setting.Flag, "", fmt.Sprintf("%s (%s, default %q)", setting.Doc, setting.Name, setting.Default))
	}
	cmd.Flags().StringVar(&s.envFile, "env-file", "", `file with settings (default ".env", if there is one)`)
	return s
}

// load reads the configuration with the flags of cmd that were given.
func (s *settings) load(cmd *cobra.Command) (*config.Config, error) {
	flags := map[string]string{}
	for _, setting := range config.Settings() {
		if value := s.values[setting.Name]; value != nil && cmd.Flags().Changed(setting.Flag) {
			flags[setting.Name] = *value
		}
	}
	var names []string
	for _, pair := range s.process.Environ() {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	return config.Load(config.Source{
		Flags: flags, Lookup: s.process.Lookup, Names: names, EnvFile: s.envFile, InsecureHTTP: s.insecureHTTP,
	})
}
