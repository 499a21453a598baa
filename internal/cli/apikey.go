package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func apikeyCommand(p *Process) *cobra.Command {
	return group("apikey", "Manage API keys, also while the server runs",
		apikeyCreate(p), apikeyList(p), apikeyRotate(p), apikeyRevoke(p), apikeyGenerate(p))
}

// apikeyView is how a key is printed. The lists that narrow nothing are null.
type apikeyView struct {
	ID string `json:"id"`
	// Key is the key's text, only where it was just made.
	Key       string     `json:"key,omitempty"`
	Name      string     `json:"name"`
	Tenant    string     `json:"tenant"`
	Roles     []string   `json:"roles"`
	Scopes    []string   `json:"scopes"`
	Models    []string   `json:"models"`
	Addresses []string   `json:"addresses"`
	Rate      string     `json:"rate,omitempty"`
	Expires   *time.Time `json:"expires"`
	State     string     `json:"state"`
	Created   time.Time  `json:"created"`
	CreatedBy string     `json:"created_by"`
	LastUsed  *time.Time `json:"last_used"`
}

func (p *Process) viewAPIKey(k *accounts.APIKey, text string) apikeyView {
	v := apikeyView{
		ID: k.ID, Key: text, Name: k.Name, Tenant: k.Tenant, Roles: k.Roles, Scopes: k.Scopes, Models: k.Models,
		Rate: k.Rate, Expires: instant(k.ExpiresAt), State: "enabled",
		Created: k.CreatedAt, CreatedBy: k.CreatedBy, LastUsed: instant(k.LastUsed),
	}
	for _, n := range k.Addresses {
		v.Addresses = append(v.Addresses, n.String())
	}
	switch {
	case k.Disabled:
		v.State = "revoked"
	case !k.ExpiresAt.IsZero() && !p.Now().Before(k.ExpiresAt):
		v.State = "expired"
	}
	return v
}

func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func apikeyCreate(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME --role ROLE", Short: "Make an API key; it is shown once", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	add := accounts.NewKey{}
	roles := addRoles(cmd)
	cmd.Flags().StringVar(&add.Tenant, "tenant", identity.DefaultTenant, "the key's tenant")
	cmd.Flags().StringSliceVar(&add.Scopes, "scope", nil, "permission that the key is narrowed to; repeat it, or separate several by commas (default: all of its roles)")
	cmd.Flags().StringSliceVar(&add.Models, "model", nil, "model that the key is narrowed to (default: any)")
	addresses := addAddresses(cmd, "where the key may be used from")
	cmd.Flags().StringVar(&add.Rate, "rate", "", "limit of the key itself, such as 100/minute (default: none)")
	expires := cmd.Flags().String("expires", "", "how long the key is valid, such as 90d or 12h (default: without end)")
	out := addSecretOutput(cmd, p)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		add.Name, add.Roles = args[0], *roles
		if add.Addresses, err = networks(*addresses); err != nil {
			return err
		}
		if *expires != "" {
			d, err := parsePositive("--expires", *expires)
			if err != nil {
				return err
			}
			add.ExpiresAt = p.Now().Add(d)
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		return openAccounts(cmd.Context(), cfg, func(ctx context.Context, service *accounts.Service) error {
			return out.write(func() (*accounts.APIKey, string, error) { return service.CreateKey(ctx, localActor(), add) })
		})
	}
	return cmd
}

func parsePositive(flag, text string) (time.Duration, error) {
	d, err := config.ParseDuration(text)
	if err == nil && d <= 0 {
		err = fmt.Errorf("%q is not a time to come", text)
	}
	if err != nil {
		return 0, usagef("%s: %w; write a duration such as 90d or 12h", flag, err)
	}
	return d, nil
}

func apikeyList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the API keys, without their secrets", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	tenant := cmd.Flags().String("tenant", accounts.AnyTenant, "list the keys of this tenant alone")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			keys, err := service.Keys(ctx, *tenant, accounts.Page{})
			if err != nil {
				return err
			}
			views := make([]apikeyView, len(keys))
			for i := range keys {
				views[i] = p.viewAPIKey(&keys[i], "")
			}
			if *asJSON {
				return p.printJSON(views)
			}
			return p.printAPIKeys(views)
		})
	}
	return cmd
}

func (p *Process) printAPIKeys(views []apikeyView) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ID\tNAME\tTENANT\tROLES\tSCOPES\tMODELS\tEXPIRES\tLAST USED\tSTATE")
	for i := range views {
		v := &views[i]
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.ID, v.Name, v.Tenant, strings.Join(v.Roles, ","),
			listOr(v.Scopes, "all"), listOr(v.Models, "any"), timeOr(v.Expires, "never"), timeOr(v.LastUsed, "never"), v.State)
	}
	return w.Flush()
}

func listOr(words []string, none string) string {
	if words == nil {
		return none
	}
	return strings.Join(words, ",")
}

func timeOr(t *time.Time, none string) string {
	if t == nil {
		return none
	}
	return t.Format(time.RFC3339)
}

func apikeyRotate(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate ID", Args: exactly("ID"),
		Short: "Give an API key another secret, shown once; the former one counts for a while",
	}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	overlap := cmd.Flags().String("overlap", "24h", "how long the former secret counts; 0s ends it at once")
	out := addSecretOutput(cmd, p)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		d, err := config.ParseDuration(*overlap)
		if err != nil {
			return usagef("--overlap: %w; write a duration such as 24h or 7d", err)
		}
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			err := out.write(func() (*accounts.APIKey, string, error) {
				return service.RotateKey(ctx, localActor(), args[0], d)
			})
			return noSuchKey(err)
		})
	}
	return cmd
}

func noSuchKey(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("%w; `onnxgate apikey list` shows those there are", err)
	}
	return err
}

func apikeyRevoke(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "revoke ID", Short: "End an API key at once and for good", Args: exactly("ID")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			key, err := service.Key(ctx, accounts.AnyTenant, args[0])
			if err == nil {
				err = service.RevokeKey(ctx, localActor(), args[0])
			}
			if err != nil {
				return noSuchKey(err)
			}
			view := p.viewAPIKey(key, "")
			view.State = "revoked"
			if *asJSON {
				return p.printJSON(view)
			}
			return p.printAPIKeys([]apikeyView{view})
		})
	}
	return cmd
}

func apikeyGenerate(p *Process) *cobra.Command {
	return &cobra.Command{
		Use: "generate", Args: exactly(),
		Short: "Print a well-formed API key without storing it, for ONNXGATE_BOOTSTRAP_API_KEY",
		RunE: func(*cobra.Command, []string) error {
			text, err := apikey.New(rand.Reader)
			if err != nil {
				return err
			}
			return p.printf("%s\n", text)
		},
	}
}

// secretOutput says where a key that was just made goes: to standard output,
// or into a file that was not there.
type secretOutput struct {
	process *Process
	asJSON  *bool
	file    *string
}

func addSecretOutput(cmd *cobra.Command, p *Process) *secretOutput {
	return &secretOutput{
		process: p,
		asJSON:  cmd.Flags().Bool("json", false, "print one JSON object"),
		file:    cmd.Flags().String("secret-file", "", "write the key into this new file (mode 0600) and do not print it"),
	}
}

// write makes the key and hands it out once. The file is made before the key, so
// that none is made that nobody would learn.
func (o *secretOutput) write(create func() (*accounts.APIKey, string, error)) (err error) {
	var file *os.File
	if *o.file != "" {
		if file, err = os.OpenFile(*o.file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err != nil {
			return fmt.Errorf("--secret-file: %w", err)
		}
		defer func() {
			if err = errors.Join(err, file.Close()); err != nil {
				err = errors.Join(err, os.Remove(*o.file))
			}
		}()
	}
	key, text, err := create()
	if err != nil {
		return err
	}
	if file != nil {
		if _, err := file.WriteString(text + "\n"); err != nil {
			return err
		}
		text = ""
	}
	return o.print(key, text)
}

func (o *secretOutput) print(key *accounts.APIKey, text string) error {
	view := o.process.viewAPIKey(key, text)
	if *o.asJSON {
		return o.process.printJSON(view)
	}
	if err := o.process.printAPIKeys([]apikeyView{view}); err != nil || text == "" {
		return err
	}
	return o.process.printf("\n%s\n\nKeep it now: it is shown once and stored nowhere.\n", text)
}
