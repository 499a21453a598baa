package limit

import (
	"context"
	"time"

	limiter "github.com/ulule/limiter/v3"
)

// Own admits requests of callers who each have a rate of their own. It is safe
// for concurrent use, and its memory is bounded as a Limiter's is.
type Own struct{ store *store }

// NewOwn returns one that remembers that many callers at once; 0 is
// DefaultClients.
func NewOwn(callers int, now func() time.Time) *Own {
	if callers <= 0 {
		callers = DefaultClients
	}
	return &Own{store: newStore(callers, now)}
}

// Take counts one request of the caller, who has that rate.
func (o *Own) Take(ctx context.Context, caller string, rate Rate) Result {
	if rate.Off() {
		return Result{Allowed: true}
	}
	state, err := o.store.Get(ctx, caller, limiter.Rate{Period: rate.Window, Limit: rate.Requests})
	return Result{
		Allowed: err == nil && !state.Reached, Limit: rate.Requests, Remaining: state.Remaining,
		Window: rate.Window, Reset: time.Duration(state.Reset) * time.Second,
	}
}
