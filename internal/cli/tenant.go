package cli

import (
	"cmp"
	"context"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
)

func tenants(p *Process) *managed[accounts.Tenant] {
	return &managed[accounts.Tenant]{
		process: p, noun: "tenant", argument: "NAME", gone: "deleted",
		find: func(ctx context.Context, s *accounts.Service, name string) (*accounts.Tenant, error) {
			return s.FindTenant(ctx, name)
		},
		list: func(ctx context.Context, s *accounts.Service, _ string) ([]accounts.Tenant, error) {
			return s.Tenants(ctx, accounts.Page{})
		},
		object: func(t *accounts.Tenant, _, state string) any {
			v := t.View()
			v.State = cmp.Or(state, v.State)
			return v
		},
		header: []string{"NAME", "ADDRESSES", "RATE", "QUOTA", "STATE"},
		cells: func(t *accounts.Tenant) []string {
			return []string{t.Name, cmp.Or(strings.Join(t.View().Addresses, ","), "any"), cmp.Or(t.Rate, "none"), cmp.Or(t.Quota, "none"), t.State()}
		},
	}
}

func tenantCommand(p *Process) *cobra.Command {
	m := tenants(p)
	return group("tenant", "Manage tenants, even while the server runs",
		tenantCreate(m), m.listCommand("List tenants"), tenantAddresses(m),
		allowanceCommand(m, "the tenant", "Change the limits of a tenant", func(ctx context.Context, s *accounts.Service, name string, rate, quota *string) error {
			_, err := s.ChangeTenant(ctx, localActor(), name, accounts.TenantChange{Rate: rate, Quota: quota})
			return err
		}),
		tenantUsage(m),
		m.switchCommand("disable", "Disable a tenant; its requests are refused", (*accounts.Service).DisableTenant),
		m.switchCommand("enable", "Enable a disabled tenant", (*accounts.Service).EnableTenant),
		m.switchCommand("delete", "Delete a tenant with its users, clients and keys; waits until no server serves it any more",
			(*accounts.Service).DeleteTenant),
	)
}

// addAddresses adds the flag for networks.
func addAddresses(cmd *cobra.Command, use string) *[]string {
	return cmd.Flags().StringSlice("address", nil, use+" an `ADDRESS` or a network such as 10.0.0.0/8; may be repeated or comma-separated")
}

// networks reads addresses and networks.
func networks(texts []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range texts {
		n, err := accounts.ParseNetwork(text)
		if err != nil {
			return nil, usagef("--address %w", err)
		}
		all = append(all, n)
	}
	return all, nil
}

func tenantCreate(m *managed[accounts.Tenant]) *cobra.Command {
	cmd := &cobra.Command{Use: "create NAME", Short: "Add a tenant", Args: exactly("NAME")}
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	addresses := addAddresses(cmd, "where the tenant's credentials may be used from:")
	limits := addAllowance(cmd, "the tenant", "default none")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := refuseEmpty(cmd); err != nil {
			return err
		}
		allowed, err := networks(*addresses)
		if err != nil {
			return err
		}
		return withAccountsOrNew(cmd, s, func(ctx context.Context, service *accounts.Service) error {
			tenant, err := service.AddTenant(ctx, localActor(), accounts.NewTenant{
				Name: args[0], Addresses: allowed, Rate: joined(limits.rate), Quota: joined(limits.quota),
			})
			if err != nil {
				return badFlag(cmd, err)
			}
			return m.print(*asJSON, "", tenant)
		})
	}
	return cmd
}

func tenantAddresses(m *managed[accounts.Tenant]) *cobra.Command {
	cmd := &cobra.Command{Use: "addresses NAME", Short: "Set or print where a tenant's credentials may be used from"}
	addresses := addAddresses(cmd, "where from, replacing what was set before:")
	anywhere := cmd.Flags().Bool("any", false, "allow any address")
	var allowed []netip.Prefix
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) (err error) {
		allowed, err = networks(*addresses)
		given := cmd.Flags().Changed("address")
		switch {
		case given && *anywhere:
			return usagef("write --address or --any, not both")
		case given && len(*addresses) == 0:
			return usagef("--address is empty; write --any for any address")
		}
		return err
	}
	return m.changeCommand(cmd, func(ctx context.Context, service *accounts.Service, name string) error {
		if len(allowed) == 0 && !*anywhere {
			return nil
		}
		return service.SetTenantAddresses(ctx, localActor(), name, allowed)
	})
}
