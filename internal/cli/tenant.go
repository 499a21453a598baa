package cli

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/fault"
)

func tenantCommand(p *Process) *cobra.Command {
	return group("tenant", "Manage tenants, also while the server runs",
		tenantCreate(p), tenantList(p), tenantAddresses(p),
		tenantSwitch(p, "disable NAME", "Refuse every request of a tenant", (*accounts.Service).DisableTenant),
		tenantSwitch(p, "enable NAME", "Let a disabled tenant in again", (*accounts.Service).EnableTenant),
		tenantSwitch(p, "delete NAME", "Remove a tenant with its users, clients and keys; returns when no server serves it any more",
			(*accounts.Service).DeleteTenant),
	)
}

// tenantView is how a tenant is printed.
type tenantView struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Disabled  bool     `json:"disabled"`
}

func viewTenant(t *accounts.Tenant) tenantView {
	v := tenantView{Name: t.Name, Addresses: []string{}, Disabled: t.Disabled}
	for _, n := range t.Addresses {
		v.Addresses = append(v.Addresses, n.String())
	}
	return v
}

// addAddresses adds the flag for networks.
func addAddresses(cmd *cobra.Command, use string) *[]string {
	return cmd.Flags().StringSlice("address", nil, use+", as an address or a network such as 10.0.0.0/8; repeat it, or separate several by commas")
}

// networks reads addresses and networks.
func networks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		n, err := netip.ParsePrefix(text)
		if addr, alone := netip.ParseAddr(text); alone == nil && addr.Zone() == "" {
			n, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return nil, usagef("--address %s is neither an address nor a network such as 10.0.0.0/8", text)
		}
		all = append(all, n)
	}
	return all, nil
}

func tenantCreate(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Add a tenant", Args: exactly("NAME")}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	addresses := addAddresses(cmd, "where the tenant's credentials may be used from")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		allowed, err := networks(*addresses)
		if err != nil {
			return err
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		return openAccounts(cmd.Context(), cfg, func(ctx context.Context, service *accounts.Service) error {
			tenant, err := service.AddTenant(ctx, localActor(), accounts.NewTenant{Name: args[0], Addresses: allowed})
			if err != nil {
				return err
			}
			return p.printTenants(*asJSON, viewTenant(tenant), []accounts.Tenant{*tenant})
		})
	}
	return cmd
}

func tenantList(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "list", Short: "List the tenants", Args: exactly()}
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			all, err := service.Tenants(ctx, accounts.Page{})
			if err != nil {
				return err
			}
			views := make([]tenantView, len(all))
			for i := range all {
				views[i] = viewTenant(&all[i])
			}
			return p.printTenants(*asJSON, views, all)
		})
	}
	return cmd
}

func tenantAddresses(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "addresses NAME", Short: "Say where a tenant's credentials may be used from; without --address, from everywhere"}
	addresses := addAddresses(cmd, "where from")
	return tenantChange(p, cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		allowed, err := networks(*addresses)
		if err != nil {
			return err
		}
		return service.SetTenantAddresses(ctx, localActor(), name, allowed)
	})
}

func tenantSwitch(
	p *Process, use, short string, change func(s *accounts.Service, ctx context.Context, by accounts.Actor, name string) error,
) *cobra.Command {
	return tenantChange(p, &cobra.Command{Use: use, Short: short}, func(ctx context.Context, service *accounts.Service, name string) error {
		return change(service, ctx, localActor(), name)
	})
}

// tenantChange gives a command that changes one tenant what such commands share:
// the argument, --json, and that they print the tenant as it is then.
func tenantChange(p *Process, cmd *cobra.Command, change func(ctx context.Context, service *accounts.Service, name string) error) *cobra.Command {
	cmd.Args = exactly("NAME")
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withAccounts(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			before, err := service.FindTenant(ctx, args[0])
			if fault.KindOf(err) == fault.NotFound {
				return fmt.Errorf("%w; `onnxgate tenant list` shows those there are", err)
			}
			if err != nil {
				return err
			}
			if err := change(ctx, service, args[0]); err != nil {
				return err
			}
			after, err := service.FindTenant(ctx, args[0])
			if fault.KindOf(err) == fault.NotFound { // by this command
				return p.printTenants(*asJSON, viewTenant(before), []accounts.Tenant{*before}, "deleted")
			}
			if err != nil {
				return err
			}
			return p.printTenants(*asJSON, viewTenant(after), []accounts.Tenant{*after})
		})
	}
	return cmd
}

// printTenants prints a table, or what asked for JSON gets. The state is that of
// the tenants unless another is given.
func (p *Process) printTenants(asJSON bool, object any, all []accounts.Tenant, state ...string) error {
	if asJSON {
		return p.printJSON(object)
	}
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "NAME\tADDRESSES\tSTATE")
	for i := range all {
		v := viewTenant(&all[i])
		word := "enabled"
		if v.Disabled {
			word = "disabled"
		}
		if len(state) > 0 {
			word = state[0]
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", v.Name, orAny(strings.Join(v.Addresses, ",")), word)
	}
	return w.Flush()
}

func orAny(list string) string {
	if list == "" {
		return "any"
	}
	return list
}
