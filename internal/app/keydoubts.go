package app

import (
	"fmt"
	"io/fs"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/config"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// KeyDoubts says what of an API key is probably not meant: models that there are not,
// which may come later, and a rate that the one of addresses, or of principals, never
// lets it reach.
func KeyDoubts(cfg *config.Config, key *accounts.APIKey) []string {
	found := keyFindings(cfg, key)
	return texts(found)
}

// keyFindings are the doubts about one key.
func keyFindings(cfg *config.Config, key *accounts.APIKey) []Finding {
	var all []Finding
	where, place := "in the binary", "where the server serves a folder, name it by ONNXGATE_MODELS_DIR"
	if cfg.ModelsDir != "" {
		where, place = "in "+cfg.ModelsDir, "put it there, or fix the name"
	}
	for _, name := range key.Models {
		if !hasModel(modelFiles(cfg), key.Tenant, name) {
			all = append(all, Finding{keyModel, Warning, fmt.Sprintf("the API key %s is for the model %q, and there is none of that name %s", key.ID, name, where), place})
		}
	}
	own, err := identity.ParseLimit(key.Rate)
	if key.Rate == "" || err != nil {
		return all
	}
	idle := identity.Limit{Requests: beyond(own.Requests, cfg.RatePredict.Requests), Rows: beyond(own.Rows, cfg.RatePredict.Rows)}
	if idle.Off() {
		return all
	}
	per, fix := "from one address", "raise ONNXGATE_RATE_PREDICT, or set it per principal and leave the key without a rate (docs/limits.md)"
	if cfg.RatePredictPer == "principal" {
		per, fix = "with one key", "raise ONNXGATE_RATE_PREDICT, or leave the key without a rate (docs/limits.md)"
	}
	return append(all, Finding{
		keyRate, Warning, fmt.Sprintf("the API key %s has the rate %s, which predictions %s never reach: ONNXGATE_RATE_PREDICT is %s", key.ID, idle, per, cfg.RatePredict), fix,
	})
}

// beyond returns the rates that others never let anybody reach.
func beyond(rates, others identity.Rates) (all identity.Rates) {
	for _, r := range rates {
		if within(others, r.Window) < r.Requests {
			all = append(all, r)
		}
	}
	return all
}

// within is how many requests, or rows, rates admit at most in a window.
func within(rates identity.Rates, window time.Duration) int64 {
	most := int64(identity.MaxRequests)
	for _, r := range rates {
		windows := max(1, int64(window/r.Window))
		most = min(most, r.Requests*windows)
	}
	return most
}

// hasModel reports whether a tenant has, or may share, a model of that name. A folder
// that cannot be read, or is a model itself, is taken to have it.
func hasModel(files fs.FS, tenant, name string) bool {
	if _, err := fs.ReadDir(files, "."); err != nil || isThere(files, modelstore.ModelFile) {
		return true
	}
	return isThere(files, modelstore.Model{Tenant: tenant, Name: name}.Folder()) || isThere(files, name)
}

func isThere(files fs.FS, path string) bool {
	_, err := fs.Stat(files, path)
	return err == nil
}
