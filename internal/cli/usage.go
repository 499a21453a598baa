package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/quota"
)

// tenantUsage prints what tenants used.
func tenantUsage(m *managed[accounts.Tenant]) *cobra.Command {
	cmd := &cobra.Command{Use: "usage [NAME]", Short: "Show what tenants, or one, used this day and month of UTC, and their quotas"}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactly("NAME")(cmd, args)
	}
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	asJSON := cmd.Flags().Bool("json", false, "print a JSON array, or one object where a tenant is named")
	day := cmd.Flags().String("at", "", "the day to show, and its month, such as 2030-01-31 (default: today)")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		var at time.Time
		if *day != "" {
			if at, err = time.Parse(time.DateOnly, *day); err != nil {
				return usagef("--at: %q is no day such as 2030-01-31", *day)
			}
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		tenants, used, done, err := app.OpenUsage(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		reports, err := usageOf(cmd.Context(), m, tenants, used, args, at)
		switch {
		case err != nil:
		case !*asJSON:
			err = m.process.printUsage(reports)
		case len(args) > 0:
			err = m.process.printJSON(reports[0])
		default:
			err = m.process.printJSON(reports)
		}
		return errors.Join(err, done())
	}
	return cmd
}

// usageOf returns what the named tenant used, or what each did.
func usageOf(
	ctx context.Context, m *managed[accounts.Tenant], tenants *accounts.Service, used *quota.Service, named []string, at time.Time,
) ([]*quota.Report, error) {
	if len(named) == 0 {
		all, err := tenants.Tenants(ctx, accounts.Page{})
		if err != nil {
			return nil, err
		}
		for i := range all {
			named = append(named, all[i].Name)
		}
	} else if _, err := tenants.FindTenant(ctx, named[0]); err != nil {
		return nil, m.unknown(err)
	}
	var reports []*quota.Report
	for _, name := range named {
		report, err := used.Tenant(ctx, name, at)
		if err != nil {
			return nil, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}

func (p *Process) printUsage(reports []*quota.Report) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "TENANT\tPER\tSTART\tCALLS\tROWS\tBYTES\tCOMPUTE MS\tQUOTA")
	for _, r := range reports {
		for _, period := range []struct {
			per  string
			used *quota.Period
		}{{"day", &r.Day}, {"month", &r.Month}} {
			u := period.used
			_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\n", r.Tenant, period.per, u.Start.Format(time.DateOnly),
				u.Calls, u.Rows, u.Bytes, u.ComputeMS, quotaCell(r.Quotas, period.per))
		}
	}
	return w.Flush()
}

// quotaCell is what is used of the quotas of a period, such as "calls 5/10000".
func quotaCell(lines []quota.Line, per string) string {
	var all []string
	for _, l := range lines {
		if l.Per != per {
			continue
		}
		soft := ""
		if !l.Hard {
			soft = "soft "
		}
		all = append(all, fmt.Sprintf("%s%s %d/%d", soft, l.Unit, l.Used, l.Limit))
	}
	if all == nil {
		return "none"
	}
	return strings.Join(all, ", ")
}
