package httpapi

import (
	"bytes"
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/template"

	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// Endpoint is how clients reach the public listener, as the configuration has it:
// what a request says about that may be anybody's.
type Endpoint struct {
	// URL is the base of all paths, such as https://localhost:8443.
	URL string
	// CAFile is a file with the certificate to trust, as a client beside the
	// server names it. Empty where the system's own certificates do.
	CAFile string
}

// samples is code that asks one model for one prediction.
type samples struct {
	Curl       string `json:"curl"`
	Python     string `json:"python"`
	JavaScript string `json:"javascript"`
	Go         string `json:"go"`
}

//go:embed samples
var sampleFiles embed.FS

// language is one in which samples are written.
type language struct {
	// file and label name it; the label is what readers of OpenAPI show.
	file, label string
	quote       func(string) string
	dialect     dialect
	of          func(*samples) *string
}

var languages = []language{
	{"curl", "Shell", quoteShell, shellDialect, func(s *samples) *string { return &s.Curl }},
	{"python", "Python", quotePython, pythonDialect, func(s *samples) *string { return &s.Python }},
	{"javascript", "JavaScript", quoteJavaScript, javaScriptDialect, func(s *samples) *string { return &s.JavaScript }},
	{"go", "Go", quoteGo, goDialect, func(s *samples) *string { return &s.Go }},
}

// sampler writes samples, once for each model that is served.
type sampler struct {
	endpoint  Endpoint
	templates []*template.Template // parallel to languages

	mu         sync.Mutex
	generation uint64
	made       map[sampleKey]*samples
}

// sampleKey is what the samples of a model depend on.
type sampleKey struct {
	schema    *schema.Schema
	version   string // as the path has it; empty where it names none
	secondKey bool
}

// sampleData is what a template gets; Row is a literal of its language already.
type sampleData struct {
	Endpoint

	Row       string
	SecondKey bool
}

func newSampler(endpoint Endpoint) (*sampler, error) {
	s := &sampler{endpoint: endpoint}
	for _, l := range languages {
		t, err := template.New(l.file+".tmpl").Funcs(template.FuncMap{"quote": l.quote}).ParseFS(sampleFiles, "samples/"+l.file+".tmpl")
		if err != nil {
			return nil, fmt.Errorf("read the sample in %s: %w", l.label, err)
		}
		s.templates = append(s.templates, t)
	}
	return s, nil
}

// of returns the samples of a model that asks for the kinds of credential, for a
// version of it if that is not empty; nil for a model of which no example is known.
func (s *sampler) of(info *inference.ModelInfo, version string, generation uint64, required []identity.Method) (*samples, error) {
	row := info.Schema.Example()
	if row == nil {
		return nil, nil //nolint:nilnil // there is nothing to show
	}
	key := sampleKey{info.Schema, version, len(required) > 1 && slices.Contains(required, identity.APIKey)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation || s.made == nil {
		s.generation, s.made = generation, map[sampleKey]*samples{}
	}
	if known, ok := s.made[key]; ok {
		return known, nil
	}
	made, err := s.write(predictPath(info.Name, version), row, key.secondKey)
	if err == nil {
		s.made[key] = made
	}
	return made, err
}

// predictPath is where a model predicts, or the version of it that is not empty.
func predictPath(model, version string) string {
	if version != "" {
		model += "/versions/" + version
	}
	return "/models/" + model + "/predict"
}

func (s *sampler) write(path string, row []byte, secondKey bool) (*samples, error) {
	made := new(samples)
	data := sampleData{Endpoint: s.endpoint, SecondKey: secondKey}
	data.URL = strings.TrimSuffix(data.URL, "/") + path
	for i := range languages {
		l := &languages[i]
		var err error
		if data.Row, err = l.dialect.literal(row); err != nil {
			return nil, fmt.Errorf("write a sample in %s: %w", l.label, err)
		}
		var text bytes.Buffer
		if err := s.templates[i].Execute(&text, data); err != nil {
			return nil, fmt.Errorf("write a sample in %s: %w", l.label, err)
		}
		*l.of(made) = text.String()
	}
	return made, nil
}

// samples returns the code for a model, or a version of it by number or label, as
// a caller sees it.
func (a *API) samples(p *identity.Principal, info *inference.ModelInfo, version string, generation uint64) (*samples, error) {
	var required []identity.Method
	if a.cfg.Layers != nil {
		required = a.cfg.Layers.Requires(p, info.Name, version)
	}
	return a.sampler.of(info, version, generation, required)
}

// codeSamples is the vendor extension x-codeSamples of OpenAPI, which readers of
// contracts show beside an operation.
func (s *samples) codeSamples() []any {
	list := make([]any, len(languages))
	for i := range languages {
		list[i] = object{"lang": languages[i].label, "label": languages[i].file, "source": *languages[i].of(s)}
	}
	return list
}
