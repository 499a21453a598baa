package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/go-json-experiment/json"
)

// serverInfo is the server's metadata.
type serverInfo struct {
	Name       string   `json:"name"`
	Version    string   `json:"version"`
	Extensions []string `json:"extensions"`
}

// discover reads the server's metadata and those of the models. Metadata that
// cannot be read are not an error here but in the cases about them; a server that
// does not answer at all is.
func (t *target) discover(ctx context.Context, names []string) error {
	p := &probe{ctx: ctx, t: t}
	x, err := p.get("/v2")
	if err != nil {
		return err
	}
	if json.Unmarshal(x.answer, &t.info) == nil {
		t.extensions = slices.Concat(t.extensions, t.info.Extensions)
	}
	if len(names) == 0 {
		if names = p.listed(); len(names) == 0 {
			return errors.New("the server lists no models; name them with --model")
		}
	}
	for _, name := range names {
		m, err := p.describe(name)
		t.asked = append(t.asked, m)
		if err != nil {
			t.unread = errors.Join(t.unread, err)
			continue
		}
		t.models = append(t.models, m)
	}
	return nil
}

// listed are the models that the server lists, by the repository extension or as
// KServe does.
func (p *probe) listed() []string {
	var names []string
	if list, err := p.index(`{"ready":true}`); err == nil {
		for _, e := range list {
			if !slices.Contains(names, e.Name) {
				names = append(names, e.Name)
			}
		}
		return names
	}
	var body struct {
		Models []string `json:"models"`
	}
	if x, err := p.get("/v2/models"); err == nil && x.status == http.StatusOK && json.Unmarshal(x.answer, &body) == nil {
		names = body.Models
	}
	return names
}

// describe reads the metadata of a model. With an error, the model is at least its
// name.
func (p *probe) describe(name string) (*model, error) {
	m := &model{Name: name}
	x, err := p.getOK(m.path(""))
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(x.answer, m); err != nil {
		return &model{Name: name}, fmt.Errorf("the metadata of %s: %w", name, err)
	}
	m.Name = name
	return m, m.usable()
}
