package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func users(p *Process) *managed[accounts.User] {
	return &managed[accounts.User]{
		process: p, noun: "user", argument: "NAME", gone: "deleted",
		find: func(ctx context.Context, s *accounts.Service, name string) (*accounts.User, error) {
			return s.User(ctx, accounts.AnyTenant, name)
		},
		list: func(ctx context.Context, s *accounts.Service, tenant string) ([]accounts.User, error) {
			return s.Users(ctx, tenant, accounts.Page{})
		},
		object: func(u *accounts.User, _, state string) any {
			v := u.View()
			v.State = cmp.Or(state, v.State)
			return v
		},
		header: []string{"NAME", "ROLES", "TENANT", "STATE"},
		cells: func(u *accounts.User) []string {
			return []string{u.Name, strings.Join(u.Roles, ","), u.Tenant, u.State()}
		},
	}
}

func userCommand(p *Process) *cobra.Command {
	m := users(p)
	return group("user", "Manage users, even while the server runs",
		userAdd(m), m.listCommand("List users"), userPassword(m), userRole(m),
		m.switchCommand("disable", "Disable a user; their tokens are revoked", (*accounts.Service).Disable),
		m.switchCommand("enable", "Enable a disabled user", (*accounts.Service).Enable),
		m.switchCommand("delete", "Delete a user; their tokens are revoked", (*accounts.Service).Delete),
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
	return s.openAccounts(cmd, cfg, run)
}

// openAccounts runs a command on the users, and says which of the roles that it gave
// nobody has defined.
func (s *settings) openAccounts(cmd *cobra.Command, cfg *config.Config, run func(context.Context, *accounts.Service) error) error {
	if err := openAccounts(cmd.Context(), cfg, run); err != nil {
		return err
	}
	roles, err := cmd.Flags().GetStringSlice("role")
	if err != nil {
		return nil //nolint:nilerr // the command gives none
	}
	undefined, err := app.UndefinedRoles(cfg, roles)
	if err != nil {
		s.process.complain("the roles could not be looked up: " + err.Error())
	}
	for _, role := range undefined {
		s.process.complain(fmt.Sprintf("the role %q is not defined: it is neither built in nor in ONNXGATE_ROLES_FILE, and permits nothing", role))
	}
	return nil
}

// loadForUsers does not ask whether the server's bind is allowed.
func (s *settings) loadForUsers(cmd *cobra.Command) (*config.Config, error) {
	s.insecureHTTP = true
	cfg, err := s.load(cmd)
	s.loaded = cfg
	return cfg, err
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

func userAdd(m *managed[accounts.User]) *cobra.Command {
	p := m.process
	cmd := &cobra.Command{Use: "add NAME --role ROLE", Short: "Add a user", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	roles := addRoles(cmd, m.noun)
	tenant := cmd.Flags().String("tenant", identity.DefaultTenant, "`TENANT` of the user")
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is ignored")
	ifAbsent := cmd.Flags().Bool("if-absent", false, "succeed without changes if the user exists")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := refuseEmpty(cmd); err != nil {
			return err
		}
		password, err := p.readPassword(*stdin)
		if err != nil {
			return err
		}
		return withAccountsOrNew(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			user, added, err := service.Add(ctx, localActor(), accounts.NewUser{Name: args[0], Password: password, Roles: *roles, Tenant: *tenant, IfAbsent: *ifAbsent})
			if fault.KindOf(err) == fault.Conflict {
				return fmt.Errorf("%w; change it with `onnxgate user role` and `onnxgate user passwd`; with --if-absent this is not an error", err)
			}
			if err != nil {
				return badFlag(cmd, err)
			}
			if !added && !slices.Equal(sorted(user.Roles), slices.Compact(sorted(*roles))) {
				p.complain(fmt.Sprintf("the user %[1]s already exists and keeps the roles %[2]s; `onnxgate user role %[1]s` changes them",
					user.Name, strings.Join(user.Roles, ",")))
			}
			if !added && user.Tenant != *tenant {
				p.complain(fmt.Sprintf("the user %s already exists and stays in the tenant %s: names are unique in the installation", user.Name, user.Tenant))
			}
			return m.print(*asJSON, "", user)
		})
	}
	return cmd
}

func sorted(words []string) []string { return slices.Sorted(slices.Values(words)) }

// addRoles adds the flag for roles, which must be given. Completion offers those
// that are built in; others are words of the operator's own.
func addRoles(cmd *cobra.Command, noun string) *[]string {
	roles := cmd.Flags().StringSlice("role", nil, "`ROLE` of the "+noun+"; may be repeated or comma-separated")
	words := cobra.FixedCompletions([]cobra.Completion{identity.RoleAdmin, identity.RoleUser}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("role", words) // fails only without such a flag
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if len(*roles) == 0 {
			return usagef("say the %s's role: --role user", noun)
		}
		return nil
	}
	return roles
}

func userPassword(m *managed[accounts.User]) *cobra.Command {
	cmd := &cobra.Command{Use: "passwd NAME", Short: "Set a user's password; their tokens are revoked"}
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is ignored")
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		password, err := m.process.readPassword(*stdin)
		if err != nil {
			return err
		}
		return service.SetPassword(ctx, localActor(), name, password)
	})
}

func userRole(m *managed[accounts.User]) *cobra.Command {
	cmd := &cobra.Command{Use: "role NAME --role ROLE", Short: "Set a user's roles; their tokens are revoked"}
	roles := addRoles(cmd, m.noun)
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		return service.SetRoles(ctx, localActor(), name, *roles)
	})
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
	second, err := p.ask(f, "Repeat it: ")
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
