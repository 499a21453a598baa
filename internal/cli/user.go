package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func userCommand(p *Process) *cobra.Command {
	return group("user", "Manage users, also while the server runs",
		userAdd(p), userList(p), userPassword(p), userRole(p),
		userSwitch(p, "disable NAME", "Keep a user from signing in; tokens end at once", (*accounts.Service).Disable),
		userSwitch(p, "enable NAME", "Let a disabled user sign in again", (*accounts.Service).Enable),
		userSwitch(p, "delete NAME", "Remove a user; tokens end at once", (*accounts.Service).Delete),
	)
}

// withAccounts runs one command on the users that there are.
func withAccounts(cmd *cobra.Command, s *settings, run func(context.Context, *accounts.Service) error) error {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return err
	}
	if err := app.HasAccounts(cfg); err != nil {
		return err
	}
	return openAccounts(cmd.Context(), cfg, run)
}

// loadForUsers does not ask whether the server's bind is allowed.
func (s *settings) loadForUsers(cmd *cobra.Command) (*config.Config, error) {
	s.insecureHTTP = true
	return s.load(cmd)
}

func openAccounts(ctx context.Context, cfg *config.Config, run func(context.Context, *accounts.Service) error) error {
	service, done, err := app.OpenAccounts(ctx, cfg)
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, service), done())
}

// localActor is who runs a command: whoever may write to the store may change
// everything in it.
func localActor() accounts.Actor {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return accounts.Actor{Name: "local:" + name, Tenant: accounts.AnyTenant}
}

// userView is how a user is printed.
type userView struct {
	Name     string   `json:"name"`
	Roles    []string `json:"roles"`
	Tenant   string   `json:"tenant"`
	Disabled bool     `json:"disabled"`
}

func view(u *accounts.User) userView {
	return userView{Name: u.Name, Roles: u.Roles, Tenant: u.Tenant, Disabled: u.Disabled}
}

func userAdd(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "add NAME --role ROLE", Short: "Add a user", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	roles := addRoles(cmd)
	tenant := cmd.Flags().String("tenant", identity.DefaultTenant, "the user's tenant")
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is not part of it")
	ifAbsent := cmd.Flags().Bool("if-absent", false, "succeed without a change when there is such a user")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		password, err := p.readPassword(*stdin)
		if err != nil {
			return err
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		return openAccounts(cmd.Context(), cfg, func(ctx context.Context, service *accounts.Service) error {
			user, added, err := service.Add(ctx, localActor(), accounts.NewUser{Name: args[0], Password: password, Roles: *roles, Tenant: *tenant, IfAbsent: *ifAbsent})
			if fault.KindOf(err) == fault.Conflict {
				return fmt.Errorf("%w; `onnxgate user role` and `onnxgate user passwd` change a user, and with --if-absent this is no failure", err)
			}
			if err != nil {
				return err
			}
			if !added && !slices.Equal(sorted(user.Roles), slices.Compact(sorted(*roles))) {
				p.complain(fmt.Sprintf("the user %[1]s was there and keeps the roles %[2]s; `onnxgate user role %[1]s` changes them",
					user.Name, strings.Join(user.Roles, ",")))
			}
			return p.printUsers(*asJSON, view(user), []accounts.User{*user})
		})
	}
	return cmd
}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }

// addRoles adds the flag for roles, which must be given. Completion offers those
// that are built in; others are words of the operator's own.
func addRoles(cmd *cobra.Command) *[]string {
	roles := cmd.Flags().StringSlice("role", nil, "role of the user; repeat it, or separate several by commas")
	words := cobra.FixedCompletions([]cobra.Completion{identity.RoleAdmin, identity.RoleUser}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("role", words) // fails only without such a flag
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if len(*roles) == 0 {
			return usagef("say the user's role: --role user")
		}
		return nil
	}
	return roles
}

func userList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the users", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	tenant := cmd.Flags().String("tenant", accounts.AnyTenant, "list the users of this tenant alone")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			users, err := service.Users(ctx, *tenant, accounts.Page{})
			if err != nil {
				return err
			}
			views := make([]userView, len(users))
			for i := range users {
				views[i] = view(&users[i])
			}
			return p.printUsers(*asJSON, views, users)
		})
	}
	return cmd
}

// printUsers prints a table, or what asked for JSON gets. The state is that of the
// users unless another is given.
func (p *Process) printUsers(asJSON bool, object any, users []accounts.User, state ...string) error {
	if asJSON {
		return p.printJSON(object)
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tROLES\tTENANT\tSTATE")
	for i := range users {
		word := "enabled"
		if users[i].Disabled {
			word = "disabled"
		}
		if len(state) > 0 {
			word = state[0]
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", users[i].Name, strings.Join(users[i].Roles, ","), users[i].Tenant, word)
	}
	return w.Flush()
}

func userPassword(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "passwd NAME", Short: "Give a user another password; tokens end at once"}
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is not part of it")
	return userChange(p, cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		password, err := p.readPassword(*stdin)
		if err != nil {
			return err
		}
		return service.SetPassword(ctx, localActor(), name, password)
	})
}

func userRole(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "role NAME --role ROLE", Short: "Give a user other roles; tokens end at once"}
	roles := addRoles(cmd)
	return userChange(p, cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		return service.SetRoles(ctx, localActor(), name, *roles)
	})
}

func userSwitch(p *Process, use, short string, change func(s *accounts.Service, ctx context.Context, by accounts.Actor, name string) error) *cobra.Command {
	return userChange(p, &cobra.Command{Use: use, Short: short}, func(ctx context.Context, service *accounts.Service, name string) error {
		return change(service, ctx, localActor(), name)
	})
}

// userChange gives a command that changes one user what such commands share: the
// argument, --json, and that they print the user as it is then.
func userChange(p *Process, cmd *cobra.Command, change func(ctx context.Context, service *accounts.Service, name string) error) *cobra.Command {
	cmd.Args = exactly("NAME")
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			before, err := service.User(ctx, accounts.AnyTenant, args[0])
			if fault.KindOf(err) == fault.NotFound {
				return fmt.Errorf("%w; `onnxgate user list` shows those there are", err)
			}
			if err != nil {
				return err
			}
			if err := change(ctx, service, args[0]); err != nil {
				return err
			}
			after, err := service.User(ctx, accounts.AnyTenant, args[0])
			if fault.KindOf(err) == fault.NotFound { // by this command
				return p.printUsers(*asJSON, view(before), []accounts.User{*before}, "deleted")
			}
			if err != nil {
				return err
			}
			return p.printUsers(*asJSON, view(after), []accounts.User{*after})
		})
	}
	return cmd
}

// maxPassword bounds what is read as a password; the rules for passwords are
// stricter.
const maxPassword = 4 << 10

// readPassword reads a password from standard input, or asks for it twice on a
// terminal. Without a terminal nothing asks.
func (p *Process) readPassword(stdin bool) (string, error) {
	if stdin {
		data, err := io.ReadAll(io.LimitReader(p.Stdin, maxPassword))
		return config.TrimNewline(string(data)), err
	}
	f, ok := p.Stdin.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return "", usagef("send the password on standard input, with --password-stdin")
	}
	first, err := p.ask(f, "Password: ")
	if err != nil {
		return "", err
	}
	second, err := p.ask(f, "The same again: ")
	if err == nil && first != second {
		err = errors.New("the two passwords differ; try again")
	}
	return first, err
}

func (p *Process) ask(f *os.File, prompt string) (string, error) {
	_, _ = io.WriteString(p.Stderr, prompt)
	password, err := term.ReadPassword(int(f.Fd()))
	_, _ = io.WriteString(p.Stderr, "\n")
	return string(password), err
}
