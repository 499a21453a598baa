package cli

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/accounts"
	"onnxgate/internal/app"
	"onnxgate/internal/quota"
)

// What the usage is shown by.
const (
	byTenant = "tenant"
	byKey    = "key"
)

// usageFlags say what is shown, and how.
type usageFlags struct {
	by, at, from, to string
	json, csv        bool
}

func (f *usageFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.by, "by", byTenant, "tenant, or key for each API key")
	flags.StringVar(&f.at, "at", "", "`DAY` to show with its month, such as 2030-01-31 (default today)")
	flags.StringVar(&f.from, "from", "", "first `DAY` of a range to show day by day, such as 2030-01-01")
	flags.StringVar(&f.to, "to", "", "last `DAY` of the range (default today)")
	flags.BoolVar(&f.json, "json", false, "print a JSON array, or one object for a single tenant without its keys")
	flags.BoolVar(&f.csv, "csv", false, "print a CSV table")
}

// check returns the moments that the flags name: the zero time where they do not.
func (f *usageFlags) check(now time.Time) (at, from, to time.Time, err error) {
	switch {
	case f.by != byTenant && f.by != byKey:
		return at, from, to, usagef("--by: %q is neither %s nor %s", f.by, byTenant, byKey)
	case f.json && f.csv:
		return at, from, to, usagef("write --json or --csv, not both")
	case f.at != "" && f.from != "":
		return at, from, to, usagef("write --at for one day, or --from for several, not both")
	case f.to != "" && f.from == "":
		return at, from, to, usagef("--to needs --from, too")
	}
	for _, flag := range []struct {
		name, text string
		into       *time.Time
	}{{"at", f.at, &at}, {"from", f.from, &from}, {"to", f.to, &to}} {
		if flag.text == "" {
			continue
		}
		if *flag.into, err = time.Parse(time.DateOnly, flag.text); err != nil || flag.into.IsZero() { // which stands for today
			return at, from, to, usagef("--%s: %q is not a day such as 2030-01-31", flag.name, flag.text)
		}
	}
	if f.from != "" && f.to == "" {
		to = now
	}
	return at, from, to, nil
}

// tenantUsage prints what tenants used.
func tenantUsage(m *managed[accounts.Tenant]) *cobra.Command {
	cmd := &cobra.Command{Use: "usage [NAME]", Short: "Show the usage of tenants this day and month (UTC), and their quotas"}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return exactly("NAME")(cmd, args)
	}
	s := addSettings(cmd, m.process, "ONNXGATE_DATA_DIR")
	var f usageFlags
	f.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		at, from, to, err := f.check(m.process.Now())
		if err != nil {
			return err
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		tenants, used, done, err := app.OpenUsage(cmd.Context(), cfg)
		if err != nil {
			return err
		}
		users, err := usersOf(cmd.Context(), m, tenants, args, f.by == byKey)
		one := len(args) > 0 && f.by == byTenant
		switch {
		case err != nil:
		case f.from != "":
			err = m.process.showDays(cmd.Context(), used, users, from, to, &f, one)
		default:
			err = m.process.showPeriods(cmd.Context(), used, users, at, &f, one)
		}
		return errors.Join(err, done())
	}
	return cmd
}

// consumer is who uses something: a tenant, or one of its keys.
type consumer struct{ tenant, key, name string }

// usersOf returns the tenant that is named, or all, or their keys.
func usersOf(ctx context.Context, m *managed[accounts.Tenant], tenants *accounts.Service, named []string, keys bool) (users []consumer, err error) {
	if len(named) > 0 {
		if _, err := tenants.FindTenant(ctx, named[0]); err != nil {
			return nil, m.unknown(err)
		}
		users = []consumer{{tenant: named[0]}}
	} else {
		all, err := tenants.Tenants(ctx, accounts.Page{})
		if err != nil {
			return nil, err
		}
		for i := range all {
			users = append(users, consumer{tenant: all[i].Name})
		}
	}
	if !keys {
		return users, nil
	}
	return keysOfUsers(ctx, tenants, users)
}

func keysOfUsers(ctx context.Context, tenants *accounts.Service, of []consumer) (users []consumer, err error) {
	for _, u := range of {
		keys, err := tenants.Keys(ctx, u.tenant, accounts.Page{})
		if err != nil {
			return nil, err
		}
		for i := range keys {
			users = append(users, consumer{u.tenant, keys[i].ID, keys[i].Name})
		}
	}
	return users, nil
}

// usageLine is a line of a table.
type usageLine struct {
	consumer
	per    string
	used   *quota.Period
	quotas string
}

// showPeriods prints what each used on a day and in its month.
func (p *Process) showPeriods(ctx context.Context, used *quota.Service, users []consumer, at time.Time, f *usageFlags, one bool) error {
	reports, lines := []*quota.Report{}, []usageLine{}
	for _, u := range users {
		report, err := periodsOf(ctx, used, u, at)
		if err != nil {
			return err
		}
		report.Name = u.name
		reports = append(reports, report)
		lines = append(lines,
			usageLine{u, "day", &report.Day, quotaCell(report.Quotas, "day")},
			usageLine{u, "month", &report.Month, quotaCell(report.Quotas, "month")})
	}
	return p.showUsage(f, one, lines, elements(reports))
}

func periodsOf(ctx context.Context, used *quota.Service, u consumer, at time.Time) (*quota.Report, error) {
	if u.key != "" {
		return used.Key(ctx, u.tenant, u.key, at)
	}
	return used.Tenant(ctx, u.tenant, at)
}

// showDays prints what each used on each day.
func (p *Process) showDays(ctx context.Context, used *quota.Service, users []consumer, from, to time.Time, f *usageFlags, one bool) error {
	views, lines := []*quota.DayByDay{}, []usageLine{}
	for _, u := range users {
		days, err := used.Days(ctx, u.tenant, u.key, from, to)
		if err != nil {
			return err
		}
		days.Name = u.name
		views = append(views, days)
		for i := range days.Days {
			lines = append(lines, usageLine{u, "day", &days.Days[i], ""})
		}
	}
	return p.showUsage(f, one, lines, elements(views))
}

func elements[T any](all []T) []any {
	views := make([]any, len(all))
	for i := range all {
		views[i] = all[i]
	}
	return views
}

// showUsage prints lines, or what stands for them in JSON: one alone as an object.
func (p *Process) showUsage(f *usageFlags, one bool, lines []usageLine, views []any) error {
	switch {
	case f.json && one:
		return p.printJSON(views[0])
	case f.json:
		return p.printJSON(views)
	case f.csv:
		return p.writeUsageCSV(lines, f.by == byKey)
	}
	return p.writeUsageTable(lines, f.by == byKey, f.from == "")
}

// writeUsageCSV writes the columns that the administration API has, too (RFC 4180). No
// cell is a formula of a spreadsheet: names of keys begin with a letter or a digit.
func (p *Process) writeUsageCSV(lines []usageLine, keys bool) error {
	w := csv.NewWriter(p.Stdout)
	w.UseCRLF = true
	whose := func(tenant, key, name string, rest ...string) []string {
		if keys {
			return append([]string{tenant, key, name}, rest...)
		}
		return append([]string{tenant}, rest...)
	}
	_ = w.Write(whose("tenant", "key", "name", "per", "start", "calls", "rows", "bytes", "compute_ms")) // Error tells
	for _, l := range lines {
		_ = w.Write(whose(l.tenant, l.key, l.name, l.per, l.used.Start.Format(time.RFC3339),
			decimal(l.used.Calls), decimal(l.used.Rows), decimal(l.used.Bytes), decimal(l.used.ComputeMS)))
	}
	w.Flush()
	return w.Error()
}

// writeUsageTable writes the lines for people, with the quotas where there are any.
func (p *Process) writeUsageTable(lines []usageLine, keys, quotas bool) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	row := func(tenant, key, name, rest, quota string) {
		if keys {
			tenant += "\t" + key + "\t" + name
		}
		if quotas {
			rest += "\t" + quota
		}
		_, _ = fmt.Fprintln(w, tenant+"\t"+rest) // Flush tells
	}
	row("TENANT", "KEY", "NAME", "PER\tSTART\tCALLS\tROWS\tBYTES\tCOMPUTE MS", "QUOTA")
	for _, l := range lines {
		u := l.used
		row(l.tenant, l.key, l.name,
			fmt.Sprintf("%s\t%s\t%d\t%d\t%d\t%d", l.per, u.Start.Format(time.DateOnly), u.Calls, u.Rows, u.Bytes, u.ComputeMS), l.quotas)
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

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
