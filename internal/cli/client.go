package cli

import (
	"cmp"
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
)

func clients(p *Process) *managed[accounts.Client] {
	return &managed[accounts.Client]{
		process: p, noun: "client", argument: "ID", gone: "deleted",
		ended: "delete", idOf: func(c *accounts.Client) string { return c.ID },
		find: func(ctx context.Context, s *accounts.Service, id string) (*accounts.Client, error) {
			return s.Client(ctx, accounts.AnyTenant, id)
		},
		list: func(ctx context.Context, s *accounts.Service, tenant string) ([]accounts.Client, error) {
			return s.Clients(ctx, tenant, accounts.Page{})
		},
		object: func(c *accounts.Client, secret, state string) any {
			v := c.ViewWith(secret)
			v.State = cmp.Or(state, v.State)
			return v
		},
		header: []string{"CLIENT ID", "NAME", "ROLES", "SCOPES", "GRANTS", "TENANT", "STATE"},
		cells: func(c *accounts.Client) []string {
			return []string{
				c.ID, c.Name, strings.Join(c.Roles, ","), listOr(c.Scopes, "all"), strings.Join(c.Grants, ","), c.Tenant, c.State(),
			}
		},
		secret: func(c *accounts.Client, secret string) string {
			return "client_id:     " + c.ID + "\nclient_secret: " + secret
		},
	}
}

func clientCommand(p *Process) *cobra.Command {
	m := clients(p)
	return group("client", "Manage service clients, even while the server runs",
		clientCreate(m), m.listCommand("List service clients"), clientRotate(m), clientCertificate(m),
		m.switchCommand("disable", "Disable a client; it gets no tokens, and those it has are revoked", (*accounts.Service).DisableClient),
		m.switchCommand("enable", "Enable a disabled client", (*accounts.Service).EnableClient),
		m.switchCommand("delete", "Delete a client; its tokens are revoked", (*accounts.Service).DeleteClient),
	)
}

func clientCreate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME --role ROLE", Short: "Create a service client; its secret is shown only once", Args: exactly("NAME")}
	add := accounts.NewClient{}
	roles := addRoles(cmd, m.noun)
	flags := cmd.Flags()
	flags.StringSliceVar(&add.Scopes, "scope", nil, "`SCOPE` to limit its tokens to; may be repeated or comma-separated (default all its roles allow)")
	flags.StringSliceVar(&add.Grants, "grant", []string{accounts.GrantClientCredentials}, "`GRANT` type it may use: client_credentials, password or refresh_token; may be repeated or comma-separated")
	flags.StringVar(&add.Tenant, "tenant", identity.DefaultTenant, "`TENANT` of the client")
	flags.StringVar(&add.Certificate, "certificate", "", certificateNames)
	return m.issueCommand(cmd, func(ctx context.Context, service *accounts.Service, args []string) (*accounts.Client, string, error) {
		add.Name, add.Roles = args[0], *roles
		return service.AddClient(ctx, localActor(), add)
	})
}

// certificateNames says what the flag of both commands takes.
const certificateNames = "`NAME` in a client certificate that also authenticates the client, such as uri:spiffe://example.org/scoring, dns:… or email:…"

func clientCertificate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "certificate ID --certificate NAME", Short: "Bind a client to another certificate or to none; its tokens are revoked"}
	name := cmd.Flags().String("certificate", "", certificateNames)
	none := cmd.Flags().Bool("none", false, "stop accepting a certificate for the client")
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, id string) error {
		if (*name == "") != *none {
			return usagef("write either --certificate NAME or --none")
		}
		_, err := service.ChangeClient(ctx, localActor(), id, accounts.ClientChange{Certificate: name})
		return err
	})
}

func clientRotate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "rotate ID", Short: "Issue a new secret for a client, shown only once", Args: exactly("ID")}
	overlap := addOverlap(cmd, "0s")
	return m.issueCommand(cmd, func(ctx context.Context, service *accounts.Service, args []string) (*accounts.Client, string, error) {
		d, err := overlap()
		if err != nil {
			return nil, "", err
		}
		return service.RotateClient(ctx, localActor(), args[0], d)
	})
}

// addOverlap adds the flag for how long a former secret counts.
func addOverlap(cmd *cobra.Command, otherwise string) func() (time.Duration, error) {
	text := cmd.Flags().String("overlap", otherwise, "how long the old secret stays valid, such as 1h or 7d; 0s ends it immediately")
	return func() (time.Duration, error) {
		d, err := config.ParseDuration(*text)
		if err != nil {
			return 0, usagef("--overlap: %w; write a duration such as 24h or 7d", err)
		}
		return d, nil
	}
}
