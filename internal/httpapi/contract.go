package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sync/singleflight"

	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// contracts makes the OpenAPI documents that are served: the static contract
// with the paths, the fields and the ranges of each loaded model in it. A
// document is made once for a set of models and kept until another set is
// served.
type contracts struct {
	base document // the static contract

	making singleflight.Group // of documents by generation and audience

	mu         sync.Mutex
	generation uint64
	made       map[string][]byte // by audience
	size       int               // of made, in bytes
}

// audience is who a document is for.
type audience struct {
	models []inference.ModelInfo
	// read, predict, write, seal and docs say which routes it may use.
	read, predict, write, seal, docs bool
	// samples is the code to paste for a model.
	samples func(*inference.ModelInfo) (*samples, error)
}

// How many documents are kept, one for each different set of rights, and how many
// bytes they have together where they are more than one.
const (
	maxContracts     = 64
	maxContractBytes = 32 << 20
)

// object is a JSON object.
type object = map[string]any

// document is a contract as JSON.
type document func() ([]byte, error)

// readContract returns a contract with what the server says about itself, and
// without the paths that begin as one of those that are off. It is read when it is
// first asked for: a start and its memory do not pay for it.
func readContract(text []byte, version string, off ...string) document {
	return sync.OnceValues(func() ([]byte, error) {
		var doc object
		if err := yaml.Unmarshal(text, &doc); err != nil {
			return nil, fmt.Errorf("read the contract: %w", err)
		}
		if info, ok := doc["info"].(object); ok && version != "" {
			info["version"] = version
		}
		maps.DeleteFunc(member(doc, "paths"), func(path string, _ any) bool {
			return slices.ContainsFunc(off, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
		})
		return json.Marshal(doc)
	})
}

// document returns the contract for an audience in a generation of the catalog.
// Who asks for one that is being made waits for that, and nobody else.
func (c *contracts) document(generation uint64, who audience) ([]byte, error) {
	key := who.key()
	if doc := c.kept(generation, key); doc != nil {
		return doc, nil
	}
	made, err, _ := c.making.Do(fmt.Sprint(generation, " ", key), func() (any, error) {
		doc, err := c.build(who)
		if err == nil {
			c.keep(generation, key, doc)
		}
		return doc, err
	})
	doc, _ := made.([]byte)
	return doc, err
}

// kept returns a document that was made before, nil when there is none. Those of
// another generation go.
func (c *contracts) kept(generation uint64, key string) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		c.forget()
		c.generation = generation
	}
	return c.made[key]
}

// keep keeps a document within the bounds.
func (c *contracts) keep(generation uint64, key string, doc []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation {
		return
	}
	if c.made == nil || len(c.made) >= maxContracts || c.size+len(doc) > maxContractBytes {
		c.forget()
	}
	c.size += len(doc) - len(c.made[key])
	c.made[key] = doc
}

func (c *contracts) forget() { c.made, c.size = map[string][]byte{}, 0 }

// key tells audiences apart. Two tenants can have models of one name, and see
// different versions of a shared one.
func (a *audience) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%t %t %t %t %t", a.read, a.predict, a.write, a.seal, a.docs)
	for i := range a.models {
		m := &a.models[i]
		fmt.Fprintf(&b, " %s %s %t", m.Label(), m.Serving, m.Default)
		for _, c := range m.Contracts {
			b.WriteString("," + c.Version)
		}
	}
	return b.String()
}

// contract answers with everything that the default tenant sees, to everybody:
// the models of other tenants are nobody else's business.
func (a *API) contract(_ context.Context, x *exchange) error {
	return a.sendContract(x, &identity.Principal{Tenant: identity.DefaultTenant}, func() audience {
		return audience{models: a.cfg.Catalog.SeenBy(identity.DefaultTenant), read: true, predict: true, write: true, seal: true, docs: true}
	})
}

// contractForCaller answers with what the caller may call.
func (a *API) contractForCaller(ctx context.Context, x *exchange) error {
	return a.sendContract(x, x.principal, func() audience {
		p := x.principal
		return audience{
			models:  a.cfg.Catalog.List(ctx, p),
			read:    a.cfg.Roles.Permits(p, identity.ModelsRead),
			predict: a.cfg.Roles.Permits(p, identity.ModelsPredict),
			write:   a.cfg.Roles.Permits(p, identity.ModelsWrite),
			seal:    a.cfg.Roles.Permits(p, identity.CryptoUse),
		}
	})
}

// sendContract reads the generation before the models: a reload in between
// leaves a document that is made again, never one that is kept too long.
func (a *API) sendContract(x *exchange, p *identity.Principal, who func() audience) error {
	generation := a.cfg.Catalog.Generation()
	reader := who()
	reader.samples = func(info *inference.ModelInfo) (*samples, error) { return a.samples(p, info, "", generation) }
	doc, err := a.contracts.document(generation, reader)
	if err != nil {
		return err
	}
	x.sendJSON(doc)
	return nil
}

// build makes the document for an audience.
func (c *contracts) build(who audience) ([]byte, error) {
	base, err := c.base()
	if err != nil {
		return nil, err
	}
	var doc object
	if err := json.Unmarshal(base, &doc); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	b := builder{paths: member(doc, "paths"), schemas: member(member(doc, "components"), "schemas")}
	b.cut(who)
	b.names(member(member(member(doc, "components"), "parameters"), "Model"), who.models)
	template := member(b.paths, "/models/{model}/predict")
	delete(b.paths, "/models/{model}/predict")
	delete(b.paths, "/models/{model}/versions/{version}/predict")
	delete(b.paths, "/predict")
	for i := range who.models {
		if !who.predict {
			break
		}
		code, err := who.samples(&who.models[i])
		if err == nil {
			err = b.add(&who.models[i], template, code)
		}
		if err != nil {
			return nil, err
		}
	}
	encoded, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("write the contract: %w", err)
	}
	return append(encoded, '\n'), nil
}

// builder adds models to a document.
type builder struct{ paths, schemas object }

// member returns a member of an object that is an object, empty when it is not
// there.
func member(o object, name string) object {
	if m, ok := o[name].(object); ok {
		return m
	}
	return object{}
}

// cut takes away what the audience has no right to, or nobody has.
func (b *builder) cut(who audience) {
	if !who.docs {
		delete(b.paths, "/docs")
		delete(b.paths, "/docs/{asset}")
	}
	if !who.seal {
		for _, path := range []string{"/encrypt", "/encrypt/", "/decrypt", "/decrypt/"} {
			delete(b.paths, path)
		}
	}
	if !who.read {
		delete(b.paths, "/models")
	}
	if !who.read || len(who.models) == 0 {
		delete(b.paths, "/models/{model}")
		delete(b.paths, "/models/{model}/versions/{version}")
	}
	b.cutProtocols(who)
}

// cutProtocols takes away the paths of the inference protocols whose scope the
// audience lacks, or that need a model where it has none.
func (b *builder) cutProtocols(who audience) {
	may := map[any]bool{identity.ModelsRead: who.read, identity.ModelsPredict: who.predict, identity.ModelsWrite: who.write}
	for path, item := range b.paths {
		if !ofProtocol(path) {
			continue
		}
		scope := protocolScope(item)
		if scope != nil && !may[scope] || len(who.models) == 0 && strings.Contains(path, "{model}") && scope != identity.ModelsWrite {
			delete(b.paths, path)
		}
	}
}

// protocolScope returns the one scope that the operation of a path asks for, nil
// when it is open.
func protocolScope(item any) any {
	operations, _ := item.(object)
	for _, name := range []string{"get", "post"} {
		schemes, _ := member(operations, name)["security"].([]any)
		for _, scheme := range schemes {
			named, _ := scheme.(object)
			if scopes, ok := named["password"].([]any); ok && len(scopes) == 1 {
				return scopes[0]
			}
		}
	}
	return nil
}

// names lists the models in the parameter that names one.
func (*builder) names(parameter object, models []inference.ModelInfo) {
	names := make([]string, len(models))
	for i := range models {
		names[i] = models[i].Name
	}
	if len(names) > 0 {
		parameter["schema"] = object{"type": "string", "enum": names}
	}
}

// add puts the paths of a model in the place of those with parameters, with the
// rows and answers of the version that each of them reaches, and the code to paste
// at the first of them.
func (b *builder) add(info *inference.ModelInfo, template object, code *samples) error {
	name, operation := info.Name, member(template, "post")
	serving := b.contract(name, "", info.Schema)
	serving.id, serving.summary = "predict."+name, "Predict with "+name
	if err := b.operation(predictPath(name, ""), operation, serving); err != nil {
		return err
	}
	if code != nil {
		member(member(b.paths, predictPath(name, "")), "post")["x-codeSamples"] = code.codeSamples()
	}
	for _, c := range info.Contracts {
		if err := b.version(info, &c, operation, serving); err != nil {
			return err
		}
	}
	if !info.Default {
		return nil
	}
	serving.id, serving.summary = "predict", "Predict with the default model, "+name
	return b.operation("/predict", operation, serving)
}

// version adds the paths of a version, that with its number and those with its
// labels. The version that serves shares the schemas of the path without one.
func (b *builder) version(info *inference.ModelInfo, c *inference.Contract, operation object, p predicting) error {
	if c.Version != info.Version {
		p = b.contract(info.Name, c.Version, c.Schema)
	}
	p.id, p.summary = "predict."+info.Name+":"+c.Version, "Predict with version "+c.Version+" of "+info.Name
	if err := b.operation(predictPath(info.Name, c.Version), operation, p); err != nil {
		return err
	}
	for label, number := range info.Labels {
		if number != c.Version {
			continue
		}
		p.id, p.summary = "predict."+info.Name+":"+label, "Predict with version "+c.Version+" of "+info.Name+", "+label
		if err := b.operation(predictPath(info.Name, label), operation, p); err != nil {
			return err
		}
	}
	return nil
}

// predicting is what is said of one path that predicts: its operationId, what it
// does, the contract, and the names of the schemas of a row and an answer.
type predicting struct {
	id, summary string
	schema      *schema.Schema
	row, answer string
}

// contract adds the schemas of a contract. A number is the last part of their
// names, so that no other model's can be the same.
func (b *builder) contract(model, version string, s *schema.Schema) predicting {
	p := predicting{schema: s, row: model + ".Row", answer: model + ".Prediction"}
	if version != "" {
		p.row, p.answer = p.row+"."+version, p.answer+"."+version
	}
	b.schemas[p.row], b.schemas[p.answer] = s.RowSchema(), s.ResponseSchema()
	return p
}

// operation adds one path that predicts.
func (b *builder) operation(path string, template object, p predicting) error {
	op, err := clone(template)
	if err != nil {
		return err
	}
	op["operationId"], op["summary"] = p.id, p.summary
	if text := p.schema.Description(); text != "" {
		op["description"] = text + "\n\n" + fmt.Sprint(op["description"])
	}
	row := object{"$ref": "#/components/schemas/" + p.row}
	rows, examples := object{"type": "array", "minItems": 1, "items": row}, object{}
	if example := p.schema.Example(); example != nil {
		examples["one row"] = object{"value": json.RawMessage(example)}
		if !p.schema.OneRow() {
			examples["two rows"] = object{"value": []json.RawMessage{example, example}}
		}
	}
	if p.schema.OneRow() {
		rows["maxItems"] = 1
	}
	body := object{"schema": object{"oneOf": []any{row, rows}}}
	if len(examples) > 0 {
		body["examples"] = examples
	}
	member(member(op, "requestBody"), "content")[mediaJSON] = body
	ok := member(member(op, "responses"), "200")
	member(ok, "content")[mediaJSON] = object{"schema": object{"$ref": "#/components/schemas/" + p.answer}}
	b.paths[path] = object{"post": op}
	return nil
}

// clone returns a copy that shares nothing with o.
func clone(o object) (object, error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var c object
	return c, json.Unmarshal(data, &c)
}
