package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/audit"
)

// span are the flags that say which records are wanted.
type span struct{ from, to, tenant *string }

func addSpan(cmd *cobra.Command) span {
	return span{
		from:   cmd.Flags().String("from", "", "records from this time on: RFC 3339, or a date (UTC)"),
		to:     cmd.Flags().String("to", "", "records before this time"),
		tenant: cmd.Flags().String("tenant", audit.AnyTenant, "records of this tenant alone"),
	}
}

func (s span) query() (q audit.Query, err error) {
	q.Tenant = *s.tenant
	if q.Since, err = moment("from", *s.from); err != nil {
		return q, err
	}
	q.Until, err = moment("to", *s.to)
	return q, err
}

// moment reads a time; the zero one for none.
func moment(flag, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, usagef("--%s: %q is no time; write 2026-03-14 or 2026-03-14T12:00:00Z", flag, text)
}

// addRecordFormat adds the flag of commands that print records.
func addRecordFormat(cmd *cobra.Command) *string {
	format := cmd.Flags().String("format", audit.JSON, "what to print: json, one object a line, or csv")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{audit.JSON, audit.CSV}, cobra.ShellCompDirectiveNoFileComp)) // fails only without such a flag
	return format
}

func checkRecordFormat(format string) error {
	if format != audit.JSON && format != audit.CSV {
		return usagef("--format: %q is neither json nor csv", format)
	}
	return nil
}

func auditExport(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "export", Short: "Print records, one a line", Args: exactly()}
	s := addSpan(cmd)
	format := addRecordFormat(cmd)
	return onRecords(p, cmd, func(ctx context.Context, r looks, _ []string) error {
		q, err := s.query()
		if err != nil {
			return err
		}
		if err := checkRecordFormat(*format); err != nil {
			return err
		}
		if q.End, err = r.begin(ctx, audit.AuditExport, "export"); err != nil {
			return err
		}
		return p.export(ctx, r.Reader, q, *format, func(*audit.Entry) bool { return true })
	})
}

func (p *Process) export(ctx context.Context, r *audit.Reader, q audit.Query, format string, wanted func(*audit.Entry) bool) error {
	out := audit.NewExport(p.Stdout, format)
	q.Pruned = p.tellPruned
	_, err := r.Read(ctx, q, func(e *audit.Entry) error {
		if !wanted(e) {
			return nil
		}
		return out.Write(e)
	})
	return errors.Join(err, out.Close())
}

// tellPruned says beside the records which of them are not there any more.
func (p *Process) tellPruned(first, end int64) error {
	_, err := fmt.Fprintf(p.Stderr, "records %d to %d were pruned: they were past their age, and `onnxgate audit search event=audit.prune` says when\n", first, end-1)
	return err
}

func auditTail(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "tail", Short: "Print the newest records, one a line", Args: exactly()}
	n := cmd.Flags().Int64P("lines", "n", 10, "how many")
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with those that come, until interrupted")
	tenant := cmd.Flags().String("tenant", audit.AnyTenant, "records of this tenant alone")
	format := addRecordFormat(cmd)
	return onRecords(p, cmd, func(ctx context.Context, r looks, _ []string) error {
		if *n < 0 {
			return usagef("--lines: %d is less than none", *n)
		}
		if err := checkRecordFormat(*format); err != nil {
			return err
		}
		var ticks <-chan time.Time
		if *follow {
			ticker := time.NewTicker(time.Second)
			defer ticker.Stop()
			ticks = ticker.C
		}
		out := audit.NewExport(p.Stdout, *format)
		end, err := r.begin(ctx, audit.AuditRead, "tail")
		if err != nil {
			return err
		}
		err = r.Tail(ctx, audit.Query{Tenant: *tenant, End: end}, *n, ticks, func(e *audit.Entry) error { return errors.Join(out.Write(e), out.Close()) })
		return errors.Join(err, out.Close())
	})
}

func auditSearch(p *Process) *cobra.Command {
	cmd := &cobra.Command{
		Use: "search FIELD=VALUE…", Short: "Print the records with all of these values; VALUE* is a beginning",
		Args: cobra.ArbitraryArgs,
	}
	s := addSpan(cmd)
	format := addRecordFormat(cmd)
	return onRecords(p, cmd, func(ctx context.Context, r looks, args []string) error {
		q, err := s.query()
		if err != nil {
			return err
		}
		if err := checkRecordFormat(*format); err != nil {
			return err
		}
		wanted, err := matching(args)
		if err != nil {
			return err
		}
		if q.End, err = r.begin(ctx, audit.AuditRead, "search"); err != nil {
			return err
		}
		return p.export(ctx, r.Reader, q, *format, wanted)
	})
}

// matching returns what reports whether a record has all of the values.
func matching(args []string) (func(*audit.Entry) bool, error) {
	if len(args) == 0 {
		return nil, usagef("FIELD=VALUE is missing")
	}
	header := audit.CSVHeader()
	type condition struct {
		column int
		value  string
		prefix bool
	}
	var all []condition
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		column := slices.Index(header, name)
		if !ok || column < 0 {
			return nil, usagef("%q is not FIELD=VALUE; the fields are %s", arg, strings.Join(header, ", "))
		}
		value, prefix := strings.CutSuffix(value, "*")
		all = append(all, condition{column, value, prefix})
	}
	return func(e *audit.Entry) bool {
		row := e.CSVRow()
		for _, c := range all {
			if row[c.column] != c.value && (!c.prefix || !strings.HasPrefix(row[c.column], c.value)) {
				return false
			}
		}
		return true
	}, nil
}
