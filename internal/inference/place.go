package inference

import (
	"path"

	"onnxgate/internal/modelstore"
)

const (
	// flatName is what a model is called whose file stands at the top, where
	// nobody gives it a name: as KServe's servers call it.
	flatName = "model"
	// onlyVersion is the version of such a model.
	onlyVersion = "1"
)

// place is where a model stands, and what it is called.
type place struct {
	tenant, name string
	// label is its folder as it is told, which tells it from models of other
	// tenants with the same name.
	label string
	// folder is its folder; "." for a model whose file stands at the top.
	folder string
}

func placeOf(tenant, name string) place {
	label := labelOf(tenant, name)
	return place{tenant: tenant, name: name, label: label, folder: label}
}

// flat reports whether the model is KServe's: model.onnx at the top of the
// models folder.
func (p place) flat() bool { return p.folder == "." }

// version returns the folder of a version.
func (p place) version(id string) string {
	if p.flat() {
		return p.folder
	}
	return path.Join(p.folder, id)
}

// labelOf returns the folder of a model, which tells it from those of other
// tenants with the same name.
func labelOf(tenant, name string) string {
	return modelstore.Model{Tenant: tenant, Name: name}.Folder()
}
