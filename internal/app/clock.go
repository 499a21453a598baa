package app

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"onnxgate/internal/audit"
)

// clockPoll is how often the clock of the machine is looked at while nobody asks.
const clockPoll = time.Second

// watchClock tells operators when the clock of the machine was set by so much that
// it is not followed, and when it is right again.
func (a *App) watchClock(ctx context.Context) {
	tick := time.NewTicker(clockPoll)
	defer tick.Stop()
	var known time.Duration
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			known = a.lookAtClock(ctx, known)
		}
	}
}

// lookAtClock tells of an offset that differs from the known one by more than the
// time between two looks, and returns what is known then.
func (a *App) lookAtClock(ctx context.Context, known time.Duration) time.Duration {
	offset := a.clock.Offset()
	switch {
	case (offset - known).Abs() < clockPoll:
		return known
	case offset == 0:
		a.log.InfoContext(ctx, "the clock of the machine is followed again")
	default:
		a.log.ErrorContext(ctx, "the clock of the machine was set; credentials, rates and quotas go by the time before until it is set right, or a reload takes it over",
			slog.Duration("offset", offset))
	}
	a.noted(ctx, &audit.Record{Event: audit.ServerClock, Object: strconv.FormatFloat(offset.Seconds(), 'f', 0, 64) + " s"})
	return offset
}
