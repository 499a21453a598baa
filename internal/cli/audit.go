package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/regular"
)

func auditCommand(p *Process) *cobra.Command {
	return group("audit", "Read, prove and erase what the audit log holds, also while the server runs",
		auditVerify(p), auditCheckpoint(p), auditShow(p), auditExport(p), auditTail(p), auditSearch(p), auditErase(p), auditExpire(p))
}

// onAudit is a command that reads the audit log.
func onAudit(p *Process, cmd *cobra.Command, run func(ctx context.Context, r *audit.Reader, args []string) error) *cobra.Command {
	return onRecords(p, cmd, func(ctx context.Context, l looks, args []string) error { return run(ctx, l.Reader, args) })
}

// looks is the log for a command that shows what its records say.
type looks struct {
	*audit.Reader

	cfg *config.Config
	p   *Process
}

// begin puts on record who looks, before anything is shown, and returns where the
// records end that there were before. A disk that is full or must not be written keeps
// nobody from reading, which is said instead.
func (l looks) begin(ctx context.Context, event audit.Event, what string) (end int64, err error) {
	if end, err = l.Size(); err != nil {
		return 0, err
	}
	if unkept := app.RecordLook(ctx, l.cfg, localActor().Name, event, what); unkept != nil {
		_, err = fmt.Fprintf(l.p.Stderr, "onnxgate: this look at the records is not on record: %v\n", unkept)
	}
	return end, err
}

// onRecords is a command that shows what records say.
func onRecords(p *Process, cmd *cobra.Command, run func(ctx context.Context, l looks, args []string) error) *cobra.Command {
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		r, err := app.AuditReader(cfg)
		if err != nil {
			return err
		}
		return run(cmd.Context(), looks{r, cfg, p}, args)
	}
	return cmd
}

// errNotGenuine is the error of a log that does not verify.
var errNotGenuine = errors.New("the audit log does not verify")

// maxCheckpointFile is more than a checkpoint has with the signatures of witnesses.
const maxCheckpointFile = 16 << 10

func auditVerify(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "verify", Short: "Look at every record, and say which is the first that is not genuine", Args: exactly()}
	file := cmd.Flags().String("checkpoint", "", "compare with the checkpoint in this `FILE`, which was kept elsewhere")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	return onAudit(p, cmd, func(ctx context.Context, r *audit.Reader, _ []string) error {
		var checkpoint []byte
		if *file != "" {
			var err error
			if checkpoint, _, err = regular.ReadFile(*file, maxCheckpointFile); err != nil {
				return fmt.Errorf("--checkpoint: %w", err)
			}
			if len(checkpoint) == 0 {
				return fmt.Errorf("--checkpoint: %s is empty", *file)
			}
		}
		report, err := r.Verify(ctx, checkpoint)
		if err != nil {
			return err
		}
		return p.printVerified(report, *asJSON)
	})
}

func (p *Process) printVerified(report *audit.Report, asJSON bool) error {
	err := errNotGenuine
	switch {
	case report.OK:
		err = nil
	case report.FirstBad != nil:
		err = fmt.Errorf("%w from record %d on: %s", err, *report.FirstBad, report.Reason)
	default:
		err = fmt.Errorf("%w: %s", err, report.Reason)
	}
	switch {
	case asJSON:
		return errors.Join(p.printJSON(report), err)
	case err == nil:
		if report.Warning != "" {
			_, _ = fmt.Fprintf(p.Stderr, "onnxgate: %s\n", report.Warning)
		}
		return p.printf("%s\n", verified(report))
	}
	return err
}

// verified says what a log was compared with.
func verified(r *audit.Report) string {
	text := fmt.Sprintf("%s, all as they were written, in %s", counted(int(r.Size), "record"), r.Log)
	if r.Pruned > 0 {
		text += fmt.Sprintf(", of the first %d the hashes alone", r.Pruned)
	}
	if r.Last != nil {
		text += ", the last of " + r.Last.UTC().Format(time.RFC3339)
	}
	if r.Continues != nil {
		return text + "; it continues the checkpoint of " + counted(int(*r.Continues), "record")
	}
	return text + "; compared with no checkpoint from elsewhere (--checkpoint FILE)"
}

func auditCheckpoint(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "checkpoint", Short: "Print the newest signed checkpoint, to be kept where nobody here can change it", Args: exactly()}
	return onAudit(p, cmd, func(_ context.Context, r *audit.Reader, _ []string) error {
		checkpoint, err := r.Checkpoint()
		if err != nil {
			return err
		}
		return p.printf("%s", checkpoint)
	})
}

func auditShow(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "show REQUEST_ID|INDEX", Short: "Show one record, with the proof that the log holds it", Args: exactly("REQUEST_ID|INDEX")}
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object, with the proof")
	return onRecords(p, cmd, func(ctx context.Context, r looks, args []string) error {
		if _, err := r.begin(ctx, audit.AuditRead, "show"); err != nil {
			return err
		}
		e, err := findRecord(ctx, r.Reader, args[0])
		if err != nil {
			return err
		}
		if e == nil {
			return fmt.Errorf("the audit log of this data directory has no record %s; each server has a log of its own: ask on the one that answered", args[0])
		}
		receipt, err := r.Receipt(ctx, e)
		if err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(receipt)
		}
		return p.printReceipt(receipt)
	})
}

// findRecord returns the record of an index or of a request id, which has 32
// characters.
func findRecord(ctx context.Context, r *audit.Reader, which string) (*audit.Entry, error) {
	if index, err := strconv.ParseInt(which, 10, 64); err == nil && len(which) < 19 {
		return r.At(ctx, index)
	}
	return r.Find(ctx, which)
}

func (p *Process) printReceipt(r *audit.Receipt) error {
	w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
	names, cells := audit.CSVHeader(), r.Record.CSVRow()
	for i, name := range names {
		if cells[i] != "" {
			_, _ = fmt.Fprintf(w, "%s\t%s\n", name, cells[i])
		}
	}
	_, _ = fmt.Fprintf(w, "leaf\t%s\nproof\t%d hashes up to the root of %d records; --json prints them\n", r.Leaf, len(r.Proof), r.Size)
	if err := w.Flush(); err != nil {
		return err
	}
	return p.printf("\n%s", r.Checkpoint)
}

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
		if at, err := time.Parse(layout, text); err == nil && !at.IsZero() { // which stands for no bound
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
		Example: "  onnxgate audit search event=refused actor=ann\n  onnxgate audit search event=user.* --from 2026-03-01",
		Args:    cobra.ArbitraryArgs,
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

// destroyed is what a command that destroys keys prints.
type destroyed struct {
	Keys int `json:"keys"`
	// Pruned is how many records nobody reads any more whose lines were dropped.
	Pruned int64 `json:"pruned,omitempty"`
}

// onAuditKeys is a command that destroys keys of the audit log.
func onAuditKeys(p *Process, cmd *cobra.Command, run func(ctx context.Context, l *audit.Log, tenant string) (destroyed, error)) *cobra.Command {
	s := addSettings(cmd, p, "ONNXGATE_DATA_DIR")
	tenant := cmd.Flags().String("tenant", audit.AnyTenant, "in the records of this tenant alone")
	asJSON := cmd.Flags().Bool("json", false, "print one JSON object")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *tenant == "" {
			return usagef("--tenant is empty; leave it out for the records of every tenant")
		}
		cfg, err := s.loadForUsers(cmd)
		if err != nil {
			return err
		}
		l, err := app.OpenAuditLog(cfg)
		if err != nil {
			return err
		}
		d, err := run(cmd.Context(), l, *tenant)
		if err = errors.Join(err, l.Close()); err != nil {
			return err
		}
		if *asJSON {
			return p.printJSON(d)
		}
		return p.printDestroyed(d)
	}
	return cmd
}

func (p *Process) printDestroyed(d destroyed) error {
	text := "nothing older: no month that has a key left ended that long ago\n"
	if d.Keys > 0 {
		text = fmt.Sprintf("destroyed %s; nobody reads any more what was sealed by them, and copies in backups are to be destroyed, too\n", counted(d.Keys, "key"))
	}
	if d.Pruned > 0 {
		text += fmt.Sprintf("dropped the lines of %s that nobody reads any more; their hashes stay\n", counted(int(d.Pruned), "record"))
	}
	return p.printf("%s", text)
}

func auditErase(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "erase --subject NAME", Short: "Make what the log says of a person unreadable for ever; the log still verifies", Args: exactly()}
	subject := cmd.Flags().String("subject", "", "who: as the field actor of the records has it")
	issuer := cmd.Flags().String("issuer", "", "the outside issuer of that name, as the field issuer has it; none for our own")
	return onAuditKeys(p, cmd, func(ctx context.Context, l *audit.Log, tenant string) (d destroyed, err error) {
		if *subject == "" {
			return d, usagef("say whom: --subject NAME")
		}
		d.Keys, err = l.Erase(ctx, localActor().Name, tenant, *issuer, *subject)
		return d, err
	})
}

func auditExpire(p *Process) *cobra.Command {
	cmd := &cobra.Command{Use: "expire --older-than AGE", Short: "Make records of months that ended that long ago unreadable for ever, and drop what nobody reads; the log still verifies", Args: exactly()}
	age := cmd.Flags().String("older-than", "", "how long records are kept, such as 400d")
	return onAuditKeys(p, cmd, func(ctx context.Context, l *audit.Log, tenant string) (d destroyed, err error) {
		kept, err := parsePositive("--older-than", *age)
		if err != nil {
			return d, err
		}
		before := p.Now().Add(-kept)
		if d.Keys, err = l.Expire(ctx, localActor().Name, tenant, before); err == nil {
			d.Pruned, err = l.Prune(ctx, localActor().Name, before)
		}
		return d, err
	})
}
