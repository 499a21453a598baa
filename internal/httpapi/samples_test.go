package httpapi_test

import (
	"encoding/json"
	"go/format"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/httpapi"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// library is a program with a column of every class whose names and values would
// be more than that in one language or another.
type library struct{ testkit.Flower }

func (library) Inputs() []tensor.Spec {
	var specs []tensor.Spec
	for name, d := range map[string]tensor.DType{"n": tensor.Int64, "u": tensor.Uint64, "t": tensor.String, "b": tensor.Bool} {
		specs = append(specs, tensor.Spec{Name: name, DType: d, Ranked: true, Dims: []tensor.Dim{{Size: -1}, {Size: 1}}})
	}
	return specs
}

// The values of hostile features, and their names.
const hostileText = "\"'`$(touch x)\\\n${x}%s</script><!--\u2028\U0001f600\u00e9"

const hostileManifest = `features:
  - {name: "__proto__", input: n, example: -9007199254740993}
  - {name: "a'b\"c` + "`" + `$(d)\\e</script>", input: u, example: 18446744073709551615}
  - {name: "{{.URL}}", input: t, example: "\"'` + "`" + `$(touch x)\\\n${x}%s</script><!--\u2028\U0001f600é"}
  - {name: "-d @/etc/passwd", input: b, example: true}
access: {roles: [admin]}
`

func hostileRow() map[string]any {
	return map[string]any{
		"__proto__": json.Number("-9007199254740993"), "a'b\"c`$(d)\\e</script>": json.Number("18446744073709551615"),
		"{{.URL}}": hostileText, "-d @/etc/passwd": true,
	}
}

func libraryCatalog(t *testing.T) *inference.Catalog {
	t.Helper()
	catalog, err := inference.New(t.Context(), inference.Config{
		FS:      fstest.MapFS{"m/model.yaml": {Data: []byte(hostileManifest)}, "m/1/model.onnx": {Data: []byte("one")}},
		Compile: func([]byte, schema.Engine) (inference.Program, []string, error) { return library{}, nil, nil },
		Now:     time.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return catalog
}

// layered asks for two credentials.
type layered struct{}

func (layered) Requires(*identity.Principal, string, string) []identity.Method {
	return []identity.Method{identity.Bearer, identity.APIKey}
}

// samplesOf are those that a reader of the model gets.
func samplesOf(t *testing.T, f *fixture, model string) map[string]string {
	t.Helper()
	got := f.do(request{method: "GET", path: "/models/" + model, token: "admin"})
	var detail struct{ Examples map[string]string }
	if err := json.Unmarshal([]byte(got.body), &detail); err != nil || got.StatusCode != http.StatusOK || len(detail.Examples) != 4 {
		t.Fatalf("%d %s (%v)", got.StatusCode, got.body, err)
	}
	return detail.Examples
}

func TestModelsComeWithCodeThatIsWhole(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		c.Endpoint = httpapi.Endpoint{URL: "https://ml.example/base/", CAFile: "it's/cert.pem"}
	}).serve()
	code := samplesOf(t, f, "iris")
	if want := `# TOKEN holds an access token or an API key.
curl -sS --fail-with-body --cacert 'it'\''s/cert.pem' https://ml.example/base/models/iris/predict \
  -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
  -d '{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}'
`; code["curl"] != want {
		t.Error(cmp.Diff(want, code["curl"]))
	}
	for language, parts := range map[string][]string{
		"python":     {`row = {"sepal_length": 5.1, `, `"https://ml.example/base/models/iris/predict"`, `(cafile="it's/cert.pem")`},
		"javascript": {`predict({"sepal_length": 5.1, `, `"https://ml.example/base/models/iris/predict"`, `readFileSync("it's/cert.pem")`},
		"go":         {`predict(map[string]any{"sepal_length": 5.1, `, `"https://ml.example/base/models/iris/predict"`, `os.ReadFile("it's/cert.pem")`},
	} {
		for _, part := range parts {
			if !strings.Contains(code[language], part) {
				t.Errorf("%s lacks %s:\n%s", language, part, code[language])
			}
		}
	}
	var contract struct {
		Paths map[string]struct {
			Post struct {
				Samples []struct{ Source string } `json:"x-codeSamples"`
			}
		}
	}
	if err := json.Unmarshal([]byte(f.do(request{method: "GET", path: "/openapi.json", token: "admin"}).body), &contract); err != nil {
		t.Fatal(err)
	}
	var sources []string
	for _, s := range contract.Paths["/models/iris/predict"].Post.Samples {
		sources = append(sources, s.Source)
	}
	if diff := cmp.Diff([]string{code["curl"], code["python"], code["javascript"], code["go"]}, sources); diff != "" {
		t.Errorf("the contract (-models/iris +openapi.json):\n%s", diff)
	}
}

// A request can name any host; code that sends a token there must not follow.
func TestCodeNamesTheHostOfTheConfiguration(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		c.LoopbackHost = false
		c.Endpoint.URL = "https://ml.example"
	}).serve()
	got := f.do(request{method: "GET", path: "/models/iris", token: "admin", host: "evil.example", header: http.Header{"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}}})
	if got.StatusCode != http.StatusOK || strings.Contains(got.body, "evil") || !strings.Contains(got.body, "https://ml.example/models/iris/predict") {
		t.Errorf("%d %s", got.StatusCode, got.body)
	}
}

// Each language reads the row that was meant out of names and values that would
// break out of a literal.
func TestCodeKeepsHostileNamesAndValuesInTheirPlace(t *testing.T) {
	f := newAPI(t, func(c *httpapi.Config) {
		c.Catalog, c.Layers, c.Endpoint.URL = libraryCatalog(t), layered{}, "https://ml.example"
	}).serve()
	code := samplesOf(t, f, "m")
	for language, source := range code {
		if !strings.Contains(source, "X-API-Key") || strings.Contains(source, "{{") && !strings.Contains(source, `"{{.URL}}"`) {
			t.Errorf("%s:\n%s", language, source)
		}
	}
	if formatted, err := format.Source([]byte(code["go"])); err != nil || string(formatted) != code["go"] {
		t.Errorf("go (-want +got):\n%s\nerror %v", cmp.Diff(string(formatted), code["go"]), err)
	}
	for language, c := range map[string]struct {
		tool string
		args []string
		from string // replaced in the source
		to   string
	}{
		"curl":       {"bash", []string{"-c"}, "curl ", "show() { printf '%s' \"${@: -1}\"; }; show "},
		"python":     {"python3", []string{"-c"}, "request = urllib", "import sys; sys.stdout.buffer.write(json.dumps(row).encode()); sys.exit()\nrequest = urllib"},
		"javascript": {"node", []string{"-e"}, "const headers", "return process.stdout.write(JSON.stringify(row)); const headers"},
	} {
		t.Run(language, func(t *testing.T) {
			tool, err := exec.LookPath(c.tool)
			if err != nil {
				t.Skip(c.tool + " is not installed; the end-to-end tests ask for it")
			}
			source := strings.Replace(code[language], c.from, c.to, 1)
			if language == "javascript" {
				source = "JSON.rawJSON ??= (text) => ({ raw: text });" + strings.Replace(source, "JSON.stringify(row)", `JSON.stringify(row).replace(/\{"raw":"([-0-9]+)"\}/g, "$1")`, 1)
			}
			cmd := exec.CommandContext(t.Context(), tool, append(c.args, source)...)
			cmd.Dir = t.TempDir()
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v\n%s", err, source)
			}
			dec := json.NewDecoder(strings.NewReader(string(out)))
			dec.UseNumber()
			var got map[string]any
			if err := dec.Decode(&got); err != nil {
				t.Fatalf("%v in %s", err, out)
			}
			if diff := cmp.Diff(hostileRow(), got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, source)
			}
		})
	}
}
