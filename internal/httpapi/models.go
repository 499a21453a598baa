package httpapi

import (
	"context"
	"encoding/json"
	"fmt"

	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// model is what GET /models says about one model.
type model struct {
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Versions    []string `json:"versions"`
	Default     bool     `json:"default"`
	// Serving is the version of requests that name none: the newest, or what a
	// rollback chose.
	Serving string `json:"serving"`
	// VersionLabels are names of versions, to their numbers.
	VersionLabels map[string]string `json:"version_labels,omitempty"`
}

// modelDetail is what GET /models/{model} says.
type modelDetail struct {
	model

	// Version is the one that is described.
	Version  string           `json:"version"`
	Features []schema.Feature `json:"features"`
	Labels   []string         `json:"labels"`
	Outputs  []schema.Output  `json:"outputs"`
	// Schema is the JSON Schema (2020-12) of one row.
	Schema map[string]any `json:"schema"`
	// Examples is code to paste, absent where no row is known to show.
	Examples *samples `json:"examples,omitempty"`
}

func modelOf(info *inference.ModelInfo) model {
	return model{
		Name: info.Name, Description: info.Schema.Description(), Versions: info.Versions, Default: info.Default,
		Serving: info.Serving, VersionLabels: info.Labels,
	}
}

// listModels lists the models that the caller may call.
func (a *API) listModels(ctx context.Context, x *exchange) error {
	list := a.cfg.Catalog.List(ctx, x.principal)
	models := make([]model, len(list))
	for i := range list {
		models[i] = modelOf(&list[i])
	}
	return x.encode(map[string]any{"models": models})
}

// describeModel tells the contract of one version of a model, of the serving one
// where the path names none.
func (a *API) describeModel(ctx context.Context, x *exchange) error {
	generation := a.cfg.Catalog.Generation()
	info, err := a.described(ctx, x)
	if err != nil {
		return err
	}
	labels := info.Schema.Labels()
	if labels == nil {
		labels = []string{}
	}
	examples, err := a.samples(x.principal, &info, x.param("version"), generation)
	if err != nil {
		return err
	}
	return x.encode(modelDetail{
		model: modelOf(&info), Version: info.Version, Features: info.Schema.Features(), Labels: labels,
		Outputs: info.Schema.Outputs(), Schema: info.Schema.RowSchema(), Examples: examples,
	})
}

// encode answers with v as JSON.
func (x *exchange) encode(v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.sendJSON(append(body, '\n'))
	return nil
}
