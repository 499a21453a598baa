package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
)

// managed is one kind of records that commands look after: how they are found,
// and how they are printed.
type managed[T any] struct {
	process *Process
	// noun is what one is called, and the command: "user".
	noun string
	// argument names one on the command line: "NAME".
	argument string
	// id reads the argument. Nil: it is the id as it stands.
	id func(argument string) (string, error)
	// find returns one, whatever its tenant. Faults: NotFound.
	find func(ctx context.Context, s *accounts.Service, id string) (*T, error)
	// list returns those of a tenant, or of accounts.AnyTenant.
	list func(ctx context.Context, s *accounts.Service, tenant string) ([]T, error)
	// object is what JSON shows of one, with its secret where that was just made,
	// and its state unless it has its own.
	object func(record *T, secret, state string) any
	// header and cells are those of the table; the last is the state.
	header []string
	cells  func(record *T) []string
	// gone is the state of one that a command removed.
	gone string
	// secret is how a new secret is shown with its record.
	secret func(record *T, secret string) string
	// doubts says what of a record is probably not meant. Nil: nothing is looked at.
	doubts func(cfg *config.Config, record *T) []string
	// ended is the verb of the command that ends one with its secrets, and idOf
	// what that command takes.
	ended string
	idOf  func(record *T) string
}

// unknown adds to an error about an unknown record where to look.
func (m *managed[T]) unknown(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("%w; `onnxgate %s list` shows them all", err, m.noun)
	}
	return err
}

// table prints records. The state is theirs unless another is given.
func (m *managed[T]) table(state string, records ...T) error {
	w := tabwriter.NewWriter(m.process.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, strings.Join(m.header, "\t"))
	for i := range records {
		cells := m.cells(&records[i])
		if state != "" {
			cells[len(cells)-1] = state
		}
		_, _ = fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

// print prints one record as a table, or as what asked for JSON gets.
func (m *managed[T]) print(asJSON bool, state string, record *T) error {
	if asJSON {
		return m.process.printJSON(m.object(record, "", state))
	}
	return m.table(state, *record)
}

// listCommand lists the records.
func (m *managed[T]) listCommand(short string) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: short, Args: exactly()}
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	tenant := accounts.AnyTenant
	if m.noun != "tenant" {
		cmd.Flags().StringVar(&tenant, "tenant", accounts.AnyTenant, "list only those of this `TENANT`")
	}
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			if err := tenantExists(ctx, service, tenant); err != nil {
				return err
			}
			records, err := m.list(ctx, service, tenant)
			if err != nil {
				return err
			}
			if !*asJSON {
				return m.table("", records...)
			}
			objects := make([]any, len(records))
			for i := range records {
				objects[i] = m.object(&records[i], "", "")
			}
			return m.process.printJSON(objects)
		})
	}
	return cmd
}

// argumentOf takes one argument and makes it the id.
func (m *managed[T]) argumentOf(cmd *cobra.Command, args []string) (err error) {
	if err := exactly(m.argument)(cmd, args); err != nil || m.id == nil {
		return err
	}
	args[0], err = m.id(args[0])
	return err
}

// tenantExists returns a fault of kind NotFound for a tenant that there is not.
func tenantExists(ctx context.Context, service *accounts.Service, tenant string) error {
	if tenant == accounts.AnyTenant {
		return nil
	}
	exists, err := service.TenantExists(ctx, tenant)
	if err == nil && !exists {
		err = fault.Newf(fault.NotFound, "there is no tenant %s", tenant)
	}
	return err
}

// changeCommand gives a command that changes one record what such commands share:
// the argument, --json, and that they print the record as it is then.
func (m *managed[T]) changeCommand(cmd *cobra.Command, change func(ctx context.Context, s *accounts.Service, id string) error) *cobra.Command {
	cmd.Args = m.argumentOf
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			before, err := m.find(ctx, service, args[0])
			if err != nil {
				return m.unknown(err)
			}
			if err := change(ctx, service, args[0]); err != nil {
				return badFlag(cmd, err)
			}
			after, err := m.find(ctx, service, args[0])
			if fault.KindOf(err) == fault.NotFound { // by this command
				return m.print(*asJSON, m.gone, before)
			}
			if err != nil {
				return err
			}
			m.doubt(s, after)
			return m.print(*asJSON, "", after)
		})
	}
	return cmd
}

// switchCommand is a changeCommand of one call.
func (m *managed[T]) switchCommand(
	verb, short string, change func(s *accounts.Service, ctx context.Context, by accounts.Actor, id string) error,
) *cobra.Command {
	cmd := &cobra.Command{Use: verb + " " + m.argument, Short: short}
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, id string) error {
		return change(service, ctx, localActor(), id)
	})
}

// refuseEmpty refuses a flag that was given and says nothing, as one does of a variable
// that was never set: what was to bind or narrow something new would be left out.
func refuseEmpty(cmd *cobra.Command) (err error) {
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if text := f.Value.String(); err == nil && (text == "" || text == "[]") { // as lists without words show
			err = usagef("--%s is empty; leave it out if you mean none", f.Name)
		}
	})
	return err
}

// issueCommand gives a command that makes a record, or a new secret of one, what
// such commands share. The secret appears once: printed, or in the file of
// --secret-file.
func (m *managed[T]) issueCommand(cmd *cobra.Command, issue func(ctx context.Context, s *accounts.Service, args []string) (*T, string, error)) *cobra.Command {
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	path := cmd.Flags().String("secret-file", "", "write the secret to this new `FILE` (mode 0600) instead of printing it")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := refuseEmpty(cmd); err != nil {
			return err
		}
		return withAccountsOrNew(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			var record *T
			secret, err := handOut(*path, func() (secret string, err error) {
				record, secret, err = issue(ctx, service, args)
				return secret, badFlag(cmd, m.unknown(err))
			})
			if err == nil {
				err = m.printSecret(*asJSON, record, secret)
			}
			if err != nil && record != nil {
				return fmt.Errorf("%[1]w; the %[2]s %[3]s now has a secret that was not shown; end it with `onnxgate %[2]s %[4]s %[3]s`",
					err, m.noun, m.idOf(record), m.ended)
			}
			if err == nil {
				m.doubt(s, record)
			}
			return err
		})
	}
	return cmd
}

// doubt complains of what is probably not meant.
func (m *managed[T]) doubt(s *settings, record *T) {
	if m.doubts == nil {
		return
	}
	for _, text := range m.doubts(s.loaded, record) {
		m.process.complain("warning: " + text)
	}
}

// printSecret prints a record with the secret that was just made, unless a file
// has it.
func (m *managed[T]) printSecret(asJSON bool, record *T, secret string) error {
	if asJSON {
		return m.process.printJSON(m.object(record, secret, ""))
	}
	if err := m.table("", *record); err != nil || secret == "" {
		return err
	}
	return m.process.printf("\n%s\n\nSave it now: it is shown only once and stored nowhere.\n", m.secret(record, secret))
}

// flagOf are the flags that say what a service calls by the name.
var flagOf = map[string]string{
	"roles": "role", "scopes": "scope", "models": "model", "grants": "grant",
	"certificate": "certificate", "rate": "rate", "quota": "quota", "expires": "expires", "overlap": "overlap",
}

// badFlag makes a usage error of a fault whose cause is a flag of the command.
func badFlag(cmd *cobra.Command, err error) error {
	if fault.KindOf(err) != fault.Content {
		return err
	}
	for _, f := range fault.As(err).Fields {
		if flag := flagOf[f.Name]; flag != "" && cmd.Flags().Changed(flag) {
			return usagef("--%s: %w", flag, err)
		}
	}
	return err
}

// handOut makes a secret and returns it for printing, or writes it into a new
// file and returns nothing. The file is made first, so that no secret is made
// that nobody would learn.
func handOut(path string, create func() (string, error)) (secret string, err error) {
	if path == "" {
		return create()
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator's own path
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("--secret-file: %s exists; name a new file", path)
	}
	if err != nil {
		return "", fmt.Errorf("--secret-file: %w", err)
	}
	if secret, err = create(); err == nil {
		_, err = file.WriteString(secret + "\n")
	}
	if err = errors.Join(err, file.Close()); err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return "", err
}

// withAccountsOrNew is withAccounts for commands that may come before the first
// start.
func withAccountsOrNew(cmd *cobra.Command, s *settings, run func(context.Context, *accounts.Service) error) error {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return err
	}
	return s.openAccounts(cmd, cfg, run)
}

// listOr joins words; nil narrows nothing.
func listOr(words []string, none string) string {
	if words == nil {
		return none
	}
	return strings.Join(words, ",")
}
