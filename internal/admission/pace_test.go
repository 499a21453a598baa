package admission_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
)

// refuseMany refuses so many callers at once, and returns how long all of it took.
func refuseMany(ctx context.Context, c *admission.Control, n int, f *fault.Error) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for range n {
		all.Go(func() { c.Refuse(ctx, f) })
	}
	all.Wait()
	return time.Since(began)
}

func TestOnlyWhoIsToldToComeBackWaitsForTheRefusal(t *testing.T) {
	t.Parallel()
	c, err := admission.New(admission.Config{Processors: 1, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	limited := &fault.Error{Kind: fault.RateLimited, RetryAfter: time.Minute}
	// None of these counts, however many they are: the hundred after them go at once.
	refuseMany(t.Context(), c, 10_000, fault.New(fault.Unauthenticated, "no"))
	refuseMany(ended, c, 100, limited)
	if took := refuseMany(t.Context(), c, 150, limited); took < 290*time.Millisecond {
		t.Errorf("150 refusals after the first hundred took %v, at 500 a second", took)
	}
	began := time.Now()
	for range 1000 {
		c.Refuse(ended, limited)
	}
	if took := time.Since(began); took > 100*time.Second {
		t.Errorf("1000 refusals of requests that had ended took %v: they wait", took)
	}
}
