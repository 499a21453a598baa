package sealing

import (
	"context"
	"time"

	"onnxgate/internal/revision"
)

// watch asks the store for its revision, not more often than it has to.
type watch struct {
	*revision.Watch

	now            func() time.Time
	poll, maxStale time.Duration
}

func newWatch(cfg *Config) *watch {
	return &watch{Watch: revision.New(cfg.Store, cfg.Now), now: cfg.Now, poll: cfg.PollInterval, maxStale: cfg.MaxStale}
}

// revision returns that of the store as it was at most a poll ago or, with now,
// after this call began. Faults: Unavailable, Canceled, Timeout.
func (w *watch) revision(ctx context.Context, now bool) (int64, error) {
	at := w.now()
	since := at.Add(-w.poll)
	if now {
		since = at
	}
	known := w.Known()
	if known.Started.Before(since) || now {
		var err error
		if known, err = w.After(ctx, since); err != nil {
			return 0, err
		}
	}
	if known.Err != nil && (now || at.Sub(known.Good) > w.maxStale) {
		return 0, known.Err
	}
	return known.Revision, nil
}
