package inference

import (
	"context"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// Call is the right of one principal to predict once or more with one version
// of a model, and the memory to do so. Only Open makes one. It belongs to one
// goroutine, and to nobody after Close.
type Call struct {
	version   *version
	catalog   *Catalog
	principal *identity.Principal
	rule      int
	batch     *schema.Batch
	outputs   []*tensor.Tensor
	record    audit.Record
	// began is when the call was opened, and mark when the last part of it ended.
	began, mark time.Time
	answered    bool // by the last prediction
	// passage is what the prediction holds, nil before and after; compute is the
	// time that the engine took for it, and waited what it waited for a place.
	passage         Passage
	compute, waited time.Duration
}

// Open returns a call for the principal. An empty model means the default one,
// an empty version the newest, and a label stands for the version that it names. The caller must Close the call. Faults: NotFound
// when the model or version does not exist for the principal's tenant,
// Unauthenticated when the model asks for a further credential, Forbidden when
// its rules do not let the principal predict, RateLimited when too many have
// called it.
func (c *Catalog) Open(ctx context.Context, p *identity.Principal, modelName, versionID string) (*Call, error) {
	v, err := c.current.Load().of(p).find(ctx, p, modelName, versionID)
	if err != nil {
		return nil, err
	}
	trace := reqctx.From(ctx).Trace
	began := trace.Begin()
	decision, err := v.permit(v.request(ctx, p, authz.Predict))
	trace.End(reqctx.Authorize, began, err)
	if err != nil {
		return nil, err
	}
	if v.admission != nil {
		if err := v.admission.Open(ctx, p); err != nil {
			return nil, err
		}
	}
	call, ok := v.calls.Get().(*Call)
	if !ok {
		call = v.newCall()
	}
	call.catalog, call.principal, call.rule = c, p, decision.Rule
	call.began, call.answered, call.waited = c.cfg.Now(), false, 0
	call.mark = call.began
	return call, nil
}

// find is resolve for a principal: an unknown version of a model that it may read is
// told which there are.
func (seen *view) find(ctx context.Context, p *identity.Principal, modelName, versionID string) (*version, error) {
	v, err := seen.resolve(modelName, versionID)
	if err == nil {
		return v, nil
	}
	if m := seen.model(modelName); m != nil && m.newest().lets(ctx, p, authz.Read) {
		info := seen.info(m, m.newest())
		return nil, whichVersions(&info)
	}
	return nil, err
}

// model returns the model with the name, the default one for none; nil where there
// is none.
func (seen *view) model(name string) *model {
	if name == "" {
		return seen.fallback
	}
	return seen.models[name]
}

// resolve finds the version that the names stand for.
func (seen *view) resolve(modelName, versionID string) (*version, error) {
	m := seen.model(modelName)
	switch {
	case m == nil && modelName == "":
		return nil, fault.New(fault.NotFound, "No model is the default here; choose one of GET /models and call POST /models/{model}/predict")
	case m == nil:
		return nil, unknownModel()
	case versionID == "":
		return m.newest(), nil
	}
	if v := m.find(versionID); v != nil {
		return v, nil
	}
	return nil, unknownVersion()
}

// Inputs returns what the graph takes, in its order. It is shared: read only.
func (c *Call) Inputs() []tensor.Spec { return c.version.inputs }

// Outputs returns what the graph gives, in its order. It is shared: read only.
func (c *Call) Outputs() []tensor.Spec { return c.version.outputs }

// Schema returns the contract that the input must fit.
func (c *Call) Schema() *schema.Schema { return c.version.schema }

// Model returns the model's name.
func (c *Call) Model() string { return c.version.model }

// Label returns the model's folder, which tells it from models of other tenants
// with the same name: for logs and records, not for clients.
func (c *Call) Label() string { return c.version.label }

// About is what a record says of the model, and of the rule that let the principal
// predict.
func (c *Call) About() audit.About { return c.version.about(c.rule) }

// Version returns the version's number.
func (c *Call) Version() string { return c.version.id }

// Batch returns the memory for the input: fill it, then Predict.
func (c *Call) Batch() *schema.Batch { return c.batch }

// TakeBatch takes over the input of another call of the same version, and gives
// it its own memory for that. It reports false, and does nothing, where the other
// call is of another version: what its contract let through says nothing here.
func (c *Call) TakeBatch(from *Call) bool {
	if c.version != from.version {
		return false
	}
	c.batch, from.batch = from.batch, c.batch
	return true
}

// Admit holds the tensors that a protocol has put into Batch().Inputs, by itself
// and not by Schema().Decode, to the model's contract, and counts their rows:
// at most maxRows. Predict is for input that has passed one of the two. Faults:
// Content.
func (c *Call) Admit(ctx context.Context, maxRows int) error {
	return c.version.schema.Admit(ctx, c.batch, maxRows)
}

// Predict runs the model on the batch. The outputs are in the order of the
// model's own, and valid until the next Predict or Close. A request whose deadline
// has passed does not reach the engine. Faults: those of Program.Run, Overloaded
// and RateLimited where too much is asked for, and Unavailable when the audit
// record could not be kept.
func (c *Call) Predict(ctx context.Context) ([]*tensor.Tensor, error) {
	if err := c.Answer(ctx, func([]*tensor.Tensor) error { return nil }); err != nil {
		return nil, err
	}
	return c.outputs, nil
}

// Answer is Predict for who may find that there is no answer in the outputs: write says
// so, and the prediction has failed, before it is on record. Faults: also those of write.
func (c *Call) Answer(ctx context.Context, write func(outputs []*tensor.Tensor) error) error {
	if err := c.spend(ctx); err != nil {
		return err
	}
	start := c.catalog.cfg.Now()
	err := ctx.Err()
	if err == nil {
		err = c.version.program.Run(ctx, c.batch.Inputs, c.outputs)
	} else {
		err = fault.OfContext(err)
	}
	end := c.catalog.cfg.Now()
	latency := end.Sub(start)
	reqctx.From(ctx).Trace.Keep(reqctx.Predict, start, end, err)
	if err == nil {
		err = write(c.outputs)
	}
	if c.version.observe != nil {
		c.version.observe(c.principal.Tenant, c.batch.Rows, latency, err)
	}
	if auditErr := c.audit(ctx, end, latency, err); err == nil {
		err = auditErr
	}
	if err == nil {
		c.compute += latency
	}
	c.count(start, end, err)
	return err
}

// audit keeps a record of the prediction, in memory of the call.
func (c *Call) audit(ctx context.Context, at time.Time, latency time.Duration, err error) error {
	recorder := c.catalog.cfg.Audit
	if recorder == nil {
		return nil
	}
	about := c.About()
	c.record = audit.Record{
		Time: at, Event: audit.Predict, Model: about.Model, Version: about.Version, Digest: about.Digest,
		Decision: audit.Allow, Rule: about.Rule, Rows: c.batch.Rows, Latency: latency, Outcome: audit.Outcome(err),
	}
	c.record.By(c.principal)
	if hash := c.catalog.cfg.InputHash; hash != nil {
		if c.record.Input, err = hash(ctx, c.principal.Tenant, c.batch.Inputs); err != nil {
			return err
		}
	}
	return recorder.Record(ctx, &c.record)
}

// Close gives the call's memory back, once. Neither the call nor the outputs of
// Predict may be used after it.
func (c *Call) Close() {
	c.Leave()
	if c.answered {
		c.countAnswer()
	}
	c.catalog, c.principal, c.record = nil, nil, audit.Record{}
	c.keep()
}

// keep gives the call's memory back to its version, if it is worth keeping.
func (c *Call) keep() {
	used := 0
	for _, list := range [...][]*tensor.Tensor{c.batch.Inputs, c.outputs} {
		for _, t := range list {
			used += t.Len() * t.DType().Size()
		}
	}
	c.batch.Release()
	size := 0
	for _, list := range [...][]*tensor.Tensor{c.batch.Inputs, c.outputs} {
		for _, t := range list {
			size += t.Memory()
		}
	}
	if c.version.kept.Keep(used, size) {
		c.version.calls.Put(c)
	}
}
