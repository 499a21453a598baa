package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/sealing"
)

// keyView is how a key is printed.
type keyView struct {
	KID   string `json:"kid"`
	Use   string `json:"use"`
	Alg   string `json:"alg"`
	State string `json:"state"`
	// Created is nil for a shared secret.
	Created *time.Time `json:"created"`
	Tenant  string     `json:"tenant,omitempty"`
	// Note says what is left to do.
	Note string `json:"note,omitempty"`
}

// keyring does what the commands do for the keys of one use.
type keyring struct {
	list func(ctx context.Context, tenant string) ([]keyView, error)
	// rotate returns the new keys.
	rotate func(ctx context.Context, tenant string) ([]keyView, error)
	// retire returns the key as it is then.
	retire func(ctx context.Context, kid string) ([]keyView, error)
	close  func() error
}

// keyrings open the keys of each use.
var keyrings = map[string]func(ctx context.Context, cfg *config.Config) (*keyring, error){
	useToken:    openTokenKeys,
	sealing.Use: openFernetKeys,
	useKEK:      openKEK,
}

// useToken is for the keys that sign access tokens.
const useToken = "token"

// useKEK is for the key-encryption key, which is in no database, and never retired.
const useKEK = "kek"

// uses are those of keyrings, in the order in which they are listed, and retiring those
// that have keys to retire.
var (
	uses     = []string{useToken, sealing.Use, useKEK}
	retiring = []string{useToken, sealing.Use}
)

func keysCommand(p *Process) *cobra.Command {
	return group("keys", "Manage the server's keys, even while it runs", keysList(p), keysRotate(p), keysRetire(p))
}

func keysList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List keys and what each is used for", Args: exactly()}
	tenant := cmd.Flags().String("tenant", sealing.AnyTenant, "list only the keys of this `TENANT`")
	return keysDo(p, cmd, uses, uses, func(ctx context.Context, k *keyring, _ []string) ([]keyView, error) { return k.list(ctx, *tenant) })
}

func keysRotate(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "rotate", Short: "Create a new key; what was made with the old ones stays valid", Args: exactly()}
	tenant := cmd.Flags().String("tenant", sealing.AnyTenant, "rotate only the key of this `TENANT`")
	return keysDo(p, cmd, uses, []string{useToken}, func(ctx context.Context, k *keyring, _ []string) ([]keyView, error) { return k.rotate(ctx, *tenant) })
}

func keysRetire(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "retire KID", Short: "Retire an old key; what was made with it is no longer valid", Args: exactly("KID")}
	return keysDo(p, cmd, retiring, retiring, func(ctx context.Context, k *keyring, args []string) ([]keyView, error) { return k.retire(ctx, args[0]) })
}

// keysDo gives a command what all of them share: --use, --json, and that they
// print keys. Without --use, which is one of uses, it does it for the uses that stand
// for it.
func keysDo(p *Process, cmd *cobra.Command, uses, without []string, do func(ctx context.Context, k *keyring, args []string) ([]keyView, error)) *cobra.Command {
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	use := cmd.Flags().String("use", "", fmt.Sprintf("`USE` of the keys: %s (default %s)", orList(uses), strings.Join(without, ", ")))
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	_ = cmd.RegisterFlagCompletionFunc("use", cobra.FixedCompletions(uses, cobra.ShellCompDirectiveNoFileComp)) // fails only without such a flag
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		chosen := without
		if *use != "" {
			chosen = []string{*use}
		}
		if !slices.Contains(uses, chosen[0]) {
			return usagef("say what the keys are for: --use %s", orList(uses))
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		if err := app.HasAccounts(cfg); err != nil {
			return err
		}
		if err := checkTenantFlag(cmd, cfg); err != nil {
			return err
		}
		views, err := overKeyrings(cmd.Context(), cfg, chosen, func(k *keyring) ([]keyView, error) { return do(cmd.Context(), k, args) })
		if err != nil {
			return err
		}
		return p.printKeys(*asJSON, views)
	}
	return cmd
}

// orList writes words as a choice: a, b or c.
func orList(words []string) string {
	last := len(words) - 1
	if last <= 0 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// checkTenantFlag refuses a --tenant that there is not.
func checkTenantFlag(cmd *cobra.Command, cfg *config.Config) error {
	flag := cmd.Flags().Lookup("tenant")
	if flag == nil || !flag.Changed {
		return nil
	}
	return openAccounts(cmd.Context(), cfg, func(ctx context.Context, service *accounts.Service) error {
		err := tenantExists(ctx, service, flag.Value.String())
		if fault.KindOf(err) == fault.NotFound && cmd.Name() == "rotate" {
			return fmt.Errorf("%w; make it with `onnxgate tenant create %s`", err, flag.Value)
		}
		return err
	})
}

// overKeyrings does something for the keys of each use. A key that one does not
// have may be another's.
func overKeyrings(ctx context.Context, cfg *config.Config, uses []string, do func(*keyring) ([]keyView, error)) ([]keyView, error) {
	views := []keyView{} // [] in JSON, not null
	var missing error
	for _, use := range uses {
		more, err := withKeyring(ctx, cfg, use, do)
		switch {
		case fault.KindOf(err) == fault.NotFound:
			missing = err
		case err != nil:
			return nil, err
		}
		views = append(views, more...)
	}
	if len(views) == 0 && missing != nil {
		return nil, missing
	}
	return views, nil
}

func withKeyring(ctx context.Context, cfg *config.Config, use string, do func(*keyring) ([]keyView, error)) ([]keyView, error) {
	k, err := keyrings[use](ctx, cfg)
	if err != nil {
		return nil, err
	}
	views, err := do(k)
	if err = errors.Join(err, k.close()); err != nil {
		return nil, err
	}
	return views, nil
}

func (p *Process) printKeys(asJSON bool, views []keyView) error {
	if asJSON {
		return p.printJSON(views)
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KID\tUSE\tALG\tSTATE\tCREATED\tTENANT")
	for _, v := range views {
		created := "unknown"
		if v.Created != nil {
			created = v.Created.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.KID, v.Use, v.Alg, v.State, created, v.Tenant)
	}
	for _, v := range views {
		if v.Note != "" {
			_, _ = fmt.Fprintf(w, "\n%s\n", v.Note)
		}
	}
	return w.Flush()
}

// openFernetKeys opens the keys that seal text.
func openFernetKeys(ctx context.Context, cfg *config.Config) (*keyring, error) {
	service, done, err := app.OpenSealing(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &keyring{
		list: func(ctx context.Context, tenant string) ([]keyView, error) {
			keys, err := service.List(ctx, tenant)
			return fernetViews(keys...), err
		},
		rotate: func(ctx context.Context, tenant string) ([]keyView, error) {
			keys, err := service.Rotate(ctx, localActor().Name, tenant)
			return fernetViews(keys...), err
		},
		retire: func(ctx context.Context, kid string) ([]keyView, error) {
			key, err := service.Retire(ctx, localActor().Name, kid)
			return fernetViews(key), unknownKey(err)
		},
		close: done,
	}, nil
}

// unknownKey adds to an error about an unknown key where to look.
func unknownKey(err error) error {
	if fault.KindOf(err) == fault.NotFound {
		return fmt.Errorf("%w; `onnxgate keys list` shows them all", err)
	}
	return err
}

func fernetViews(keys ...sealing.Key) []keyView {
	views := make([]keyView, len(keys))
	for i, k := range keys {
		views[i] = keyView{KID: k.KID, Use: sealing.Use, Alg: sealing.Algorithm, State: string(k.State), Created: &k.CreatedAt, Tenant: k.Tenant}
	}
	return views
}
