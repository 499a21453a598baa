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
	return group("client", "Manage service clients, also while the server runs",
		clientCreate(m), m.listCommand("List the service clients"), clientRotate(m), clientCertificate(m),
		m.switchCommand("disable", "Keep a client from getting tokens; its tokens end at once", (*accounts.Service).DisableClient),
		m.switchCommand("enable", "Let a disabled client get tokens again", (*accounts.Service).EnableClient),
		m.switchCommand("delete", "Remove a client; its tokens end at once", (*accounts.Service).DeleteClient),
	)
}

func clientCreate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME --role ROLE", Short: "Make a service client and print its secret, once", Args: exactly("NAME")}
	add := accounts.NewClient{}
	roles := addRoles(cmd, m.noun)
	flags := cmd.Flags()
	flags.StringSliceVar(&add.Scopes, "scope", nil, "permission that its tokens are narrowed to; repeat it, or separate several by commas (default: all of its roles)")
	flags.StringSliceVar(&add.Grants, "grant", []string{accounts.GrantClientCredentials}, "grant types that it may use: client_credentials, password, refresh_token")
	flags.StringVar(&add.Tenant, "tenant", identity.DefaultTenant, "the client's tenant")
	flags.StringVar(&add.Certificate, "certificate", "", certificateNames)
	return m.issueCommand(cmd, func(ctx context.Context, service *accounts.Service, args []string) (*accounts.Client, string, error) {
		add.Name, add.Roles = args[0], *roles
		return service.AddClient(ctx, localActor(), add)
	})
}

// certificateNames says what the flag of both commands takes.
const certificateNames = "name in a client certificate that proves the client too, such as uri:spiffe://example.org/scoring, dns:… or email:…"

func clientCertificate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "certificate ID --certificate NAME", Short: "Bind a client to another certificate, or to none; its tokens end at once"}
	name := cmd.Flags().String("certificate", "", certificateNames)
	none := cmd.Flags().Bool("none", false, "no certificate proves the client any more")
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, id string) error {
		if (*name == "") != *none {
			return usagef("say either which certificate, --certificate NAME, or --none")
		}
		_, err := service.ChangeClient(ctx, localActor(), id, accounts.ClientChange{Certificate: name})
		return err
	})
}

func clientRotate(m *managed[accounts.Client]) *cobra.Command {
	cmd := &cobra.Command{Use: "rotate ID", Short: "Give a client a new secret and print it, once", Args: exactly("ID")}
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
	text := cmd.Flags().String("overlap", otherwise, "how long the former secret counts beside the new one, such as 1h or 7d; 0s ends it at once")
	return func() (time.Duration, error) {
		d, err := config.ParseDuration(*text)
		if err != nil {
			return 0, usagef("--overlap: %w; write a duration such as 24h or 7d", err)
		}
		return d, nil
	}
}
