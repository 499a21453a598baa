package inference

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"strings"

	"onnxgate/internal/authz"
	"onnxgate/internal/identity"
)

// Rules are the access rules of the models without the models: nothing can be
// predicted with them. They are for who writes rules and asks what they mean.
type Rules struct{ current *snapshot }

// OpenRules reads the access rules of every version in cfg.FS. It compiles
// nothing and wants neither cfg.Compile nor cfg.Now. What is wrong with a model
// is told by the methods, when they are asked about it. Where cfg.Pins is set, what
// was rolled back is known.
func OpenRules(ctx context.Context, cfg Config) (*Rules, error) {
	c := &Catalog{cfg: cfg}
	if err := c.readPins(ctx); err != nil {
		return nil, fmt.Errorf("ask which models were rolled back: %w", err)
	}
	l := c.newLoader(nil)
	l.rules = true
	if err := l.load(ctx); err != nil {
		return nil, err
	}
	return &Rules{l.snapshot()}, nil
}

// Explain says what would be decided about the principal's action with the
// version of the model that its tenant gets under this name alone, and why;
// and which credentials a request must carry all of, if more than any one. An
// empty name means the default model. Faults: NotFound. A model that cannot be
// served is an error, too.
func (r *Rules) Explain(p *identity.Principal, name string, action authz.Action, address netip.Addr) (authz.Explanation, []identity.Method, error) {
	v, err := r.current.of(p).resolve(name, "")
	if err != nil {
		return authz.Explanation{}, nil, cmp.Or(r.wrong(labelOf(p.Tenant, name)), err)
	}
	req := authz.Request{Principal: p, Action: action, Model: v.model, Address: address}
	return authz.Explain(v.access.policy, req), v.access.require, nil
}

// wrong returns what is wrong with a model or with its tenant's folder, or with
// all when the label is empty.
func (r *Rules) wrong(label string) error {
	var problems []LoadError
	for _, p := range r.current.problems {
		if label == "" || p.Model == label || strings.HasPrefix(label, p.Model+"/") {
			problems = append(problems, p)
		}
	}
	return joined(problems)
}

// TestResult is what became of the access tests of one version.
type TestResult struct {
	// Model is the model's folder.
	Model, Version string
	// Tests is how many there are, and Failed what is said of each that failed.
	Tests  int
	Failed []string
}

// Test returns the outcome of the access tests of the model in the folder, or of
// every model when it is empty, by version. Its error says which models could
// not be read, or that there is none in that folder.
func (r *Rules) Test(label string) ([]TestResult, error) {
	var results []TestResult
	for _, m := range r.current.sorted {
		if label != "" && label != m.label {
			continue
		}
		for _, v := range m.versions {
			results = append(results, TestResult{Model: m.label, Version: v.id, Tests: v.access.cases, Failed: v.access.failures})
		}
	}
	err := r.wrong(label)
	if err == nil && len(results) == 0 && label != "" {
		err = unknownModel()
	}
	return results, err
}
