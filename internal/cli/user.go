package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
)

func userCommand(p *Process) *cobra.Command {
	return group("user", "Manage users, also while the server runs",
		userAdd(p), userList(p), userPassword(p), userRole(p),
		userChange(p, "disable NAME", "Keep a user from signing in; tokens end at once", (*accounts.Service).Disable),
		userChange(p, "enable NAME", "Let a disabled user sign in again", (*accounts.Service).Enable),
		userChange(p, "delete NAME", "Remove a user; tokens end at once", (*accounts.Service).Delete),
	)
}

// withAccounts runs one command on the users of the data directory.
func withAccounts(cmd *cobra.Command, s *settings, run func(context.Context, *accounts.Service) error) error {
	s.insecureHTTP = true // whether the server's bind is allowed is not the question here
	cfg, err := s.load(cmd)
	if err != nil {
		return err
	}
	service, done, err := app.OpenAccounts(cmd.Context(), cfg)
	if err != nil {
		return err
	}
	return errors.Join(run(cmd.Context(), service), done())
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
	roles := cmd.Flags().StringSlice("role", nil, "role of the user; repeat it, or separate several by commas")
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is not part of it")
	ifAbsent := cmd.Flags().Bool("if-absent", false, "succeed without a change when there is such a user")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(*roles) == 0 {
			return usagef("say the user's role: --role user")
		}
		password, err := p.readPassword(*stdin)
		if err != nil {
			return err
		}
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			user, _, err := service.Add(ctx, accounts.NewUser{Name: args[0], Password: password, Roles: *roles, IfAbsent: *ifAbsent})
			if err != nil {
				return err
			}
			return p.printUsers(*asJSON, view(user), []accounts.User{*user})
		})
	}
	return cmd
}

func userList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the users", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			users, err := service.List(ctx)
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

// printUsers prints a table, or what asked for JSON gets.
func (p *Process) printUsers(asJSON bool, object any, users []accounts.User) error {
	if asJSON {
		return p.printJSON(object)
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tROLES\tTENANT\tSTATE")
	for i := range users {
		state := "enabled"
		if users[i].Disabled {
			state = "disabled"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", users[i].Name, strings.Join(users[i].Roles, ","), users[i].Tenant, state)
	}
	return w.Flush()
}

func userPassword(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "passwd NAME", Short: "Give a user another password; tokens end at once", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	stdin := cmd.Flags().Bool("password-stdin", false, "read the password from standard input; one trailing newline is not part of it")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		password, err := p.readPassword(*stdin)
		if err != nil {
			return err
		}
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			return service.SetPassword(ctx, args[0], password)
		})
	}
	return cmd
}

func userRole(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "role NAME --role ROLE", Short: "Give a user other roles; tokens end at once", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	roles := cmd.Flags().StringSlice("role", nil, "role of the user; repeat it, or separate several by commas")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(*roles) == 0 {
			return usagef("say the user's role: --role user")
		}
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			return service.SetRoles(ctx, args[0], *roles)
		})
	}
	return cmd
}

func userChange(p *Process, use, short string, change func(*accounts.Service, context.Context, string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			return change(service, ctx, args[0])
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
