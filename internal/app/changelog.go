package app

import (
	"context"
	"log/slog"

	"onnxgate/internal/audit"
	"onnxgate/internal/reqctx"
)

// changeLog tells the log of every change of the accounts: who made it, and to
// what.
type changeLog struct{ log *slog.Logger }

// Record writes one line. It never fails.
func (c changeLog) Record(ctx context.Context, rec *audit.Record) error {
	c.log.LogAttrs(ctx, slog.LevelInfo, "changed",
		slog.String("event", string(rec.Event)), slog.String("actor", rec.Actor), slog.String("tenant", rec.Tenant),
		slog.String("object", rec.Object), slog.String("request_id", reqctx.From(ctx).RequestID))
	return nil
}
