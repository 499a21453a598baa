package telemetry

import (
	"context"
	"log/slog"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/reqctx"
)

// Reason returns the word for a kind of fault in metrics and access lines.
func Reason(kind fault.Kind) string { return strings.ReplaceAll(kind.String(), " ", "_") }

// LogFault logs what the client of the request in ctx is not told of err, which f
// classifies: a failure of ours always, the reason of a refusal for who looks for it.
func LogFault(ctx context.Context, log *slog.Logger, f *fault.Error, err error) {
	level, text := slog.LevelDebug, "request refused"
	if f.Kind == fault.Internal || f.Kind == fault.Unavailable && f.Err != nil {
		level, text = slog.LevelError, "request failed"
	}
	if f.Kind == fault.Internal || f.Err != nil && log.Enabled(ctx, level) {
		log.LogAttrs(ctx, level, text, slog.String("request_id", reqctx.From(ctx).RequestID), slog.Any("error", err)) //nolint:sloglint // one of two texts
	}
}
