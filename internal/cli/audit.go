package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
