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

	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

// contracts makes the OpenAPI documents that are served: the static contract
// with the paths, the fields and the ranges of each loaded model in it. A
// document is made once for a set of models and kept until another set is
// served.
type contracts struct {
	base []byte // the static contract as JSON

	mu         sync.Mutex
	generation uint64
	made       map[string][]byte // by audience
}

// audience is who a document is for.
type audience struct {
	models []inference.ModelInfo
	// read, predict, write, seal and docs say which routes it may use.
	read, predict, write, seal, docs bool
	// samples is the code to paste for a model.
	samples func(*inference.ModelInfo) (*samples, error)
}

// maxContracts bounds how many documents are kept, one for each different set
// of rights.
const maxContracts = 64

// object is a JSON object.
type object = map[string]any

// readContract returns a contract as JSON, with what the server says about
// itself, and without the paths that begin as one of those that are off.
func readContract(document []byte, version string, off ...string) ([]byte, error) {
	var doc object
	if err := yaml.Unmarshal(document, &doc); err != nil {
		return nil, fmt.Errorf("read the contract: %w", err)
	}
	if info, ok := doc["info"].(object); ok && version != "" {
		info["version"] = version
	}
	maps.DeleteFunc(member(doc, "paths"), func(path string, _ any) bool {
		return slices.ContainsFunc(off, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
	})
	return json.Marshal(doc)
}

// document returns the contract for an audience in a generation of the catalog.
func (c *contracts) document(generation uint64, who audience) ([]byte, error) {
	key := who.key()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.generation != generation || len(c.made) >= maxContracts {
		clear(c.made)
		c.generation = generation
	}
	if c.made == nil {
		c.made = map[string][]byte{}
	}
	if doc, ok := c.made[key]; ok {
		return doc, nil
	}
	doc, err := c.build(who)
	if err == nil {
		c.made[key] = doc
	}
	return doc, err
}

// key tells audiences apart. Two tenants can have models of one name, and see
// different versions of a shared one.
func (a *audience) key() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%t %t %t %t %t", a.read, a.predict, a.write, a.seal, a.docs)
	for i := range a.models {
		m := &a.models[i]
		fmt.Fprintf(&b, " %s %s %t", m.Label(), strings.Join(m.Versions, ","), m.Default)
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
	reader.samples = func(info *inference.ModelInfo) (*samples, error) { return a.samples(p, info, generation) }
	doc, err := a.contracts.document(generation, reader)
	if err != nil {
		return err
	}
	x.sendJSON(doc)
	return nil
}

// build makes the document for an audience.
func (c *contracts) build(who audience) ([]byte, error) {
	var doc object
	if err := json.Unmarshal(c.base, &doc); err != nil {
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
// model's own rows and answers, and the code to paste at the first of them.
func (b *builder) add(info *inference.ModelInfo, template object, code *samples) error {
	row, answer := info.Name+".Row", info.Name+".Prediction"
	b.schemas[row], b.schemas[answer] = info.Schema.RowSchema(), info.Schema.ResponseSchema()
	operation := member(template, "post")
	newest := info.Versions[len(info.Versions)-1]
	for path, op := range map[string]object{
		"/models/" + info.Name + "/predict":                         {"operationId": "predict." + info.Name, "summary": "Predict with " + info.Name},
		"/models/" + info.Name + "/versions/" + newest + "/predict": {"operationId": "predict." + info.Name + "." + newest, "summary": "Predict with version " + newest + " of " + info.Name},
	} {
		if err := b.operation(path, operation, op, info); err != nil {
			return err
		}
	}
	if code != nil {
		member(member(b.paths, "/models/"+info.Name+"/predict"), "post")["x-codeSamples"] = code.codeSamples()
	}
	if !info.Default {
		return nil
	}
	return b.operation("/predict", operation, object{"operationId": "predict", "summary": "Predict with the default model, " + info.Name}, info)
}

// operation adds one path that predicts.
func (b *builder) operation(path string, template, own object, info *inference.ModelInfo) error {
	op, err := clone(template)
	if err != nil {
		return err
	}
	maps.Copy(op, own)
	if text := info.Schema.Description(); text != "" {
		op["description"] = text + "\n\n" + fmt.Sprint(op["description"])
	}
	rows := object{"$ref": "#/components/schemas/" + info.Name + ".Row"}
	body := object{"schema": object{"oneOf": []any{rows, object{"type": "array", "minItems": 1, "items": rows}}}}
	if example := info.Schema.Example(); example != nil {
		body["examples"] = object{
			"one row":  object{"value": json.RawMessage(example)},
			"two rows": object{"value": []json.RawMessage{example, example}},
		}
	}
	member(member(op, "requestBody"), "content")[mediaJSON] = body
	ok := member(member(op, "responses"), "200")
	member(ok, "content")[mediaJSON] = object{"schema": object{"$ref": "#/components/schemas/" + info.Name + ".Prediction"}}
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
