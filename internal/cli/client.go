package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func clientCommand(p *Process) *cobra.Command {
	return group("client", "Manage service clients, also while the server runs",
		clientCreate(p), clientList(p), clientRotate(p),
		clientSwitch(p, "disable ID", "Keep a client from getting tokens; its tokens end at once", (*accounts.Service).DisableClient),
		clientSwitch(p, "enable ID", "Let a disabled client get tokens again", (*accounts.Service).EnableClient),
		clientSwitch(p, "delete ID", "Remove a client; its tokens end at once", (*accounts.Service).DeleteClient),
	)
}

// clientView is how a client is printed.
type clientView struct {
	ID     string   `json:"client_id"`
	Secret string   `json:"client_secret,omitempty"`
	Name   string   `json:"name"`
	Tenant string   `json:"tenant"`
	Roles  []string `json:"roles"`
	Scopes []string `json:"scopes"`
	Grants []string `json:"grants"`
	// Certificate is the name in the certificate that proves the client.
	Certificate string    `json:"certificate,omitempty"`
	Disabled    bool      `json:"disabled"`
	Created     time.Time `json:"created"`
}

func viewClient(c *accounts.Client, secret string) clientView {
	return clientView{
		ID: c.ID, Secret: secret, Name: c.Name, Tenant: c.Tenant, Roles: c.Roles, Scopes: c.Scopes, Grants: c.Grants,
		Certificate: c.Certificate, Disabled: c.Disabled, Created: c.CreatedAt,
	}
}

func clientCreate(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME --role ROLE", Short: "Make a service client and print its secret, once", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	roles := addRoles(cmd)
	scopes := cmd.Flags().StringSlice("scope", nil, "scopes that its tokens are narrowed to (default: all that its roles permit)")
	grants := cmd.Flags().StringSlice("grant", []string{accounts.GrantClientCredentials}, "grant types that it may use: client_credentials, password, refresh_token")
	tenant := cmd.Flags().String("tenant", identity.DefaultTenant, "the client's tenant")
	certificate := cmd.Flags().String("certificate", "", "name in a client certificate that proves the client too, such as uri:spiffe://example.org/scoring, dns:… or email:…")
	out := addSecretFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.issueSecret(cmd, s, out, func(ctx context.Context, service *accounts.Service) (*accounts.Client, string, error) {
			return service.AddClient(ctx, localActor(), accounts.NewClient{
				Name: args[0], Roles: *roles, Scopes: *scopes, Grants: *grants, Tenant: *tenant, Certificate: *certificate,
			})
		})
	}
	return cmd
}

// secretFlags say where a secret goes.
type secretFlags struct {
	file   *string
	asJSON *bool
}

func addSecretFlags(cmd *cobra.Command) secretFlags {
	return secretFlags{
		file:   cmd.Flags().String("secret-file", "", "write the secret to this new file (mode 0600) and do not print it"),
		asJSON: cmd.Flags().Bool("json", false, "print one JSON object"),
	}
}

// issueSecret runs a command whose result holds a secret, which appears once:
// printed, or in the file. The file is made first, so that no secret is lost
// that cannot be written.
func (p *Process) issueSecret(cmd *cobra.Command, s *settings, out secretFlags, issue func(context.Context, *accounts.Service) (*accounts.Client, string, error)) error {
	file, err := out.open()
	if err != nil {
		return err
	}
	return withAccountsOrNew(cmd, s, func(ctx context.Context, service *accounts.Service) error {
		client, secret, err := issue(ctx, service)
		if err != nil {
			return file.drop(err)
		}
		if file != nil {
			if err := file.write(secret); err != nil {
				return err
			}
			secret = ""
		}
		if *out.asJSON {
			return p.printJSON(viewClient(client, secret))
		}
		if err := p.printClients([]accounts.Client{*client}); err != nil || secret == "" {
			return err
		}
		return p.printf("\nclient_id:     %s\nclient_secret: %s\n\nThe secret is not kept and not shown again.\n", client.ID, secret)
	})
}

// withAccountsOrNew is withAccounts for commands that may come before the first
// start.
func withAccountsOrNew(cmd *cobra.Command, s *settings, run func(context.Context, *accounts.Service) error) error {
	cfg, err := s.loadForUsers(cmd)
	if err != nil {
		return err
	}
	return openAccounts(cmd.Context(), cfg, run)
}

// secretFile is a new file for one secret; nil is none.
type secretFile struct{ *os.File }

func (f secretFlags) open() (*secretFile, error) {
	if *f.file == "" {
		return nil, nil //nolint:nilnil // no file was asked for
	}
	file, err := os.OpenFile(*f.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot make the file for the secret: %w", err)
	}
	return &secretFile{file}, nil
}

// drop removes the file of a secret that there is not, and returns why.
func (f *secretFile) drop(why error) error {
	if f != nil {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}
	return why
}

func (f *secretFile) write(secret string) error {
	if _, err := f.WriteString(secret + "\n"); err != nil {
		return fmt.Errorf("the secret could not be written; rotate it: %w", err)
	}
	return f.Close()
}

func clientList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the service clients", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	tenant := cmd.Flags().String("tenant", accounts.AnyTenant, "list the clients of this tenant alone")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			clients, err := service.Clients(ctx, *tenant, accounts.Page{})
			if err != nil {
				return err
			}
			if !*asJSON {
				return p.printClients(clients)
			}
			views := make([]clientView, len(clients))
			for i := range clients {
				views[i] = viewClient(&clients[i], "")
			}
			return p.printJSON(views)
		})
	}
	return cmd
}

func (p *Process) printClients(clients []accounts.Client) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "CLIENT ID\tNAME\tROLES\tSCOPES\tGRANTS\tTENANT\tSTATE")
	for i := range clients {
		c := &clients[i]
		state, scopes := "enabled", strings.Join(c.Scopes, ",")
		if c.Disabled {
			state = "disabled"
		}
		if c.Scopes == nil {
			scopes = "all"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.ID, c.Name, strings.Join(c.Roles, ","), scopes, strings.Join(c.Grants, ","), c.Tenant, state)
	}
	return w.Flush()
}

func clientRotate(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "rotate ID", Short: "Give a client a new secret and print it, once", Args: exactly("ID")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	overlap := cmd.Flags().String("overlap", "0s", "how long the secret before counts beside the new one, such as 1h or 7d")
	out := addSecretFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := config.ParseDuration(*overlap)
		if err != nil {
			return usagef("--overlap: %w", err)
		}
		return p.issueSecret(cmd, s, out, func(ctx context.Context, service *accounts.Service) (*accounts.Client, string, error) {
			client, secret, err := service.RotateClient(ctx, localActor(), args[0], d)
			return client, secret, seeClients(err)
		})
	}
	return cmd
}

// seeClients adds to an error about an unknown client where to look.
func seeClients(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("%w; `onnxgate client list` shows those there are", err)
	}
	return err
}

func clientSwitch(p *Process, use, short string, change func(s *accounts.Service, ctx context.Context, by accounts.Actor, id string) error) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short, Args: exactly("ID")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			client, err := service.Client(ctx, accounts.AnyTenant, args[0])
			if err != nil {
				return seeClients(err)
			}
			if err := change(service, ctx, localActor(), args[0]); err != nil {
				return seeClients(err)
			}
			if after, err := service.Client(ctx, accounts.AnyTenant, args[0]); err == nil {
				client = after // else it was this command that removed it
			} else if fault.KindOf(err) != fault.NotFound {
				return err
			}
			if *asJSON {
				return p.printJSON(viewClient(client, ""))
			}
			return p.printClients([]accounts.Client{*client})
		})
	}
	return cmd
}
