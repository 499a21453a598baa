package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/authn"
	"onnxgate/internal/authz"
	"onnxgate/internal/config"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/regular"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/sqlstore"
)

func (a *App) openRoles() (err error) {
	a.roles, err = readRoles(a.cfg)
	return err
}

// readRoles returns the roles there are, the operator's own included.
func readRoles(cfg *config.Config) (authz.Roles, error) {
	if cfg.RolesFile == "" {
		return authz.Roles{}, nil
	}
	data, _, err := regular.ReadFile(cfg.RolesFile, authz.MaxRolesFile)
	if err != nil {
		return authz.Roles{}, fmt.Errorf("ONNXGATE_ROLES_FILE: %w", err)
	}
	roles, err := authz.ParseRoles(data)
	if err != nil {
		return authz.Roles{}, fmt.Errorf("ONNXGATE_ROLES_FILE: %s: %w", cfg.RolesFile, err)
	}
	return roles, nil
}

// lookTimeout bounds one question about a tenant while models are loaded.
const lookTimeout = 5 * time.Second

// existence says whether there is a tenant.
type existence = func(ctx context.Context, name string) (bool, error)

func tenantExists(ctx context.Context, service *accounts.Service, name string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	return service.TenantExists(ctx, name)
}

// laterAccounts opens the accounts of a data directory when they are first asked
// for, and not where no server was started yet: then there are none.
type laterAccounts struct {
	cfg  *config.Config
	once sync.Once

	service *accounts.Service
	store   *sqlstore.Store
	done    func() error
	err     error
}

func (l *laterAccounts) open(ctx context.Context) (*accounts.Service, error) {
	l.once.Do(func() { l.service, l.store, l.done, l.err = openAccounts(ctx, l.cfg) })
	return l.service, l.err
}

// exists reports whether there is a tenant.
func (l *laterAccounts) exists(ctx context.Context, name string) (bool, error) {
	if missing := HasAccounts(l.cfg); missing != nil {
		return false, nil //nolint:nilerr // no accounts, no tenants
	}
	service, err := l.open(ctx)
	if err != nil {
		return false, err
	}
	return tenantExists(ctx, service, name)
}

func (l *laterAccounts) close() error {
	if l.done == nil {
		return nil
	}
	return l.done()
}

// AccessQuestion asks whether somebody may do something to a model.
type AccessQuestion struct {
	// Model is the name by which the caller would ask; empty means the default.
	Model string
	// As is the subject that asks: the name of a user, the id of a client, or
	// apikey: and the id of a key. Empty: whoever Token proves.
	As, Token string
	Action    authz.Action
	// Address is where the request would come from; the zero value is nowhere.
	Address netip.Addr
}

// AccessAnswer is what the server would decide, and why.
type AccessAnswer struct {
	Allow bool `json:"allow"`
	// Rule is the number of the model's rule that decides; nil when none does.
	Rule   *int   `json:"rule"`
	Reason string `json:"reason"`
}

func refusedBecause(format string, args ...any) *AccessAnswer {
	return &AccessAnswer{Reason: fmt.Sprintf(format, args...)}
}

// Explain answers in the order in which a request is judged: the credential,
// the route's permission, the model, its rules. An error means that the question
// makes no sense, or that the rules cannot be read.
func Explain(ctx context.Context, cfg *config.Config, q AccessQuestion) (answer *AccessAnswer, err error) {
	roles, err := readRoles(cfg)
	if err != nil {
		return nil, err
	}
	l := &laterAccounts{cfg: cfg}
	defer func() { err = errors.Join(err, l.close()) }()
	service, err := l.open(ctx)
	if err != nil {
		return nil, err
	}
	p, err := q.principal(reqctx.With(ctx, &reqctx.Info{ClientAddr: q.Address}), cfg, service, roles)
	if kind := fault.KindOf(err); kind == fault.Unauthenticated || kind == fault.Forbidden {
		return refusedBecause("the credential is refused: %s", fault.As(err).Msg), nil
	}
	if err != nil {
		return nil, err
	}
	if reason := withoutPermission(roles, p, q.Action); reason != "" {
		return refusedBecause("%s", reason), nil
	}
	return q.byRules(ctx, cfg, p, l)
}

// principal returns who asks. Faults: Unauthenticated and Forbidden as at the
// server, NotFound for a name that nobody has.
func (q *AccessQuestion) principal(ctx context.Context, cfg *config.Config, service *accounts.Service, roles authz.Roles) (*identity.Principal, error) {
	if q.As == "" {
		return q.proven(ctx, cfg, service, roles)
	}
	h, err := findHolder(ctx, service, q.As)
	if err != nil {
		return nil, err
	}
	tenant, err := service.Tenant(ctx, h.Tenant)
	switch {
	case err != nil:
		return nil, err
	case h.state != accounts.StateEnabled:
		return nil, fault.Newf(fault.Unauthenticated, "the %s is %s", h.label, h.state)
	case tenant.Disabled:
		return nil, fault.Newf(fault.Unauthenticated, "the tenant %s is disabled", tenant.Name)
	case !tenant.Admits(q.Address):
		return nil, fault.Newf(fault.Forbidden, "the tenant %s may be used from %v only; name the address with --address", tenant.Name, tenant.Addresses)
	case !identity.InNetworks(q.Address, h.addresses):
		return nil, fault.Newf(fault.Forbidden, "the %s may be used from %v only; name the address with --address", h.label, h.addresses)
	}
	if h.Scopes == nil {
		h.Scopes = roles.Of(h.Tenant, h.Roles)
	}
	return &h.Principal, nil
}

// proven returns whom the token proves.
func (q *AccessQuestion) proven(ctx context.Context, cfg *config.Config, service *accounts.Service, roles authz.Roles) (_ *identity.Principal, err error) {
	set, done, err := OpenKeys(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	issuers, err := newIssuers(cfg, nil, time.Now)
	if err != nil {
		return nil, err
	}
	_, authenticator, err := (&provers{cfg: cfg, accounts: service, roles: roles, keys: set, issuers: issuers, now: time.Now}).open()
	if err != nil {
		return nil, err
	}
	return authenticator.Authenticate(ctx, authn.Credentials{Bearer: q.Token})
}

// holder is a user, a client or a key of the store, as who would ask.
type holder struct {
	// Principal has no scopes when nothing narrows it.
	identity.Principal
	label, state string
	// addresses are where it may be used from; none is every address.
	addresses []netip.Prefix
}

// findHolder returns whose subject it is. The fault is NotFound for nobody's.
func findHolder(ctx context.Context, service *accounts.Service, subject string) (*holder, error) {
	if strings.HasPrefix(subject, accounts.ClientPrefix) {
		c, err := service.Client(ctx, accounts.AnyTenant, subject)
		if err != nil {
			return nil, err
		}
		p := identity.Principal{Subject: c.ID, Tenant: c.Tenant, Roles: c.Roles, Scopes: c.Scopes, Method: identity.Bearer}
		return &holder{Principal: p, label: "client " + c.ID, state: c.State()}, nil
	}
	if id, ok := strings.CutPrefix(subject, identity.KeySubject); ok {
		k, err := service.Key(ctx, accounts.AnyTenant, id)
		if err != nil {
			return nil, err
		}
		p := identity.Principal{Subject: subject, Tenant: k.Tenant, Roles: k.Roles, Scopes: k.Scopes, Models: k.Models, Method: identity.APIKey}
		return &holder{Principal: p, label: "API key " + id, state: k.State(time.Now()), addresses: k.Addresses}, nil
	}
	u, err := service.User(ctx, accounts.AnyTenant, subject)
	if err != nil {
		return nil, err
	}
	p := identity.Principal{Subject: u.Name, Tenant: u.Tenant, Roles: u.Roles, Method: identity.Bearer}
	return &holder{Principal: p, label: "user " + u.Name, state: u.State()}, nil
}

// permissions are what the routes for an action ask for. Read only.
var permissions = map[authz.Action]string{
	authz.Predict: identity.ModelsPredict, authz.Read: identity.ModelsRead, authz.Write: identity.ModelsWrite,
}

// withoutPermission says why the routes refuse the principal, whatever the model
// says; empty when they do not.
func withoutPermission(roles authz.Roles, p *identity.Principal, action authz.Action) string {
	permission := permissions[action]
	switch {
	case roles.Permits(p, permission):
		return ""
	case !p.HasScope(permission) && len(roles.Of(p.Tenant, p.Roles)) > len(p.Scopes):
		return fmt.Sprintf("the credential of %q is narrowed to other scopes than %s: %s", p.Subject, permission, strings.Join(p.Scopes, " "))
	}
	return fmt.Sprintf("none of the roles of %q (%s) grants the permission %s", p.Subject, strings.Join(p.Roles, ", "), permission)
}

func (q *AccessQuestion) byRules(ctx context.Context, cfg *config.Config, p *identity.Principal, l *laterAccounts) (*AccessAnswer, error) {
	rules, err := openRules(ctx, cfg, l.exists, l.store.ModelPins())
	if err != nil {
		return nil, err
	}
	e, required, err := rules.Explain(p, q.Model, q.Action, q.Address)
	if fault.KindOf(err) == fault.NotFound {
		return refusedBecause("the tenant %s sees no model %q: %s", p.Tenant, q.Model, fault.As(err).Msg), nil
	}
	if err != nil {
		return nil, err
	}
	answer := &AccessAnswer{Allow: e.Allow, Reason: e.Reason}
	if e.Rule != authz.NoRule {
		answer.Rule = &e.Rule
	}
	if len(required) > 0 {
		answer.Reason += fmt.Sprintf("; a request must carry all of these credentials, each allowed: %v", required)
	}
	return answer, nil
}

func openRules(ctx context.Context, cfg *config.Config, tenants existence, pins inference.Pins) (*inference.Rules, error) {
	return inference.OpenRules(ctx, inference.Config{FS: modelFiles(cfg), DefaultModel: cfg.DefaultModel, TenantExists: tenants, Pins: pins})
}

// TestAccess returns the outcome of the tests beside the model in the folder, or
// beside all models when it is empty. It needs no accounts: a tenant may be made
// later. Its error says what could not be read.
func TestAccess(ctx context.Context, cfg *config.Config, folder string) ([]inference.TestResult, error) {
	rules, err := openRules(ctx, cfg, func(context.Context, string) (bool, error) { return true, nil }, nil)
	if err != nil {
		return nil, err
	}
	return rules.Test(folder)
}
