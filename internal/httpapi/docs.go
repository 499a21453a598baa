package httpapi

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"sync"

	"github.com/swaggest/swgui/v5/static"

	"onnxgate/internal/fault"
)

// docsFiles are the page and its scripts. Swagger UI itself comes from
// the swgui module, embedded as well: nothing is fetched from elsewhere.
//
//go:embed docs
var docsFiles embed.FS

// docsPolicy is the content security policy of the page: its own files alone,
// and calls to this server alone. Swagger UI draws icons as data: images.
var docsPolicy = []string{"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}

// asset is one file of the documentation.
type asset struct {
	contentType []string
	files       fs.FS
	path        string
	gzipped     bool // as it is stored
}

// docsAssets is everything under /docs/.
var docsAssets = map[string]asset{
	"page.css":             {[]string{"text/css; charset=utf-8"}, docsFiles, "docs/page.css", false},
	"samples.js":           {[]string{"text/javascript; charset=utf-8"}, docsFiles, "docs/samples.js", false},
	"init.js":              {[]string{"text/javascript; charset=utf-8"}, docsFiles, "docs/init.js", false},
	"swagger-ui.css":       {[]string{"text/css; charset=utf-8"}, static.FS, "swagger-ui.css.gz", true},
	"swagger-ui-bundle.js": {[]string{"text/javascript; charset=utf-8"}, static.FS, "swagger-ui-bundle.js.gz", true},
	"favicon-32x32.png":    {[]string{"image/png"}, static.FS, "favicon-32x32.png", false},
}

var typeHTML = []string{"text/html; charset=utf-8"}

// docsFile is an asset that is read, and unpacked, when it is first asked for and
// then kept.
type docsFile struct {
	asset

	stored, plain func() ([]byte, error)
}

// loadDocs prepares all assets.
func loadDocs() map[string]*docsFile {
	files := make(map[string]*docsFile, len(docsAssets))
	for name, a := range docsAssets {
		f := &docsFile{asset: a}
		f.stored = sync.OnceValues(func() ([]byte, error) { return fs.ReadFile(a.files, a.path) })
		f.plain = f.stored
		if a.gzipped {
			f.plain = sync.OnceValues(func() ([]byte, error) {
				data, err := f.stored()
				if err != nil {
					return nil, err
				}
				return unpackAsset(data)
			})
		}
		files[name] = f
	}
	return files
}

// docsPage shows the page.
func (*API) docsPage(_ context.Context, x *exchange) error {
	page, err := docsFiles.ReadFile("docs/index.html")
	if err != nil {
		return fmt.Errorf("read the documentation: %w", err)
	}
	h := x.Header()
	h["Content-Security-Policy"] = docsPolicy
	h["Content-Type"] = typeHTML
	x.send(http.StatusOK, page)
	return nil
}

// docsAsset sends a file of the page.
func (a *API) docsAsset(_ context.Context, x *exchange) error {
	f, ok := a.docs[x.param("asset")]
	if !ok {
		return fault.New(fault.NotFound, "")
	}
	h, load := x.Header(), f.plain
	if f.gzipped {
		h["Vary"] = append(h["Vary"], varyCoding...)
		if preferred(x.request.Header["Accept-Encoding"]) == gzipCoding {
			h["Content-Encoding"] = encodedGzip
			load = f.stored
		}
	}
	data, err := load()
	if err != nil {
		delete(h, "Content-Encoding") // the answer is another one
		return fmt.Errorf("read the documentation: %w", err)
	}
	h["Content-Type"] = f.contentType
	x.send(http.StatusOK, data)
	return nil
}

func unpackAsset(data []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}
