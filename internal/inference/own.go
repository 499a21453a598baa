package inference

import (
	"context"
	"encoding/base64"
	"maps"
	"path"
	"slices"
	"strings"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/modelstore"
)

// OwnModel is a model as those see it who look after it: all that is in its
// folder, served or not.
type OwnModel struct {
	Name string
	// Serving is the version of requests that name none; empty when nothing is
	// served. RolledBack says that a rollback chose it.
	Serving    string
	RolledBack bool
	Default    bool
	Unloaded   bool
	// Labels are names of versions, to their numbers.
	Labels map[string]string
	// Versions are oldest first.
	Versions []OwnVersion
	// Problems are those of the model as a whole.
	Problems []string
}

// OwnVersion is one version of it.
type OwnVersion struct {
	Version string
	Served  bool
	// Digest is the SHA-256 of the file that is loaded, as a Repr-Digest field has
	// it (RFC 9530); empty when none is.
	Digest string
	// Reason is why the version is not served, or goes on as it was before its
	// folder changed.
	Reason   string
	Warnings []string
}

// Own describes the models that the principal's tenant owns, and that its
// credential reaches, by name. Whoever asks for it may manage models.
func (c *Catalog) Own(_ context.Context, p *identity.Principal) []OwnModel {
	s := c.current.Load()
	all := []OwnModel{}
	for label, e := range s.entries {
		if name, ok := manages(p, label); ok {
			all = append(all, s.own(name, e))
		}
	}
	slices.SortFunc(all, func(a, b OwnModel) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (s *snapshot) own(name string, e *entry) OwnModel {
	m := OwnModel{Name: name, Unloaded: e.unloaded}
	for _, p := range e.problems {
		if p.Version == "" {
			m.Problems = append(m.Problems, p.Err.Error())
		}
	}
	if e.model != nil {
		m.Serving, m.RolledBack = e.model.newest().id, e.model.pinned != nil
		m.Labels = maps.Clone(e.model.labels)
		seen := s.views[e.place.tenant]
		m.Default = seen != nil && seen.fallback == e.model
	}
	for _, entry := range e.index(name) {
		if entry.Version == "" {
			continue
		}
		v := OwnVersion{Version: entry.Version, Served: entry.State == StateReady, Reason: entry.Reason}
		if loaded := s.version(e.place.label, entry.Version); loaded != nil && v.Served {
			v.Digest = "sha-256=:" + base64.StdEncoding.EncodeToString(loaded.file[:]) + ":"
			v.Warnings = slices.Clone(loaded.warnings)
		}
		m.Versions = append(m.Versions, v)
	}
	slices.SortFunc(m.Versions, func(a, b OwnVersion) int {
		if number(a.Version) < number(b.Version) {
			return -1
		}
		return 1
	})
	return m
}

// Manifest returns the model.yaml beside all versions of a model that the
// principal's tenant owns, byte for byte as it is now. Faults: NotFound when there
// is no such model, or it has none.
func (c *Catalog) Manifest(_ context.Context, p *identity.Principal, name string) ([]byte, error) {
	e, err := c.current.Load().managed(p, name)
	if err != nil {
		return nil, err
	}
	f, err := optional(c.cfg.FS, path.Join(e.place.folder, modelstore.ManifestFile), modelstore.MaxManifest)
	if err == nil && f.path == "" {
		err = fault.New(fault.NotFound, "The model has no model.yaml beside its versions")
	}
	return f.data, err
}
