package clock

import (
	"context"
	"time"
)

// Moment is a time to come, of this process.
type Moment struct{ at time.Time }

// In returns the moment after d.
func In(d time.Duration) Moment {
	return Moment{time.Now().Add(d)} //nolint:forbidigo // it is waited for in real time
}

// Wait returns at the moment, and does not tell by how late it is when the caller began
// to wait. The error is that of ctx, when it ends before.
func (m Moment) Wait(ctx context.Context) error {
	if d := time.Until(m.at); d > 0 {
		return wait(ctx, d)
	}
	return ctx.Err()
}

// waitRoughly waits by a timer of Go's runtime.
func waitRoughly(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
