package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
)

func apiKeys(p *Process) *managed[accounts.APIKey] {
	return &managed[accounts.APIKey]{
		process: p, noun: "apikey", argument: "ID", gone: "revoked",
		id: keyID, ended: "revoke", doubts: app.KeyDoubts,
		idOf: func(k *accounts.APIKey) string { return k.ID },
		find: func(ctx context.Context, s *accounts.Service, id string) (*accounts.APIKey, error) {
			return s.Key(ctx, accounts.AnyTenant, id)
		},
		list: func(ctx context.Context, s *accounts.Service, tenant string) ([]accounts.APIKey, error) {
			return s.Keys(ctx, tenant, accounts.Page{})
		},
		object: func(k *accounts.APIKey, text, state string) any {
			v := k.ViewWith(text, p.Now())
			v.State = cmp.Or(state, v.State)
			return v
		},
		header: []string{"ID", "NAME", "TENANT", "ROLES", "SCOPES", "MODELS", "RATE", "QUOTA", "EXPIRES", "LAST USED", "STATE"},
		cells: func(k *accounts.APIKey) []string {
			return []string{
				k.ID, k.Name, k.Tenant, strings.Join(k.Roles, ","), listOr(k.Scopes, "all"), listOr(k.Models, "any"),
				cmp.Or(k.Rate, "none"), cmp.Or(k.Quota, "none"), timeOr(k.ExpiresAt, "never"), timeOr(k.LastUsed, "never"), k.State(p.Now()),
			}
		},
		secret: func(_ *accounts.APIKey, text string) string { return text },
	}
}

// keyID takes a whole key for its id: that is what people have at hand.
func keyID(argument string) (string, error) {
	if !strings.HasPrefix(argument, apikey.Prefix) {
		return argument, nil
	}
	presented, err := apikey.Parse(argument)
	if err != nil {
		return "", usagef("%w; write its id alone, the 12 characters behind %s", err, apikey.Prefix)
	}
	return presented.ID, nil
}

func timeOr(t time.Time, none string) string {
	if t.IsZero() {
		return none
	}
	return t.Format(time.RFC3339)
}

func apikeyCommand(p *Process) *cobra.Command {
	m := apiKeys(p)
	return group("apikey", "Manage API keys, also while the server runs",
		apikeyCreate(m), m.listCommand("List the API keys, without their secrets"), apikeyRotate(m), apikeyRevoke(m),
		allowanceCommand(m, "the key itself", "Give an API key other limits", func(ctx context.Context, s *accounts.Service, id string, rate, quota *string) error {
			_, err := s.ChangeKey(ctx, localActor(), id, accounts.KeyChange{Rate: rate, Quota: quota})
			return err
		}), apikeyGenerate(p))
}

func apikeyCreate(m *managed[accounts.APIKey]) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME --role ROLE", Short: "Make an API key; it is shown once", Args: exactly("NAME")}
	add := accounts.NewKey{}
	roles := addRoles(cmd, "key")
	flags := cmd.Flags()
	flags.StringVar(&add.Tenant, "tenant", identity.DefaultTenant, "the key's tenant")
	flags.StringSliceVar(&add.Scopes, "scope", nil, "permission that the key is narrowed to; repeat it, or separate several by commas (default: all of its roles)")
	flags.StringSliceVar(&add.Models, "model", nil, "model that the key is narrowed to (default: any)")
	addresses := addAddresses(cmd, "where the key may be used from")
	limits := addAllowance(cmd, "the key itself", "default: none")
	expires := flags.String("expires", "", "how long the key is valid, such as 90d or 12h (default: without end)")
	return m.issueCommand(cmd, func(ctx context.Context, service *accounts.Service, args []string) (*accounts.APIKey, string, error) {
		var err error
		add.Name, add.Roles, add.Rate, add.Quota = args[0], *roles, joined(limits.rate), joined(limits.quota)
		if add.Addresses, err = networks(*addresses); err != nil {
			return nil, "", err
		}
		if *expires != "" {
			d, err := parsePositive("--expires", *expires)
			if err != nil {
				return nil, "", err
			}
			add.ExpiresAt = m.process.Now().Add(d)
		}
		return service.CreateKey(ctx, localActor(), add)
	})
}

func parsePositive(flag, text string) (time.Duration, error) {
	d, err := config.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not more than 0", text)
	}
	if err != nil {
		return 0, usagef("%s: %w; write a duration such as 90d or 12h", flag, err)
	}
	return d, nil
}

func apikeyRotate(m *managed[accounts.APIKey]) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate ID", Args: m.argumentOf,
		Short: "Give an API key another secret, shown once; the former one counts for a while",
	}
	overlap := addOverlap(cmd, "24h")
	return m.issueCommand(cmd, func(ctx context.Context, service *accounts.Service, args []string) (*accounts.APIKey, string, error) {
		d, err := overlap()
		if err != nil {
			return nil, "", err
		}
		return service.RotateKey(ctx, localActor(), args[0], d)
	})
}

func apikeyRevoke(m *managed[accounts.APIKey]) *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End an API key at once and for good"}
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, id string) error {
		return service.RevokeKey(ctx, localActor(), id)
	})
}

func apikeyGenerate(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "generate", Args: exactly(),
		Short: "Print a well-formed API key without storing it, for ONNXGATE_BOOTSTRAP_API_KEY",
	}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(*cobra.Command, []string) error {
		text, err := apikey.New(rand.Reader)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(map[string]string{"key": text})
		}
		return p.printf("%s\n", text)
	}
	return cmd
}
