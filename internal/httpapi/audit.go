package httpapi

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/telemetry"
)

// AuditLog reads the records of the audit log.
type AuditLog interface {
	// Read calls do with each record that the query wants, in order, until do
	// returns an error.
	Read(ctx context.Context, q audit.Query, do func(*audit.Entry) error) (next int64, err error)
}

const (
	// exportTime bounds an export, and exportStall how long a client may take none of
	// it.
	exportTime  = 15 * time.Minute
	exportStall = 30 * time.Second
	// exportPart is how much of it is held at a time, in bytes.
	exportPart = 64 << 10
	// exportProof is how long a part may be sent on the word of the one before.
	exportProof = 500 * time.Millisecond
	// tenantExports is how many are under way at a time for one tenant: each reads the
	// log of all, and must leave processors to the predictions of the others.
	tenantExports = 2
)

// exports are those under way, by tenant. The zero value is ready for use.
type exports struct {
	mu       sync.Mutex
	byTenant map[string]int
}

// enter takes a place for a tenant, unless it has its share.
func (e *exports) enter(tenant string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byTenant[tenant] == tenantExports {
		return false
	}
	if e.byTenant == nil {
		e.byTenant = map[string]int{}
	}
	e.byTenant[tenant]++
	return true
}

func (e *exports) leave(tenant string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byTenant[tenant]--; e.byTenant[tenant] == 0 {
		delete(e.byTenant, tenant)
	}
}

// The parameters of an export.
const (
	exportFrom   = "from"
	exportTo     = "to"
	exportFormat = "format"
)

var typeLines = []string{"application/jsonl"}

// auditRoute is the way to the records for those who may read them.
func auditRoute() Route {
	return Route{
		Method: http.MethodGet, Pattern: adminPath + "audit", Timeout: exportTime, Auth: Bearer, Permission: identity.AuditRead,
		Look: audit.AuditRead, Handler: (*API).exportAudit,
	}
}

// exportAudit sends records as they are read: of the caller's own tenant since it was
// made, and of all to those of the default tenant. That they were taken out is on record before
// the first is sent.
func (a *API) exportAudit(ctx context.Context, x *exchange) error {
	values, err := x.parameters(exportFrom, exportTo, exportFormat)
	if err != nil {
		return err
	}
	q, err := auditQuery(values, a.actor(x))
	if err != nil {
		return err
	}
	if a.cfg.Records == nil {
		return fault.New(fault.Conflict, "There are no audit records: ONNXGATE_AUDIT is off")
	}
	if q.Made, err = a.made(ctx, q.Tenant); err != nil {
		return err
	}
	if !a.exports.enter(x.principal.Tenant) {
		return &fault.Error{
			Kind: fault.Unavailable, RetryAfter: time.Second,
			Msg: "Your tenant exports records already, as often as it may at once; try again when one of the exports has ended",
		}
	}
	defer a.exports.leave(x.principal.Tenant)
	if err := a.cfg.Audit.Look(ctx, audit.AuditExport, x.principal, &x.about); err != nil {
		return err
	}
	out := &export{x: x, controller: http.NewResponseController(x.ResponseWriter), ctx: ctx, proven: x.start}
	return out.send(ctx, q, values.Get(exportFormat))
}

// made returns when a tenant was made, before which its name may have been another's:
// the zero time for that of the installation, and for all of them.
func (a *API) made(ctx context.Context, tenant string) (time.Time, error) {
	if tenant == audit.AnyTenant || tenant == identity.DefaultTenant {
		return time.Time{}, nil
	}
	found, err := a.cfg.Accounts.FindTenant(ctx, tenant)
	if err != nil {
		return time.Time{}, err
	}
	return found.CreatedAt, nil
}

// auditQuery reads which records are wanted. Faults: BadRequest.
func auditQuery(values url.Values, by accounts.Actor) (q audit.Query, err error) {
	if f := values.Get(exportFormat); f != "" && f != audit.JSON && f != audit.CSV {
		return q, fault.New(fault.BadRequest, "The parameter format must be json (one object per line) or csv")
	}
	q.Tenant = by.Tenant
	if by.Tenant == accounts.AnyTenant {
		q.Tenant = audit.AnyTenant
	}
	for name, at := range map[string]*time.Time{exportFrom: &q.Since, exportTo: &q.Until} {
		if !values.Has(name) {
			continue
		}
		if *at, err = moment(values.Get(name)); err != nil {
			return q, fault.Newf(fault.BadRequest, "The parameter %s must be a date (UTC) such as 2030-01-31, or a time such as 2030-01-31T12:00:00Z", name)
		}
	}
	return q, nil
}

// moment reads a time of RFC 3339, or a date, which begins at midnight in UTC. The first
// of all times is none: it stands for what was not asked for.
func moment(text string) (at time.Time, err error) {
	layout := time.RFC3339
	if len(text) == len(time.DateOnly) {
		layout = time.DateOnly
	}
	if at, err = time.Parse(layout, text); err == nil && at.IsZero() {
		err = errors.New("the zero time")
	}
	return at, err
}

// export is an answer that is sent in parts.
type export struct {
	x          *exchange
	controller *http.ResponseController
	ctx        context.Context //nolint:containedctx // of the request
	proven     time.Time
}

// Write sends a part, and gives the client time to take it. Whose rights have ended
// since the export began gets no more of it.
func (e *export) Write(b []byte) (int, error) {
	if now := e.x.listener.api.cfg.Now(); now.Sub(e.proven) >= exportProof {
		if err := e.x.renew(e.ctx); err != nil {
			return 0, err
		}
		e.proven = now
	}
	// Where deadlines cannot be set, the server's own ends the answer.
	_ = e.controller.SetWriteDeadline(e.x.listener.api.cfg.Now().Add(exportStall))
	return e.x.Write(b)
}

// send reads and sends the records. One that cannot be read cuts off an answer that
// has begun: it must not pass for a whole one.
func (e *export) send(ctx context.Context, q audit.Query, format string) error {
	e.x.Header()["Content-Type"] = typeLines
	if format == audit.CSV {
		e.x.Header()["Content-Type"] = typeCSV
	}
	if e.x.request.Method == http.MethodHead {
		e.x.WriteHeader(http.StatusOK)
		return nil
	}
	part := bufio.NewWriterSize(e, exportPart)
	out := audit.NewExport(part, format)
	_, err := e.x.listener.api.cfg.Records.Read(ctx, q, out.Write)
	if err = errors.Join(err, ctx.Err()); err == nil {
		err = errors.Join(out.Close(), part.Flush())
	}
	if err != nil && e.x.status != 0 {
		telemetry.LogFault(ctx, e.x.listener.api.cfg.Log, fault.Classify(err), err)
		panic(http.ErrAbortHandler)
	}
	return err
}
