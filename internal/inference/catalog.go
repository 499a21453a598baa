package inference

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"onnxgate/internal/audit"
	"onnxgate/internal/authz"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/schema"
)

// Catalog is the set of loaded models. It is safe for concurrent use; a reload
// replaces the whole set between two requests.
type Catalog struct {
	cfg     Config
	reload  sync.Mutex // one at a time
	current atomic.Pointer[snapshot]
}

// snapshot is one immutable state of the catalog.
type snapshot struct {
	generation uint64
	models     map[string]*model
	sorted     []*model // by name
	fallback   *model   // the default model, nil when there is none
	problems   []LoadError
	changes    Changes
}

// version returns the version that a snapshot holds, nil when it does not. A
// nil snapshot holds nothing.
func (s *snapshot) version(name, id string) *version {
	if s == nil || s.models[name] == nil {
		return nil
	}
	return s.models[name].find(id)
}

// New loads every model. Unless cfg.SkipBad is set, one that cannot be served
// is an error that names each with its reason.
func New(cfg Config) (*Catalog, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	if cfg.Audit == nil {
		cfg.Audit = audit.Discard{}
	}
	c := &Catalog{cfg: cfg}
	next, err := c.load(nil)
	if err != nil {
		return nil, err
	}
	if len(next.problems) > 0 && !cfg.SkipBad {
		return nil, joined(next.problems)
	}
	c.current.Store(next)
	return c, nil
}

// Reload looks at the folders again and replaces what has changed. A version
// that cannot be served any more goes on as it was loaded before; the error
// names each such version with its reason, and everything else is in force.
func (c *Catalog) Reload(context.Context) error {
	c.reload.Lock()
	defer c.reload.Unlock()
	next, err := c.load(c.current.Load())
	if err != nil {
		return err
	}
	c.current.Store(next)
	return joined(next.problems)
}

func (c *Catalog) load(before *snapshot) (*snapshot, error) {
	l := &loader{cfg: &c.cfg, before: before}
	models, err := l.load()
	if err != nil {
		return nil, err
	}
	next := &snapshot{models: make(map[string]*model, len(models)), sorted: models, problems: l.problems}
	slices.SortFunc(models, func(a, b *model) int { return strings.Compare(a.name, b.name) })
	for _, m := range models {
		next.models[m.name] = m
	}
	if err := next.chooseDefault(c.cfg.DefaultModel, before); err != nil {
		return nil, err
	}
	if before != nil {
		next.generation, next.changes = before.generation+1, next.since(before)
	}
	return next, nil
}

// chooseDefault settles which model serves requests that name none. A default
// that is asked for must exist at the start; later it may come and go.
func (s *snapshot) chooseDefault(name string, before *snapshot) error {
	switch {
	case name == "" && len(s.sorted) == 1:
		s.fallback = s.sorted[0]
	case name != "":
		s.fallback = s.models[name]
		bad := slices.ContainsFunc(s.problems, func(e LoadError) bool { return e.Model == name })
		if s.fallback == nil && before == nil && !bad {
			return fmt.Errorf("the default model %q is not among the models: %s", name, s.names())
		}
	}
	return nil
}

func (s *snapshot) names() string {
	if len(s.sorted) == 0 {
		return "there are none"
	}
	all := make([]string, len(s.sorted))
	for i, m := range s.sorted {
		all[i] = m.name
	}
	return strings.Join(all, ", ")
}

func joined(problems []LoadError) error {
	errs := make([]error, len(problems))
	for i, p := range problems {
		errs[i] = p
	}
	return errors.Join(errs...)
}

// Generation grows with every reload. Whoever derives something from the whole
// catalog can tell by it when to do so again.
func (c *Catalog) Generation() uint64 { return c.current.Load().generation }

// Problems returns why some models or versions are not served, or are served
// as they were before.
func (c *Catalog) Problems() []LoadError { return slices.Clone(c.current.Load().problems) }

// Warnings returns what the engine found odd about the loaded versions.
func (c *Catalog) Warnings() []Warning {
	var all []Warning
	for _, m := range c.current.Load().sorted {
		for _, v := range m.versions {
			for _, text := range v.warnings {
				all = append(all, Warning{Model: m.name, Version: v.id, Text: text})
			}
		}
	}
	return all
}

// ModelInfo describes a model to those who may use it.
type ModelInfo struct {
	Name string
	// Versions are oldest first.
	Versions []string
	// Default is set for the model that serves requests that name none.
	Default bool
	// Schema is the contract of the newest version.
	Schema *schema.Schema
	// Roles may predict with the newest version.
	Roles []string
}

func (s *snapshot) info(m *model) ModelInfo {
	info := ModelInfo{Name: m.name, Default: m == s.fallback, Schema: m.newest().schema, Roles: m.newest().schema.Roles()}
	for _, v := range m.versions {
		info.Versions = append(info.Versions, v.id)
	}
	return info
}

// All describes every model, by name, whoever may use it. It is for what the
// server shows of itself to its operator, and for open documentation.
func (c *Catalog) All() []ModelInfo {
	s := c.current.Load()
	all := make([]ModelInfo, len(s.sorted))
	for i, m := range s.sorted {
		all[i] = s.info(m)
	}
	return all
}

// List describes the models that the principal may predict with, by name.
func (c *Catalog) List(p *identity.Principal) []ModelInfo {
	s := c.current.Load()
	list := []ModelInfo{}
	for _, m := range s.sorted {
		if authz.Decide(m.newest().policy, authz.Request{Principal: p, Action: authz.Predict, Model: m.name}).Allow {
			list = append(list, s.info(m))
		}
	}
	return list
}

// Describe describes one model to a principal who may read it. Faults:
// NotFound, Forbidden.
func (c *Catalog) Describe(p *identity.Principal, name string) (ModelInfo, error) {
	s := c.current.Load()
	m := s.models[name]
	if m == nil {
		return ModelInfo{}, unknownModel()
	}
	if !authz.Decide(m.newest().policy, authz.Request{Principal: p, Action: authz.Read, Model: m.name}).Allow {
		return ModelInfo{}, notPermitted()
	}
	return s.info(m), nil
}

func unknownModel() error {
	return fault.New(fault.NotFound, "There is no such model; GET /models lists those you may call")
}

func unknownVersion() error {
	return fault.New(fault.NotFound, "The model has no such version; GET /models lists the versions")
}

func notPermitted() error {
	return fault.New(fault.Forbidden, "Operation not permitted")
}
