package inference

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// Catalog is the set of loaded models. It is safe for concurrent use; a reload
// replaces the whole set between two requests.
type Catalog struct {
	cfg     Config
	reload  sync.Mutex // one at a time
	current atomic.Pointer[snapshot]
	pins    map[string]Pin // by folder; guarded by reload
}

// New loads every model. Unless cfg.SkipBad is set, one of the operator's that
// cannot be served is an error that names each with its reason. What a tenant has
// pushed into its own folder never is: the tenant alone goes without. ctx is for the
// question to cfg.Pins.
func New(ctx context.Context, cfg Config) (*Catalog, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = modelstore.DefaultMaxBytes
	}
	c := &Catalog{cfg: cfg}
	if err := c.readPins(ctx); err != nil {
		return nil, fmt.Errorf("ask which models were rolled back: %w", err)
	}
	l := c.newLoader(nil)
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	next := l.snapshot()
	if err := next.checkDefault(cfg.DefaultModel); err != nil {
		return nil, err
	}
	if bad := next.ofOperator(); len(bad) > 0 && !cfg.SkipBad {
		return nil, joined(bad)
	}
	c.serve(next, nil)
	l.heap.end(false)
	return c, nil
}

// Reload looks at the given folders again, MODEL, @TENANT or @TENANT/MODEL, or at
// all when none is given, and replaces what has changed; what looks as it did is
// not read. A version that cannot be served any more goes on as it was loaded
// before; the error joins a LoadError for each such version, and everything else
// is in force. Any other error says that the folders could not be read, and then
// nothing has changed.
func (c *Catalog) Reload(ctx context.Context, folders ...string) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	_ = c.readPins(ctx) // those that are known hold on
	before := c.current.Load()
	l := c.newLoader(before)
	if len(folders) > 0 && l.isFlat() == before.flat() {
		l.reload(ctx, folders)
	} else if err := l.load(ctx); err != nil {
		return err
	}
	return joined(c.adopt(l).problems)
}

// adopt puts what was loaded in force.
func (c *Catalog) adopt(l *loader) *snapshot {
	next, h := l.snapshot(), l.heap
	c.serve(next, l.before)
	h.end(len(next.changes.Removed)+len(next.changes.Replaced) > 0)
	return next
}

// serve puts a snapshot in the place of the one before. What its versions share with
// others, a bound on their calls among it, changes here: one that could not be loaded to
// its end changes nothing.
func (c *Catalog) serve(next, before *snapshot) {
	for _, m := range next.sorted {
		for _, v := range m.versions {
			if before.version(m.label, v.id) != v {
				c.enlist(v)
			}
		}
	}
	c.current.Store(next)
}

// enlist finds what admits the calls of a version, and who watches them.
func (c *Catalog) enlist(v *version) {
	if c.cfg.Admit != nil {
		v.admission = c.cfg.Admit(v.label, v.limits)
	}
	if c.cfg.Observer != nil {
		v.observe = c.cfg.Observer(v.label, v.id)
	}
}

func joined(problems []LoadError) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// Tenants returns the tenants that have models here, beside the default one, in
// the order of their names.
func (c *Catalog) Tenants() []string {
	var all []string
	for _, m := range c.current.Load().sorted {
		if m.tenant != identity.DefaultTenant {
			all = append(all, m.tenant)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// Generation grows with every reload. Whoever derives something from the whole
// catalog can tell by it when to do so again.
func (c *Catalog) Generation() uint64 { return c.current.Load().generation }

// Problems returns why some models or versions are not served, or are served
// as they were before.
func (c *Catalog) Problems() []LoadError { return slices.Clone(c.current.Load().problems) }

// Found returns, of the problems, those of folders that had changed when they were
// last looked at.
func (c *Catalog) Found() []LoadError { return slices.Clone(c.current.Load().found) }

// Warnings returns what the engine found odd about the loaded versions.
func (c *Catalog) Warnings() []Warning {
	var all []Warning
	for _, m := range c.current.Load().sorted {
		for _, v := range m.versions {
			for _, text := range v.warnings {
				all = append(all, Warning{Model: m.label, Version: v.id, Text: text})
			}
		}
	}
	return all
}

// ModelInfo describes a model to those who may use it.
type ModelInfo struct {
	Name string
	// Tenant is the owner.
	Tenant string
	// Versions are oldest first.
	Versions []string
	// Default is set for the model that serves requests that name none.
	Default bool
	// Serving is the version of requests that name none.
	Serving string
	// Version is the one that was asked for, else Serving. Schema, Inputs and
	// Outputs are its contract, the last two as the graph has them. They are
	// shared: read only.
	Version         string
	Schema          *schema.Schema
	Inputs, Outputs []tensor.Spec
	// Labels are names of versions, to their numbers.
	Labels map[string]string
	// Roles may predict with the version, whatever its other rules say.
	Roles []string
	// Contracts are those of the versions that the reader may predict with, oldest
	// first. List and SeenBy alone say so.
	Contracts []Contract
}

// Contract is what one version of a model asks for and answers. Schema is shared:
// read only.
type Contract struct {
	Version string
	Schema  *schema.Schema
}

// Label returns the model's folder, which tells it from models of other tenants
// with the same name.
func (i *ModelInfo) Label() string { return labelOf(i.Tenant, i.Name) }

// info describes a version of the model.
func (seen *view) info(m *model, of *version) ModelInfo {
	info := ModelInfo{
		Name: m.name, Tenant: m.tenant, Default: m == seen.fallback, Labels: maps.Clone(m.labels),
		Serving: m.newest().id, Version: of.id, Schema: of.schema, Inputs: of.inputs, Outputs: of.outputs, Roles: slices.Clone(of.access.policy.Roles),
	}
	for _, v := range m.versions {
		info.Versions = append(info.Versions, v.id)
	}
	maps.DeleteFunc(info.Labels, func(_, id string) bool { return !slices.Contains(info.Versions, id) }) // what a tenant does not see
	return info
}

// All describes every model of every tenant, the default one's first, whoever
// may use it. It is for what the server tells its operator.
func (c *Catalog) All() []ModelInfo {
	s := c.current.Load()
	all := make([]ModelInfo, len(s.sorted))
	for i, m := range s.sorted {
		all[i] = s.views[m.tenant].info(m, m.newest())
	}
	return all
}

// SeenBy describes every model that the tenant sees, by name, whoever of it may
// use it. It is for open documentation.
func (c *Catalog) SeenBy(tenant string) []ModelInfo {
	seen := c.current.Load().of(&identity.Principal{Tenant: tenant})
	all := make([]ModelInfo, len(seen.sorted))
	for i, m := range seen.sorted {
		all[i] = seen.info(m, m.newest())
		all[i].Contracts = m.contracts(func(*version) bool { return true })
	}
	return all
}

// contracts returns those of the versions that may be called.
func (m *model) contracts(may func(*version) bool) []Contract {
	var all []Contract
	for _, v := range m.versions {
		if may(v) {
			all = append(all, Contract{Version: v.id, Schema: v.schema})
		}
	}
	return all
}

// List describes the models that the principal may predict with, by name. One
// that asks for a further credential is not among them.
func (c *Catalog) List(ctx context.Context, p *identity.Principal) []ModelInfo {
	seen := c.current.Load().of(p)
	may := func(v *version) bool { return v.lets(ctx, p, authz.Predict) }
	list := []ModelInfo{}
	for _, m := range seen.sorted {
		v := m.newest()
		if !may(v) {
			continue
		}
		info := seen.info(m, v)
		info.Contracts = m.contracts(may)
		list = append(list, info)
	}
	return list
}

// Describe describes one version of a model to a principal who may read it; an
// empty name or version is as in Open, and so is a label. Faults: NotFound,
// Unauthenticated when it asks for a further credential, Forbidden.
func (c *Catalog) Describe(ctx context.Context, p *identity.Principal, name, version string) (ModelInfo, error) {
	seen := c.current.Load().of(p)
	v, err := seen.readable(ctx, p, name, version)
	if err != nil {
		return ModelInfo{}, err
	}
	return seen.info(seen.models[v.model], v), nil
}

// Ready reports, by a nil error, that a version of a model can predict, to a
// principal who may read it. Names and faults are those of Describe.
func (c *Catalog) Ready(ctx context.Context, p *identity.Principal, name, version string) error {
	_, err := c.current.Load().of(p).readable(ctx, p, name, version)
	return err
}

// readable finds the version that the names stand for, and that the principal
// may read.
func (seen *view) readable(ctx context.Context, p *identity.Principal, name, versionID string) (*version, error) {
	v, err := seen.find(ctx, p, name, versionID)
	if err == nil {
		_, err = v.permit(v.request(ctx, p, authz.Read))
	}
	return v, err
}

// Requires returns the kinds of credential that a request must carry, all of
// them, for the model as the principal's tenant sees it; none for one that asks
// for no more than a principal, and for one that it does not see. An empty
// model or version is as in Open.
func (c *Catalog) Requires(p *identity.Principal, modelName, versionID string) []identity.Method {
	v, err := c.current.Load().of(p).resolve(modelName, versionID)
	if err != nil {
		return nil
	}
	return slices.Clone(v.access.require)
}

// request is the question whether the principal may do action to the version. It
// has the address where a rule asks for one: finding it costs as much as most
// decisions.
func (v *version) request(ctx context.Context, p *identity.Principal, action authz.Action) authz.Request {
	req := authz.Request{Principal: p, Action: action, Model: v.model}
	if v.access.byAddress {
		req.Address = reqctx.From(ctx).ClientAddr
	}
	return req
}

// lets reports whether the principal may do action to the version with what it carries.
func (v *version) lets(ctx context.Context, p *identity.Principal, action authz.Action) bool {
	return carries(p, v.access.require) && authz.Decide(v.access.policy, v.request(ctx, p, action)).Allow
}

func unknownModel() error {
	return fault.New(fault.NotFound, "There is no such model; GET /models lists those you may call")
}

func unknownVersion() error {
	return fault.New(fault.NotFound, "The model has no such version; GET /models lists the versions")
}

// versionsShown is how many versions, and how many labels, an error names.
const versionsShown = 20

// whichVersions is unknownVersion for who may read what versions there are.
func whichVersions(info *ModelInfo) error {
	text := "; it has " + firstOf(info.Versions)
	var labels []string
	for _, l := range slices.Sorted(maps.Keys(info.Labels)) {
		labels = append(labels, l+" ("+info.Labels[l]+")")
	}
	if len(labels) > 0 {
		text += " and the labels " + firstOf(labels)
	}
	return fault.New(fault.NotFound, "The model has no such version"+text)
}

// firstOf joins the names that an error shows.
func firstOf(names []string) string {
	text := strings.Join(names[:min(len(names), versionsShown)], ", ")
	if len(names) > versionsShown {
		text += ", …"
	}
	return text
}
