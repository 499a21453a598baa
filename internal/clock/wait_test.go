package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/clock"
)

func TestAMomentIsWaitedFor(t *testing.T) {
	const d = 20 * time.Millisecond
	begin := time.Now()
	var all errgroup.Group
	for range 100 {
		all.Go(func() error { return clock.In(d).Wait(t.Context()) })
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took < d {
		t.Errorf("it came after %v", took)
	}
	if err := clock.In(-time.Second).Wait(t.Context()); err != nil {
		t.Errorf("a moment that was: %v", err)
	}
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- clock.In(time.Hour).Wait(ctx) }()
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := clock.In(time.Hour).Wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
}
