package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"onnxgate/internal/app"
	"onnxgate/internal/audit"
)

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
