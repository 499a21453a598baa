package httpapi

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"

	"onnxgate/internal/audit"
	"onnxgate/internal/delivery"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
)

const mediaYAML = "application/yaml"

// Delivery changes the models of a principal's tenant. Faults, beside those of
// each: NotFound, Forbidden for a credential that is for other models.
type Delivery interface {
	// Put makes a new version, and reports whether it is served, or another manifest.
	// Faults: Conflict, BadRequest, TooLarge, Content, Unavailable.
	Put(ctx context.Context, p *identity.Principal, c *delivery.Change) (served bool, err error)
	// Rollback has an older version served where none is named, that before the
	// present one where to is empty, and returns its number. Faults: Content,
	// Conflict, Unavailable.
	Rollback(ctx context.Context, p *identity.Principal, model, to string) (serving string, err error)
	// Remove removes a version that is not in use. Faults: Conflict, Unavailable.
	Remove(ctx context.Context, p *identity.Principal, model, version string) error
	// Load serves what the folder of a model holds, also after an Unload. Faults:
	// Content.
	Load(ctx context.Context, p *identity.Principal, model string) error
	Unload(ctx context.Context, p *identity.Principal, model string) error
}

// DefaultMaxModel is the bound on the file of one model that is pushed: 512 MiB.
const DefaultMaxModel = 512 << 20

// repositoryRoutes are the routes of those who may write the models of their
// tenant.
func repositoryRoutes(maxModel int64) []Route {
	one := adminPath + "models/{model}"
	write := Route{Method: http.MethodPost, MaxBody: maxAdminBody, Timeout: slow, Auth: Bearer, Permission: identity.ModelsWrite, Look: audit.ModelRead}
	put := Route{Method: http.MethodPut, Timeout: uploadTime, Auth: Bearer, Permission: identity.ModelsWrite, Look: audit.ModelRead}
	bodiless := write
	bodiless.MaxBody = 0
	remove := bodiless.at(one + "/versions/{version}")
	remove.Method = http.MethodDelete
	push, manifest := put.at(one+"/versions/{version}"), put.at(one+"/manifest")
	push.MaxBody, manifest.MaxBody = maxModel, delivery.MaxManifest
	return []Route{
		{Method: http.MethodGet, Pattern: adminPath + "models", Timeout: quick, Auth: Bearer, Permission: identity.ModelsWrite, Look: audit.ModelRead, Handler: withoutQuery((*API).listOwnModels)},
		push.with(withoutQuery((*API).pushVersion)),
		remove.with(withoutQuery((*API).removeVersion)),
		manifest.with(withoutQuery((*API).putManifest)),
		{Method: http.MethodGet, Pattern: one + "/manifest", Timeout: quick, Auth: Bearer, Permission: identity.ModelsWrite, Look: audit.ModelRead, Handler: withoutQuery((*API).getManifest)},
		write.at(one + "/rollback").with(withoutQuery((*API).rollback)),
		bodiless.at(one + "/load").with(withoutQuery(toModel(Delivery.Load))),
		bodiless.at(one + "/unload").with(withoutQuery(toModel(Delivery.Unload))),
	}
}

// ownModelView is one model as those see it who look after it.
type ownModelView struct {
	Name    string `json:"name"`
	Serving string `json:"serving,omitempty"`
	// RolledBack says that the version was chosen by a rollback.
	RolledBack bool              `json:"rolled_back"`
	Default    bool              `json:"default"`
	Unloaded   bool              `json:"unloaded"`
	Labels     map[string]string `json:"labels"`
	Versions   []ownVersionView  `json:"versions"`
	// Problems are those of the model as a whole.
	Problems []string `json:"problems"`
}

// ownVersionView is one version.
type ownVersionView struct {
	Version string `json:"version"`
	Served  bool   `json:"served"`
	// Digest is that of the file that is loaded, as Repr-Digest has it.
	Digest string `json:"digest,omitempty"`
	// Reason is why it is not served, or is as it was before a change.
	Reason   string   `json:"reason,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

func viewOwnModel(m *inference.OwnModel) ownModelView {
	v := ownModelView{
		Name: m.Name, Serving: m.Serving, RolledBack: m.RolledBack, Default: m.Default, Unloaded: m.Unloaded,
		Labels: m.Labels, Versions: []ownVersionView{}, Problems: list(m.Problems),
	}
	if v.Labels == nil {
		v.Labels = map[string]string{}
	}
	for i := range m.Versions {
		of := &m.Versions[i]
		v.Versions = append(v.Versions, ownVersionView{
			Version: of.Version, Served: of.Served, Digest: of.Digest, Reason: of.Reason, Warnings: slices.Clone(of.Warnings),
		})
	}
	return v
}

// listOwnModels tells what is in the folders of the caller's tenant, what of it
// is served, and why not the rest.
func (a *API) listOwnModels(ctx context.Context, x *exchange) error {
	views := []ownModelView{}
	for _, m := range a.cfg.Catalog.Own(ctx, x.principal) {
		views = append(views, viewOwnModel(&m))
	}
	return x.encode(map[string]any{"models": views})
}

// pushVersion takes the file of a new version.
func (a *API) pushVersion(ctx context.Context, x *exchange) error {
	file, err := x.upload(ctx, mediaOctets)
	if err != nil {
		return err
	}
	digest, err := reprDigest(x.request.Header)
	if err != nil {
		return err
	}
	model, version := x.param("model"), x.param("version")
	x.about.Model, x.about.Version = model, version
	change := &delivery.Change{Model: model, Version: version, File: file, Digest: digest}
	served, err := a.cfg.Delivery.Put(ctx, x.principal, change)
	if err != nil {
		return noModel(err)
	}
	return x.created(map[string]any{"name": model, "version": version, "served": served}, "models", model, "versions", version)
}

// removeVersion removes a version that is not in use.
func (a *API) removeVersion(ctx context.Context, x *exchange) error {
	if err := a.owns(ctx, x); err != nil {
		return err
	}
	x.about.Version = x.param("version")
	return x.deleted(noModel(a.cfg.Delivery.Remove(ctx, x.principal, x.about.Model, x.about.Version)))
}

// owns returns a fault of kind NotFound when the caller's tenant has no folder of
// the model of the path.
func (a *API) owns(ctx context.Context, x *exchange) error {
	x.about.Model = x.param("model")
	own := func(m inference.OwnModel) bool { return m.Name == x.about.Model }
	if !slices.ContainsFunc(a.cfg.Catalog.Own(ctx, x.principal), own) {
		return fault.New(fault.NotFound, "There is no such model")
	}
	return nil
}

// getManifest shows the model.yaml, byte for byte, with its digest.
func (a *API) getManifest(ctx context.Context, x *exchange) error {
	x.about.Model = x.param("model")
	manifest, err := a.cfg.Catalog.Manifest(ctx, x.principal, x.about.Model)
	if err != nil {
		return noModel(err)
	}
	sum := sha256.Sum256(manifest)
	x.Header()["Repr-Digest"] = []string{"sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"}
	x.sendOK([]string{mediaYAML}, manifest)
	return nil
}

// putManifest takes another model.yaml.
func (a *API) putManifest(ctx context.Context, x *exchange) error {
	if err := a.owns(ctx, x); err != nil {
		return err // before anything is said about the body
	}
	body, err := x.readBody(ctx, mediaYAML)
	if err != nil {
		return err
	}
	if _, err := a.cfg.Delivery.Put(ctx, x.principal, &delivery.Change{Model: x.about.Model, Manifest: body}); err != nil {
		return noModel(err)
	}
	return x.deleted(nil)
}

// rollbackTo is what may be asked for.
type rollbackTo struct {
	To *string `json:"to" validate:"omitempty,min=1,max=20" want:"the number of a version, as a string"`
}

// rollback has an older version served where none is named.
func (a *API) rollback(ctx context.Context, x *exchange) error {
	if err := a.owns(ctx, x); err != nil {
		return err // before anything is said about the body
	}
	var asked rollbackTo
	if err := x.readMembers(ctx, &asked); err != nil {
		return err
	}
	to := ""
	if asked.To != nil {
		to = *asked.To
	}
	serving, err := a.cfg.Delivery.Rollback(ctx, x.principal, x.about.Model, to)
	if err != nil {
		return pointed(noModel(err))
	}
	return x.encode(map[string]string{"name": x.about.Model, "serving": serving})
}

// toModel serves what is done to a model, by a request without a body.
func toModel(do func(Delivery, context.Context, *identity.Principal, string) error) handlerFunc {
	return func(a *API, ctx context.Context, x *exchange) error {
		x.about.Model = x.param("model")
		if err := do(a.cfg.Delivery, ctx, x.principal, x.about.Model); err != nil {
			return noModel(err)
		}
		x.WriteHeader(http.StatusNoContent)
		return nil
	}
}
