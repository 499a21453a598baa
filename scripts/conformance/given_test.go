package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRequestsAreMadeOfTheGivenRows(t *testing.T) {
	// A server whose model takes flowers with petals of 4 and more alone.
	picky := serve(t, func(r *http.Request, w *httptest.ResponseRecorder) {
		if strings.HasSuffix(r.URL.Path, "/iris/infer") && strings.Contains(w.Body.String(), `"data":[0]`) {
			replace(w, http.StatusBadRequest, `{"error":"petals of 4 and more"}`)
		}
	})
	flowers := `{"inputs":[{"name":"x","datatype":"FP32","shape":[2,4],"data":[[6.3,3.3,6,2.5],[5.8,2.7,5.1,1.9]]}]}`
	for name, tt := range map[string]struct {
		file string // none: no --request
		only string
		want int
		text string
	}{
		"without one":        {"", "infer/flat|batch/", exitDeviates, ""},
		"with two rows":      {flowers, "infer/(flat|nested|id|whitespace)|batch/shape", exitConforms, ""},
		"no JSON":            {"x: 1", "infer/flat", exitUsage, "is no inference request in JSON"},
		"another name":       {strings.Replace(flowers, `"x"`, `"y"`, 1), "infer/flat", exitUsage, "it has no input x"},
		"another datatype":   {strings.Replace(flowers, "FP32", "FP64", 1), "infer/flat", exitUsage, "x is FP64 [2 4], not FP32 [-1 4]"},
		"another shape":      {strings.Replace(flowers, "[2,4]", "[4,2]", 1), "infer/flat", exitUsage, "x is FP32 [4 2]"},
		"too few elements":   {strings.Replace(flowers, "[2,4]", "[3,4]", 1), "infer/flat", exitUsage, "8 elements"},
		"no rows":            {`{"inputs":[{"name":"x","datatype":"FP32","shape":[0,4],"data":[]}]}`, "infer/flat", exitUsage, "no rows"},
		"no inputs":          {`{"inputs":[]}`, "infer/flat", exitUsage, "0 inputs, not 1"},
		"what is not a file": {"-", "infer/flat", exitUsage, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{picky, "-m", "iris", "--only", tt.only}
			if tt.file != "" {
				file := filepath.Join(t.TempDir(), "request.json")
				if tt.file != "-" {
					if err := os.WriteFile(file, []byte(tt.file), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				args = append(args, "--request", file)
			}
			var out bytes.Buffer
			got, err := run(t.Context(), args, &out)
			if got != tt.want || (err != nil) != (tt.want == exitUsage) || err != nil && !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%d, %v; want %d and %q\n%s", got, err, tt.want, tt.text, out.String())
			}
		})
	}
}
