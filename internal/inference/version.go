package inference

import (
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"onnxgate/internal/fault"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// model is one folder of the catalog, or what one tenant sees of it.
type model struct {
	tenant   string
	name     string
	label    string
	versions []*version        // oldest first, never empty
	labels   map[string]string // the names of versions, to their numbers
	pinned   *version          // what a rollback chose, nil for the newest
}

// newest returns the version that is served when none is asked for.
func (m *model) newest() *version {
	if m.pinned != nil {
		return m.pinned
	}
	return m.versions[len(m.versions)-1]
}

// find returns the version with the id or the label, nil when there is none.
func (m *model) find(id string) *version {
	if number, ok := m.labels[id]; ok {
		id = number
	}
	return m.byNumber(id)
}

// byNumber returns the version with the number, nil when there is none.
func (m *model) byNumber(id string) *version {
	for _, v := range m.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// served returns the versions of a model, none of none.
func (m *model) served() []*version {
	if m == nil {
		return nil
	}
	return m.versions
}

// version is one compiled model file with its contract and its rules.
type version struct {
	tenant   string
	model    string
	label    string // of the model
	id       string
	digest   digest
	file     digest // of the model file
	sum      string // file in hexadecimal
	program  Program
	inputs   []tensor.Spec
	outputs  []tensor.Spec
	schema   *schema.Schema
	access   access
	warnings []string
	limits   *schema.Limits
	// observe and admission come when the version is served; admission is nil where every
	// call may go ahead.
	observe   Observe
	admission Admission
	memory    int64     // an estimate, in bytes
	calls     sync.Pool // of *Call
	kept      tensor.Retention
	counters  counters // of all tenants
	shares    shares   // of each but the owner
}

// version compiles one version, or takes it over when none of its files has
// changed.
func (l *loader) version(e *entry, id string, beside *manifest) (*version, error) {
	v := &version{tenant: e.place.tenant, model: e.place.name, label: e.place.label, id: id}
	src, err := l.read(e.place, id)
	if err != nil {
		return nil, err
	}
	v.digest, v.file = src.fingerprint(), src.sum
	v.sum = hex.EncodeToString(v.file[:])
	old := l.before.version(v.label, id)
	if old != nil && old.digest == v.digest {
		return old, nil
	}
	contract, err := src.contract(beside)
	if err != nil {
		return nil, err
	}
	if v.access, err = newAccess(v, contract, src.tests); err != nil {
		return nil, err
	}
	room := func(inputs []tensor.Spec, made int64) error {
		v.memory = estimate(src.size, contract.Memory(inputs)) + made
		return l.memory.room(v.tenant, v.memory, old)
	}
	noRoom := room(nil, 0)
	if l.rules {
		return v, nil
	}
	if err := v.access.failed(); err != nil {
		return nil, err
	}
	if noRoom != nil {
		return nil, noRoom
	}
	defer l.heap.tidy()
	if err := v.compile(l.cfg, src.data, contract, room, &l.warmth); err != nil {
		return nil, err
	}
	if err := v.checkGolden(src.golden); err != nil {
		return nil, err
	}
	return v, nil
}

// compile fills in the version from its file and its manifest, if it has one, asks
// whether there is room for the contract before it makes that, and warms the version
// up. A panic of the engine costs this version alone, and not the server that reloads.
func (v *version) compile(cfg *Config, data []byte, manifest *schema.Manifest, room func(inputs []tensor.Spec, made int64) error, w *warmth) (err error) {
	defer func() {
		if defect := recover(); defect != nil {
			err = fault.Wrap(fault.Internal, "the engine failed by a defect of its own", fmt.Errorf("panic: %v", defect))
		}
	}()
	var engine schema.Engine
	if manifest != nil {
		engine = manifest.Engine
	}
	program, warnings, err := cfg.Compile(data, engine)
	if err != nil {
		return err
	}
	inputs, outputs := program.Inputs(), program.Outputs()
	var made int64
	if p, ok := program.(Sized); ok {
		made = int64(p.Memory())
	}
	if err := room(inputs, made); err != nil {
		return err
	}
	contract, err := schema.Compile(manifest, v.model, inputs, outputs)
	if err != nil {
		return err
	}
	v.program, v.warnings, v.inputs, v.outputs, v.schema = program, slices.Clip(warnings), inputs, outputs, contract
	v.calls.New = func() any { return v.newCall() }
	v.limits = manifest.LimitsOf()
	return w.warm(v, cfg)
}

func (v *version) newCall() *Call {
	c := &Call{version: v, batch: v.schema.NewBatch(), outputs: make([]*tensor.Tensor, len(v.outputs))}
	for i := range c.outputs {
		c.outputs[i] = new(tensor.Tensor)
	}
	return c
}
