package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

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

// ContractsKept makes contracts of so many bytes for so many audiences, at most 32,
// and returns how many bytes are kept of them.
func ContractsKept(size, audiences int) (int, error) {
	base, err := json.Marshal(object{"info": strings.Repeat("x", size)})
	if err != nil {
		return 0, err
	}
	c := contracts{base: func() ([]byte, error) { return base, nil }}
	for i := range audiences {
		who := audience{read: i&1 > 0, predict: i&2 > 0, write: i&4 > 0, seal: i&8 > 0, docs: i&16 > 0}
		if _, err := c.document(1, who); err != nil {
			return 0, err
		}
	}
	kept := 0
	for _, doc := range c.made {
		kept += len(doc)
	}
	return kept, nil
}
