package inference

import (
	"path"
	"strings"

	"onnxgate/internal/identity"
)

// TenantMark begins the name of a folder that holds the models of a tenant.
const TenantMark = "@"

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
	if tenant == identity.DefaultTenant {
		return name
	}
	return TenantMark + tenant + "/" + name
}

// split is the inverse of labelOf. The name is empty for the folder of all models
// of a tenant.
func split(label string) (tenant, name string) {
	if rest, ok := strings.CutPrefix(label, TenantMark); ok {
		tenant, name, _ = strings.Cut(rest, "/")
		return tenant, name
	}
	return identity.DefaultTenant, label
}
