package inference

import (
	"context"
	"time"

	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
)

// Admission says whether calls of one model may go ahead now. It is safe for
// concurrent use.
type Admission interface {
	// Open counts a request against the rates of the model, once, however often it
	// opens the model. It may wait. Faults: RateLimited, Timeout, Canceled.
	Open(ctx context.Context, p *identity.Principal) error
	// Enter waits for a place among the predictions in flight, for one whose body
	// of so many bytes has come. Faults: Overloaded, Timeout, Canceled.
	Enter(ctx context.Context, p *identity.Principal, bytes int64) (Passage, error)
}

// Passage is what one prediction holds. It belongs to one goroutine, and to nobody
// after Leave.
type Passage interface {
	// Spend counts the rows, and may wait for a place among large batches. Faults:
	// Content, RateLimited, those of Enter, and those of quotas.
	Spend(ctx context.Context, rows int) error
	// Leave gives back what the prediction holds. Only an answered one has used
	// anything, of the engine's time so much.
	Leave(answered bool, compute time.Duration)
}

// Admit returns what admits the calls of the model with the label, at the limits
// of one of its versions, which may be nil.
type Admit func(label string, limits *schema.Limits) Admission

// Enter takes a place among the predictions in flight, for a call whose body of so
// many bytes has come, and waits for one if it must. Predict does so where nobody
// has. Faults: Overloaded, Timeout, Canceled.
func (c *Call) Enter(ctx context.Context, bytes int64) error {
	if c.version.admission == nil || c.passage != nil {
		return nil
	}
	began := c.catalog.cfg.Now()
	passage, err := c.version.admission.Enter(ctx, c.principal, bytes)
	c.waited += c.catalog.cfg.Now().Sub(began)
	if err == nil {
		c.passage = passage
	}
	return err
}

// spend counts the rows of the batch, and what else the prediction will use.
func (c *Call) spend(ctx context.Context) error {
	if c.version.admission == nil {
		return nil
	}
	if err := c.Enter(ctx, 0); err != nil {
		return err
	}
	return c.passage.Spend(ctx, c.batch.Rows)
}

// Leave gives the place among the predictions in flight back, as soon as the
// answer is there and has only to be sent. Close does so, too.
func (c *Call) Leave() {
	if c.passage != nil {
		c.passage.Leave(c.answered, c.compute)
		c.passage, c.compute = nil, 0
	}
}
