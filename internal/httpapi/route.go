package httpapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/oauth"
	"onnxgate/internal/telemetry"
)

// Auth says who may use a route.
type Auth uint8

// The kinds of access. The zero value is none of them: a route must say.
const (
	// Public is open to everybody.
	Public Auth = iota + 1
	// Bearer asks for an access token or an API key.
	Bearer
)

// String returns the word for it.
func (a Auth) String() string {
	switch a {
	case Public:
		return "public"
	case Bearer:
		return "bearer token"
	}
	return "undecided"
}

// handlerFunc serves one route. It returns a fault instead of writing one.
type handlerFunc func(a *API, ctx context.Context, x *exchange) error

// Route is one line of the route table: everything that is decided about a
// route before its handler runs.
type Route struct {
	Method string
	// Pattern is the exact path. One that ends with a slash is an exception to the
	// one form that paths have, and stands here by name.
	Pattern string
	// MaxBody is how many bytes of body are read; 0 reads none.
	MaxBody int64
	// Timeout bounds the work after the header is read.
	Timeout time.Duration
	// Limit is the rate that requests count against, where it is not that of reads: see
	// Rate.
	Limit admission.Kind
	Auth  Auth
	// OfModel says that the route is about one model, that of its path or the
	// default one.
	OfModel bool
	// Permission is what a caller of a route with Auth Bearer must hold, by role
	// and by scope, whatever the model says; empty asks for none.
	Permission string
	Errors     ErrorFormat
	// Look is what a request with a credential is on record as that was served and
	// left no other record; empty means audit.ServerRead.
	Look audit.Event
	// ReadOnly says that the route changes nothing, for one whose method is that of
	// changes.
	ReadOnly bool
	// Operation says that the route is for whoever looks after the process, and
	// leaves no record: it is served also while none can be kept. What is answered
	// 200 is in the access log at the level debug alone.
	Operation bool
	// Handler reads decode, call, encode.
	Handler handlerFunc
}

// Timeouts of routes.
const (
	quick = 10 * time.Second
	// slow is for routes that hash passwords or run a model on a large body.
	slow = 30 * time.Second
)

// maxTokenBody bounds the form of a request to the authorization server.
const maxTokenBody = 16 << 10

// RouteOptions is what the route tables depend on.
type RouteOptions struct {
	// Docs opens the documentation to everybody.
	Docs bool
	// MaxBody bounds the body of a prediction, in bytes.
	MaxBody int64
	// MaxModel bounds the file of a model that is pushed, in bytes.
	MaxModel int64
	// OpenMetrics shows the metrics to everybody who reaches the
	// administration listener.
	OpenMetrics bool
	// Profiles shows those of the Go runtime, on the administration listener.
	Profiles bool
}

// PublicRoutes is the route table of the public listener.
func PublicRoutes(o RouteOptions) []Route {
	predict := Route{
		Method: http.MethodPost, MaxBody: o.MaxBody, Timeout: slow, Limit: admission.Predict,
		Auth: Bearer, OfModel: true, Permission: identity.ModelsPredict, Handler: (*API).predict, Look: audit.ModelRead,
	}
	read := Route{
		Method: http.MethodGet, Timeout: quick,
		Auth: Bearer, Permission: identity.ModelsRead, Look: audit.ModelRead,
	}
	form := Route{
		Method: http.MethodPost, MaxBody: maxTokenBody, Timeout: slow, Limit: admission.Token, Auth: Public, Errors: OAuth,
	}
	wellKnown := Route{Method: http.MethodGet, Timeout: quick, Auth: Public, Errors: OAuth}
	encrypt := Route{
		Method: http.MethodPost, MaxBody: maxPlainBody, Timeout: slow, Limit: admission.Predict,
		Auth: Bearer, Permission: identity.CryptoUse, Handler: (*API).encrypt, Look: audit.KeyRead,
	}
	decrypt := encrypt.with((*API).decrypt)
	decrypt.MaxBody = maxCipherBody
	routes := []Route{
		form.at(oauth.PathToken).with((*API).token),
		form.at(oauth.PathRevoke).with((*API).revoke),
		form.at(oauth.PathIntrospect).with((*API).introspect),
		{
			Method: http.MethodPost, Pattern: "/account/password", MaxBody: maxPasswordBody, Timeout: slow,
			Limit: admission.Token, Auth: Bearer, Handler: (*API).changePassword, Look: audit.UserRead,
		},
		wellKnown.at(oauth.PathMetadata).with((*API).serverMetadata),
		wellKnown.at(oauth.PathJWKS).with((*API).jwks),
		predict.at("/predict"),
		predict.at("/models/{model}/predict"),
		predict.at("/models/{model}/versions/{version}/predict"),
		encrypt.at("/encrypt"),
		encrypt.at("/encrypt/"),
		decrypt.at("/decrypt"),
		decrypt.at("/decrypt/"),
		read.at("/models").with((*API).listModels),
		read.at("/models/{model}").with((*API).describeModel).ofModel(),
		read.at("/models/{model}/versions/{version}").with((*API).describeModel).ofModel(),
		{Method: http.MethodGet, Pattern: "/usage", Timeout: quick, Auth: Bearer, Handler: (*API).ownUsage},
		{Method: http.MethodGet, Pattern: "/livez", Timeout: quick, Auth: Public, Operation: true, Handler: (*API).livez},
		{Method: http.MethodGet, Pattern: "/readyz", Timeout: quick, Auth: Public, Operation: true, Handler: (*API).readyz},
	}
	routes = append(routes, protocolRoutes(o)...)
	contract := Route{Method: http.MethodGet, Timeout: quick, Auth: Public}
	if !o.Docs {
		return append(routes, Route{
			Method: http.MethodGet, Pattern: "/openapi.json", Timeout: quick, Auth: Bearer, Handler: (*API).contractForCaller,
		})
	}
	return append(routes,
		contract.at("/openapi.json").with((*API).contract),
		contract.at("/docs").with((*API).docsPage),
		contract.at("/docs/{asset}").with((*API).docsAsset))
}

// AdminRoutes is the route table of the administration listener.
func AdminRoutes(o RouteOptions) []Route {
	metrics := Route{
		Method: http.MethodGet, Pattern: "/metrics", Timeout: quick, Handler: (*API).metrics,
		Auth: Bearer, Permission: identity.MetricsRead,
	}
	if o.OpenMetrics {
		metrics.Auth, metrics.Permission, metrics.Operation = Public, "", true
	}
	routes := managementRoutes(o.MaxModel)
	if o.Profiles {
		routes = append(routes, profileRoutes()...)
	}
	return append(routes,
		metrics,
		Route{Method: http.MethodGet, Pattern: "/livez", Timeout: quick, Auth: Public, Operation: true, Handler: (*API).livez},
		Route{Method: http.MethodGet, Pattern: "/readyz", Timeout: quick, Auth: Public, Operation: true, Handler: (*API).readyz})
}

// Rate is the rate that requests count against: its own, or that of reads where a
// credential looks at something.
func (r Route) Rate() admission.Kind {
	if r.Limit == admission.None && r.Auth == Bearer && (r.Method == http.MethodGet || r.ReadOnly) {
		return admission.Read
	}
	return r.Limit
}

func (r Route) at(pattern string) Route { r.Pattern = pattern; return r }

func (r Route) ofModel() Route { r.OfModel = true; return r }

func (r Route) with(h handlerFunc) Route { r.Handler = h; return r }

func (r Route) looks(event audit.Event) Route { r.Look = event; return r }

func (r Route) needs(permission string) Route { r.Permission = permission; return r }

// check refuses a route that leaves something undecided.
func (r Route) check() error {
	var errs []error
	if r.Auth != Public && r.Auth != Bearer {
		errs = append(errs, errors.New("has neither authentication nor Public"))
	}
	if r.Auth == Public && r.Permission != "" {
		errs = append(errs, errors.New("asks everybody for a permission"))
	}
	if r.Handler == nil || r.Timeout <= 0 {
		errs = append(errs, errors.New("has no handler or no timeout"))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("route %s %s: %w", r.Method, r.Pattern, err)
	}
	return nil
}

// router finds the route of a request. Chi matches the path; the endpoint is
// then called as it is, without the copy of the request that chi would make.
type router struct {
	mux       *chi.Mux
	endpoints map[string]map[string]*endpoint // by method and pattern
	routes    []Route
	methods   []string // all that some route has
	protocols bool     // the inference protocols are served here
	// profilesOff says that there would be profiles here, and the operator shows none.
	profilesOff bool
}

// newRouter builds the one chain of every route from the table. A GET route
// answers HEAD too (RFC 9110 section 9.3.2).
func newRouter(a *API, routes []Route) (*router, error) {
	r := &router{mux: chi.NewMux(), endpoints: map[string]map[string]*endpoint{}, routes: routes}
	for i := range routes {
		route := &routes[i]
		if err := route.check(); err != nil {
			return nil, err
		}
		r.protocols = r.protocols || route.Errors == Inference
		methods := []string{route.Method}
		if route.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
		for _, method := range methods {
			e := &endpoint{Route: *route, api: a, name: method + " " + route.Pattern, rate: route.Rate(), metrics: a.cfg.Metrics.Route(method, route.Pattern)}
			e.changes = method != http.MethodGet && method != http.MethodHead && strings.HasSuffix(route.Permission, ":write") && !route.ReadOnly
			if e.Look == "" {
				e.Look = audit.ServerRead
			}
			r.mux.Method(method, route.Pattern, e)
			if r.endpoints[method] == nil {
				r.endpoints[method] = map[string]*endpoint{}
			}
			r.endpoints[method][route.Pattern] = e
		}
	}
	r.methods = slices.Sorted(maps.Keys(r.endpoints))
	return r, nil
}

// find returns the endpoint of a request, nil when it has none, and leaves the
// parameters of the path in params. A path that is a pattern has none: there is no
// brace in what is served.
func (r *router) find(params *chi.Context, req *http.Request) *endpoint {
	if e := r.endpoints[req.Method][req.URL.Path]; e != nil {
		return e
	}
	pattern := r.mux.Find(params, req.Method, req.URL.Path)
	if hasVerb(params, req.URL.Path) {
		return nil
	}
	return r.endpoints[req.Method][pattern]
}

// hasVerb reports whether a parameter of the path has taken a verb behind a name,
// such as ":predict", for a part of it, or there is no name before the verb. No
// name has a colon.
func hasVerb(params *chi.Context, path string) bool {
	return strings.IndexByte(path, ':') >= 0 && slices.ContainsFunc(params.URLParams.Values, func(name string) bool { return name == "" || strings.IndexByte(name, ':') >= 0 })
}

// endpoint is one route, bound to what serves it.
type endpoint struct {
	Route

	api  *API
	name string // the method and the pattern, for records
	rate admission.Kind
	// changes says that the route changes what rights and models there are.
	changes bool
	metrics *telemetry.RouteMetrics
}

// ServeHTTP is for chi, which asks for handlers. Only a listener serves
// requests: it comes before every route.
func (*endpoint) ServeHTTP(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

// isException reports whether a path that is not in the one form is a route's own.
func (r *router) isException(path string) bool {
	if r.profilesOff && path == profilePath {
		return true
	}
	return strings.HasSuffix(path, "/") && slices.ContainsFunc(r.routes, func(route Route) bool { return route.Pattern == path })
}

// allowed returns the methods that a path has, none when there is no such path.
func (r *router) allowed(path string) []string {
	var methods []string
	for _, method := range r.methods {
		params := chi.NewRouteContext()
		if r.mux.Match(params, method, path) && !hasVerb(params, path) {
			methods = append(methods, method)
		}
	}
	return methods
}

// nothingAt says that there is nothing at a path, and why where that can be changed.
func (r *router) nothingAt(path string) error {
	if r.profilesOff && strings.HasPrefix(path, profilePath) {
		return fault.New(fault.NotFound, "Profiles are off on this server; ONNXGATE_PPROF=on turns them on")
	}
	return nothingAt(path)
}

// unknown returns how it is told that there is nothing at a path.
func (r *router) unknown(path string) ErrorFormat {
	if r.protocols && ofProtocol(path) {
		return Inference
	}
	return Problem
}

// format returns how faults are told at a path, also one that no route has.
func (r *router) format(path string) ErrorFormat {
	for i := range r.routes {
		if r.routes[i].Pattern == path {
			return r.routes[i].Errors
		}
	}
	return r.unknown(path)
}
