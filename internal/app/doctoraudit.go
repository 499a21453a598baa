package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/seal"
)

// verifyTime bounds how long the records of an audit log are looked at: some ten
// million.
const verifyTime = 20 * time.Second

// errLongLog says that a log was not looked at to its end, and no more than that.
var errLongLog = errors.New("it is too long to check here; run onnxgate audit verify")

// verifyAudit looks at every record of the audit log, beside whoever writes it, and
// returns what was looked at, in words. Its error is of a log that no server starts
// with, for the operator.
func verifyAudit(ctx context.Context, cfg *config.Config) (looked string, err error) {
	dir := inDataDir(cfg, auditDir)
	if audit.Mode(cfg.Audit) == audit.Off {
		return "off", nil
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "none yet", nil
	}
	if missing := withoutKEK(cfg); missing != nil {
		return missing.Error(), missing
	}
	size, err := auditSize(ctx, cfg)
	switch {
	case errors.Is(err, errLongLog):
		return err.Error(), nil
	case err != nil:
		return "damaged", fmt.Errorf("the audit log %s: %w", dir, err)
	}
	return recordsOf(size) + ", each as its checkpoints sign it", nil
}

func recordsOf(records int64) string {
	if records == 1 {
		return "1 record"
	}
	return fmt.Sprintf("%d records", records)
}

// withoutKEK says that the key is missing which opens the log. A file of the
// operator's that cannot be read is told elsewhere.
func withoutKEK(cfg *config.Config) error {
	path, ours := kekPath(cfg)
	if _, err := os.Stat(path); !ours || !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("the key-encryption key %s is missing, and the audit log is sealed with it; put it back from a backup", path)
}

// auditSize returns how many records the log has, when all of them are whole.
func auditSize(ctx context.Context, cfg *config.Config) (int64, error) {
	reader, err := AuditReader(cfg)
	if err != nil {
		return 0, err
	}
	report, err := reader.Verify(ctx, nil)
	switch {
	case ctx.Err() != nil:
		return 0, errLongLog
	case err != nil:
		return 0, err
	case report.OK:
		return report.Size, nil
	case report.FirstBad == nil:
		return 0, fmt.Errorf("it is damaged: %s; %s", report.Reason, mendAudit)
	}
	return 0, fmt.Errorf("it is damaged at record %d: %s; %s", *report.FirstBad, report.Reason, mendAudit)
}

const mendAudit = "keep its directory as evidence, move it away and start anew"

// auditFindings are those of the audit log, and what was looked at.
func auditFindings(ctx context.Context, cfg *config.Config) (found []Finding, looked string) {
	ctx, cancel := context.WithTimeout(ctx, verifyTime)
	defer cancel()
	looked, err := verifyAudit(ctx, cfg)
	if err != nil {
		what, fix := cutFix(err.Error())
		id := auditDamaged
		if closed, told := kekAtFault(cfg, err); told {
			return nil, "audit log " + inDataDir(cfg, auditDir) + ": not looked at"
		} else if closed {
			id, looked = startRefused, "the key-encryption key does not open it"
		}
		found = append(found, Finding{id, Error, what, fix})
	}
	return found, "audit log " + inDataDir(cfg, auditDir) + ": " + looked
}

// kekAtFault reports whether a log cannot be read for want of its key-encryption key,
// and whether that is told already: as the operator's file, which holds none.
func kekAtFault(cfg *config.Config, err error) (closed, told bool) {
	path, ours := kekPath(cfg)
	_, unread := seal.ReadKEK(path)
	return unread != nil || errors.Is(err, seal.ErrNotOpened), unread != nil && !ours
}

// kekFindings look for a rotation of the key-encryption key that was not finished, where
// no database says how far it has come.
func kekFindings(cfg *config.Config) []Finding {
	path, _ := kekPath(cfg)
	kek, err := seal.ReadKEK(path)
	if err != nil || !kek.Rotating() {
		return nil // there is none yet, or it is told as what refuses a start
	}
	return []Finding{{
		kekFormer, Warning, fmt.Sprintf("the second line of %s is the former key-encryption key (fingerprint %s), which opens what the rotation has not wrapped anew", path, kek.Fingerprints()[1]),
		"finish the rotation, docs/encrypt-text.md, and remove that line",
	}}
}
