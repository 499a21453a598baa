package schema

import (
	"errors"
	"strconv"

	"go.yaml.in/yaml/v3"

	"onnxgate/internal/identity"
)

// Limits are those of one model, whoever calls it.
type Limits struct {
	// Rates count requests, Rows the rows of their batches; nil is no limit.
	Rates, Rows identity.Rates
	// Concurrency is how many predictions there may be at once; 0 is any number.
	Concurrency int
}

// maxConcurrency bounds what a manifest may say; the server has a bound of its own.
const maxConcurrency = 10_000

func (p *parser) limits(n *yaml.Node, m *Manifest) {
	l := &Limits{}
	m.Limits = l
	p.lines["Limits"] = n.Line
	p.mapping("Limits", n, "limits", []key{
		{"rate", p.rates("Limits.Rate", &l.Rates)},
		{"rows", p.rates("Limits.Rows", &l.Rows)},
		{"concurrency", p.count("Limits.Concurrency", &l.Concurrency)},
	})
	if n.Kind == yaml.MappingNode && len(n.Content) == 0 {
		p.report(n.Line, "limits is empty; leave it out, or write limits such as {rate: 100/minute, rows: 10000/minute, concurrency: 8}")
	}
	if l.Concurrency > maxConcurrency {
		p.report(p.lines["Limits.Concurrency"], "concurrency must be at most %s", strconv.Itoa(maxConcurrency))
	}
}

// rates reads windows, such as "10/second, 200/minute", or off.
func (p *parser) rates(path string, into *identity.Rates) func(*yaml.Node) {
	return func(n *yaml.Node) {
		p.lines[path] = n.Line
		if n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" && n.ShortTag() != "!!bool" {
			p.misread(path, n, "%s must be a text such as 100/minute, not %s", partName(path), show(n))
			return
		}
		rates, err := identity.ParseRates(n.Value)
		if errors.Is(err, identity.ErrRows) && path == "Limits.Rate" {
			err = errors.New("counts requests; for rows, write rows: 5000/minute beside it")
		}
		if err != nil {
			p.misread(path, n, "%s %v, not %s", partName(path), err, show(n))
			return
		}
		*into = rates
	}
}

// LimitsOf returns the limits section, nil when there is none.
func (m *Manifest) LimitsOf() *Limits {
	if m == nil {
		return nil
	}
	return m.Limits
}
