package inference

import (
	"context"
	"path"
	"time"

	"onnxgate/internal/schema/golden"
)

const (
	// goldenCSV and goldenJSON hold rows and what the training library said of
	// each; the first that is there counts.
	goldenCSV  = "golden.csv"
	goldenJSON = "golden.json"
	// MaxGolden bounds such a file, in bytes.
	MaxGolden = 16 << 20
	// maxGoldenTime bounds the run of its rows.
	maxGoldenTime = time.Minute
)

// golden returns the golden rows of a version: those beside it, else those beside
// all versions, else none.
func (l *loader) golden(p place, id string) (file, error) {
	for _, folder := range []string{p.version(id), p.folder} {
		for _, name := range []string{goldenCSV, goldenJSON} {
			f, err := optional(l.cfg.FS, path.Join(folder, name), MaxGolden)
			if err != nil || f.path != "" {
				return f, err
			}
		}
	}
	return file{}, nil
}

// checkGolden holds the version to its golden rows. Whoever asks for a load may go
// away; what is half loaded would be of no use.
//
//nolint:contextcheck,nolintlint // see above; the first works at the callers
func (v *version) checkGolden(rows file) error {
	if rows.path == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxGoldenTime)
	defer cancel()
	return golden.Check(ctx, rows.path, rows.data, v.schema, v.program)
}
