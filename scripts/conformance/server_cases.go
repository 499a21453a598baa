package main

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// serverCases are about the server as a whole.
func serverCases() []testCase {
	const metadata = "Server Metadata Response JSON Object"
	return []testCase{
		{"server/metadata", must, rest(metadata), "200 to GET /v2", nil, getOK("/v2")},
		{"server/metadata-name", must, rest(metadata), "`name` is a string with text", nil, metadataString("name")},
		{"server/metadata-version", must, rest(metadata), "`version` is a string", nil, metadataString("version")},
		{"server/metadata-extensions", must, rest(metadata), "`extensions` is an array of strings", nil, metadataExtensions},
		{"server/metadata-content-type", should, openAPI("/v2/"), "Content-Type: application/json", nil, contentType("/v2")},
		{"server/metadata-slash", should, openAPI("/v2/"), "200 to GET /v2/, with the same body as /v2", nil, metadataSlash},
		{"server/live", must, rest("Server Live"), "200 to GET /v2/health/live", nil, getOK("/v2/health/live")},
		{"server/live-body", should, rest("Server Live Response JSON Object"), `{"live": true}`, nil, bodyTrue("/v2/health/live", "live")},
		{"server/ready", must, rest("Server Ready"), "200 to GET /v2/health/ready", nil, getOK("/v2/health/ready")},
		{
			"server/ready-body", should, rest("Server Ready Response JSON Object"), `an object whose "ready" or "live" is true`, nil,
			bodyTrue("/v2/health/ready", "ready", "live"),
		},
		{"server/health-head", should, rfc9110("9.3.2 HEAD"), "HEAD answered as GET, without a body", nil, healthHead},
		{"server/health-repeats", must, rest("Health/Readiness/Liveness Probes"), "20 probes of readiness in a row are 200", nil, healthRepeats},
		{"server/unknown-route", must, rfc9110("15.5.5 404 Not Found"), "4xx to GET /v2/no-such-endpoint", nil, unknownRoute},
	}
}

// modelCases are about what a model says of itself.
func modelCases() []testCase {
	const metadata, tensors = "Model Metadata Response JSON Object", "Model Metadata"
	return []testCase{
		{"model/metadata", must, rest(metadata), "200 to GET of the model", firstAsked, modelOK("")},
		{"model/metadata-name", must, rest(metadata), "`name` is the model's", firstAsked, modelName},
		{"model/metadata-platform", must, rest(metadata), "`platform` is a string", firstAsked, modelPlatform},
		{"model/metadata-platform-listed", should, rest("Platforms"), "`platform` has the form <project>_<format>", firstAsked, platformForm},
		{"model/metadata-versions", must, rest(metadata), "`versions`, if there, is an array of strings", firstAsked, modelVersions},
		{"model/metadata-inputs", must, rest(tensors), "`inputs`: name, datatype and shape of each", firstAsked, metadataTensors("inputs")},
		{"model/metadata-outputs", must, rest(tensors), "`outputs`: name, datatype and shape of each", firstAsked, metadataTensors("outputs")},
		{"model/metadata-content-type", should, openAPI("/v2/models/{model}"), "Content-Type: application/json", firstAsked, modelContentType},
		{"model/metadata-version", must, rest(metadata), "each of `versions` can be asked for", versioned, everyVersion("")},
		{"model/metadata-unknown", must, rest("Model Metadata Response JSON Error Object"), `an error status and {"error": text} for an unknown model`, nil, unknownModel("")},
		{"model/metadata-unknown-version", must, rest("Model Metadata Response JSON Error Object"), `an error status and {"error": text} for an unknown version`, firstAsked, unknownVersion("")},
		{"model/metadata-escaped", should, "RFC 3986, 6.2.2.2 Percent-Encoding Normalization", "the name with a letter percent-encoded is the same name, or 400", firstAsked, escapedName},
		{"model/ready", must, rest("Model Ready"), "200 to GET of the model's /ready", firstAsked, modelOK("/ready")},
		{"model/ready-body", should, rest("Model Ready Response JSON Object"), "`name` is the model's and `ready` is true", firstAsked, readyBody},
		{"model/ready-version", must, rest("Model Ready"), "each of `versions` is ready", versioned, everyVersion("/ready")},
		{"model/ready-unknown", must, rest("Model Ready"), "an unknown model is not ready", nil, notReady},
		{"model/ready-unknown-version", must, rest("Model Ready"), "an unknown version is not ready", firstAsked, versionNotReady},
	}
}

// getOK is a GET that must be answered with 200.
func getOK(path string) func(*probe) error {
	return func(p *probe) error {
		_, err := p.getOK(path)
		return err
	}
}

// members reads the object that a GET of a path answers.
func (p *probe) members(path string) (map[string]jsontext.Value, error) {
	x, err := p.getOK(path)
	if err != nil {
		return nil, err
	}
	var m map[string]jsontext.Value
	if err := json.Unmarshal(x.answer, &m); err != nil {
		return nil, fmt.Errorf("no JSON object: %s", x.summary())
	}
	return m, nil
}

func metadataString(name string) func(*probe) error {
	return func(p *probe) error {
		m, err := p.members("/v2")
		if err != nil {
			return err
		}
		var s string
		if err := json.Unmarshal(m[name], &s); err != nil || s == "" {
			return fmt.Errorf("%s: %s", name, orNone(m[name]))
		}
		return nil
	}
}

// orNone shows a member, or that it is not there.
func orNone(v jsontext.Value) string {
	if v == nil {
		return "(not there)"
	}
	return shortened(string(v))
}

func metadataExtensions(p *probe) error {
	m, err := p.members("/v2")
	if err != nil {
		return err
	}
	return isStrings("extensions", m["extensions"])
}

func isStrings(name string, v jsontext.Value) error {
	var list []string
	if err := json.Unmarshal(v, &list); err != nil || v.Kind() != '[' || slices.Contains(list, "") {
		return fmt.Errorf("%s: %s", name, orNone(v))
	}
	return nil
}

// contentType asks for JSON without anything else, or with parameters.
func contentType(path string) func(*probe) error {
	return func(p *probe) error {
		x, err := p.getOK(path)
		if err != nil {
			return err
		}
		return x.isJSON()
	}
}

func modelContentType(p *probe) error { return contentType(p.m.path(""))(p) }

// isJSON says whether the answer calls itself JSON.
func (x *exchange) isJSON() error {
	text := x.answerHeader.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(text); err != nil || kind != "application/json" {
		return fmt.Errorf("Content-Type: %s", text)
	}
	return nil
}

func metadataSlash(p *probe) error {
	plain, err := p.getOK("/v2")
	if err != nil {
		return err
	}
	slash, err := p.getOK("/v2/")
	if err != nil {
		return err
	}
	if string(plain.answer) != string(slash.answer) {
		return fmt.Errorf("another body: %s", slash.summary())
	}
	return nil
}

// bodyTrue asks for an object in which one of the members is true, and none of
// them false.
func bodyTrue(path string, names ...string) func(*probe) error {
	return func(p *probe) error {
		m, err := p.members(path)
		if err != nil {
			return err
		}
		some := false
		for _, name := range names {
			some = some || string(m[name]) == "true"
			if string(m[name]) == "false" {
				return fmt.Errorf("%s: false with status 200", name)
			}
		}
		if !some {
			return fmt.Errorf("none of %v is true: %s", names, p.last.summary())
		}
		return nil
	}
}

func healthHead(p *probe) error {
	x, err := p.do(http.MethodHead, "/v2/health/live", nil, nil)
	if err != nil {
		return err
	}
	return x.ok()
}

func healthRepeats(p *probe) error {
	for range 20 {
		if _, err := p.getOK("/v2/health/ready"); err != nil {
			return err
		}
	}
	return nil
}

func unknownRoute(p *probe) error {
	x, err := p.get("/v2/no-such-endpoint")
	if err != nil {
		return err
	}
	return x.clientError()
}

// clientError says what came when it was no 4xx.
func (x *exchange) clientError() error {
	if x.status < 400 || x.status > 499 {
		return errors.New(x.summary())
	}
	return nil
}

func modelOK(endpoint string) func(*probe) error {
	return func(p *probe) error { return getOK(p.m.path(endpoint))(p) }
}

func modelName(p *probe) error {
	m, err := p.members(p.m.path(""))
	if err != nil {
		return err
	}
	return isName(m, p.m.Name)
}

func isName(m map[string]jsontext.Value, want string) error {
	var name string
	if err := json.Unmarshal(m["name"], &name); err != nil || name != want {
		return fmt.Errorf("name: %s", orNone(m["name"]))
	}
	return nil
}

func modelPlatform(p *probe) error {
	m, err := p.members(p.m.path(""))
	if err != nil {
		return err
	}
	if m["platform"].Kind() != '"' {
		return fmt.Errorf("platform: %s", orNone(m["platform"]))
	}
	return nil
}

func platformForm(p *probe) error {
	m, err := p.members(p.m.path(""))
	if err != nil {
		return err
	}
	var platform string
	_ = json.Unmarshal(m["platform"], &platform) // another type is the case before this one
	if project, format, ok := strings.Cut(platform, "_"); !ok || project == "" || format == "" {
		return fmt.Errorf("platform: %q", platform)
	}
	return nil
}

func modelVersions(p *probe) error {
	m, err := p.members(p.m.path(""))
	if err != nil || m["versions"] == nil {
		return err
	}
	return isStrings("versions", m["versions"])
}

// metadataTensors asks for the description of every tensor: a name of its own, a
// datatype of the table, and dimensions of at least -1.
func metadataTensors(member string) func(*probe) error {
	return func(p *probe) error {
		m, err := p.members(p.m.path(""))
		if err != nil {
			return err
		}
		var list []struct {
			Name     *string  `json:"name"`
			Datatype string   `json:"datatype"`
			Shape    *[]int64 `json:"shape"`
		}
		if err := json.Unmarshal(m[member], &list); err != nil || len(list) == 0 {
			return fmt.Errorf("%s: %s", member, orNone(m[member]))
		}
		seen := map[string]bool{}
		for i, t := range list {
			_, known := sizes[t.Datatype]
			if t.Name == nil || *t.Name == "" || seen[*t.Name] || !known || t.Shape == nil || slices.ContainsFunc(*t.Shape, func(d int64) bool { return d < -1 }) {
				return fmt.Errorf("%s[%d] in %s", member, i, orNone(m[member]))
			}
			seen[*t.Name] = true
		}
		return nil
	}
}

func everyVersion(endpoint string) func(*probe) error {
	return func(p *probe) error {
		for _, v := range p.m.Versions {
			if _, err := p.getOK(p.m.versionPath(v, endpoint)); err != nil {
				return err
			}
		}
		return nil
	}
}

// noModel is a name that no server will have.
const noModel = "no-such-model-4711"

func unknownModel(endpoint string) func(*probe) error {
	return func(p *probe) error {
		x, err := p.get("/v2/models/" + noModel + endpoint)
		if err != nil {
			return err
		}
		return x.refused()
	}
}

func unknownVersion(endpoint string) func(*probe) error {
	return func(p *probe) error {
		x, err := p.get(p.m.versionPath("987654321", endpoint))
		if err != nil {
			return err
		}
		return x.refused()
	}
}

// escapedName takes 400 too: a server may insist on the one form of a path. What is
// wrong is that the same name is found in one form and not found in another.
func escapedName(p *probe) error {
	x, err := p.get(fmt.Sprintf("/v2/models/%%%02X%s", p.m.Name[0], p.m.path("")[len("/v2/models/")+1:]))
	if err == nil && x.status != http.StatusBadRequest {
		err = x.ok()
	}
	return err
}

func readyBody(p *probe) error {
	m, err := p.members(p.m.path("/ready"))
	if err != nil {
		return err
	}
	if string(m["ready"]) != "true" {
		return fmt.Errorf("ready: %s", orNone(m["ready"]))
	}
	return isName(m, p.m.Name)
}

// isNotReady takes an error status, or 200 with "ready": false.
func (p *probe) isNotReady(path string) error {
	x, err := p.get(path)
	if err != nil {
		return err
	}
	var body struct {
		Ready *bool `json:"ready"`
	}
	if x.status >= 400 || json.Unmarshal(x.answer, &body) == nil && body.Ready != nil && !*body.Ready {
		return nil
	}
	return errors.New(x.summary())
}

func notReady(p *probe) error { return p.isNotReady("/v2/models/" + noModel + "/ready") }

func versionNotReady(p *probe) error {
	return p.isNotReady(p.m.versionPath("987654321", "/ready"))
}
