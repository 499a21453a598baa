//go:build !linux

package clock

import (
	"context"
	"time"
)

func wait(ctx context.Context, d time.Duration) error { return waitRoughly(ctx, d) }
