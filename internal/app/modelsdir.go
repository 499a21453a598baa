package app

import (
	"io/fs"
	"runtime"
	"time"

	"onnxgate/internal/inference"
)

// CheckModels loads every model of a models folder as a server would, and runs
// the tests beside them, without a server: its error names each model that one
// would not serve, with the reason. Any tenant may have models; whether there
// is such a one, the server that gets them knows.
func CheckModels(fsys fs.FS) (*inference.Catalog, error) {
	return inference.New(inference.Config{
		FS: fsys, Compile: NewEngines("", runtime.GOMAXPROCS(0)).Compile, Now: time.Now,
		TenantExists: func(string) (bool, error) { return true, nil },
	})
}
