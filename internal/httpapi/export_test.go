package httpapi

import (
	"net/http"
	"slices"

	"github.com/go-chi/chi/v5"

	"onnxgate/internal/fault"
)

// Mux lets tests walk what a listener serves.
func (l *Listener) Mux() chi.Routes { return l.router.mux }

// RouteOf returns the table's line for what a walk found.
func (l *Listener) RouteOf(method, pattern string) Route {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(l.router.routes, func(r Route) bool { return r.Method == method && r.Pattern == pattern })
	return l.router.routes[i]
}

// Refuse returns why the constructor refuses a table.
func (a *API) Refuse(routes ...Route) error {
	_, err := newRouter(a, routes)
	return err
}

// Slugs returns the ends of all problem types.
func Slugs() []string {
	var slugs []string
	for _, kind := range fault.Kinds() {
		slugs = append(slugs, problems[kind].slug)
	}
	slices.Sort(slugs)
	return slices.Compact(slugs)
}
