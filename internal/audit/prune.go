package audit

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/audit/vault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

// append appends what a line says of it, after a comma.
func (p *Pruned) append(dst []byte) []byte {
	dst = append(dst, `,"pruned":{"records":`...)
	dst = strconv.AppendInt(dst, p.Records, 10)
	dst = append(dst, `,"root":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, p.Root[:]), '"', '}')
}

// pruneMark is in every line of AuditPrune, and in no other: what a tenant calls
// itself is escaped.
var pruneMark = []byte(`,"event":"` + string(AuditPrune) + `",`)

// maxMark is where the mark ends at the latest: behind index and time.
const maxMark = 128

// statement is a ledger.Statement.
func statement(line []byte) (tree tlog.Tree, ok bool) {
	if !bytes.Contains(line[:min(len(line), maxMark)], pruneMark) {
		return tlog.Tree{}, false
	}
	var s struct {
		Event  Event `json:"event"`
		Pruned struct {
			Records int64  `json:"records"`
			Root    []byte `json:"root"`
		} `json:"pruned"`
	}
	if err := json.Unmarshal(line, &s); err != nil || s.Event != AuditPrune || len(s.Pruned.Root) != tlog.HashSize || s.Pruned.Records <= 0 {
		return tlog.Tree{}, false
	}
	return tlog.Tree{N: s.Pruned.Records, Hash: tlog.Hash(s.Pruned.Root)}, true
}

// Prune takes away the lines of records that nobody reads any more: of whole segments,
// from the first on, in which every record is of a month that ended before a time and
// was expired. Their hashes stay, and a record says so before: the log verifies as it
// did. It returns how many lines there were; none is no failure. Fault: Unavailable.
func (l *Log) Prune(ctx context.Context, actor string, before time.Time) (int64, error) {
	// What is behind the last checkpoint can be authenticated only with its keys.
	if _, err := l.Checkpoint(ctx); err != nil {
		return 0, errUnavailable(err)
	}
	found, err := NewReader(l.cfg).prunable(ctx, before)
	if err != nil || found.Lines == 0 {
		return 0, err
	}
	rec := &Record{
		Event: AuditPrune, Actor: actor, Tenant: identity.DefaultTenant, Method: "command", Count: found.Lines, Outcome: OK,
		Object: fmt.Sprintf("0-%d", found.Tree.N-1), Pruned: Pruned{Records: found.Tree.N, Root: found.Tree.Hash},
	}
	lines, err := do(ctx, l, func() (int64, error) {
		l.flush() // what was recorded before stands before
		b := &batch{}
		b.add(&reqctx.Info{}, rec, l.cfg.Now())
		if _, err := l.ledger.Append(1, &sealer{vault: l.vault, batch: b}); err != nil {
			l.vault.Discard()
			return 0, err
		}
		return found.Lines, l.ledger.Prune(found.Tree.N)
	})
	if err != nil {
		return 0, errUnavailable(err)
	}
	return lines, nil
}

// prunable returns which lines nobody reads any more.
func (r *Reader) prunable(ctx context.Context, before time.Time) (ledger.Prunable, error) {
	view, err := ledger.Look(r.dir, r.bits)
	if err != nil {
		return ledger.Prunable{}, err
	}
	check, err := r.check()
	if err != nil {
		return ledger.Prunable{}, err
	}
	keys := r.vault()
	return view.Prunable(ctx, check.Verifier, func(line []byte) (bool, error) {
		s, err := parseStored(line)
		if err != nil {
			return false, err
		}
		month := vault.Month(s.Time)
		if end, err := vault.EndOf(month); err != nil || end.After(before) {
			return false, err
		}
		return s.unreadable(keys, month)
	})
}

// unreadable reports whether every key of a line was destroyed.
func (s *stored) unreadable(keys *vault.Vault, month string) (bool, error) {
	ids := []string{s.Key}
	for _, part := range s.Also {
		ids = append(ids, part[0])
	}
	for _, id := range ids {
		if _, err := keys.Find(month, id); !errors.Is(err, vault.ErrDestroyed) {
			if errors.Is(err, vault.ErrUnknown) {
				err = nil
			}
			return false, err
		}
	}
	return true, nil
}
