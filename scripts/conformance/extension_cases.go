package main

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// withRepository chooses as next does on a server with a model repository.
func withRepository(next chooser) chooser { return extension(next, "model_repository") }

// withLoading chooses as next does where models can be loaded and unloaded; the
// second name is that of KServe, which has no index.
func withLoading(next chooser) chooser {
	return extension(next, "model_repository", "model_repository_extension")
}

// mayUnload chooses the model that the caller allows to be unloaded.
func mayUnload(t *target) (*model, error) {
	if t.unload == "" {
		return nil, missing("no model is given that may be unloaded (--unload)")
	}
	return &model{Name: t.unload}, nil
}

// repositoryCases are about the model repository extension.
func repositoryCases() []testCase {
	const index, load, unload = "Index", "Load", "Unload"
	return []testCase{
		{"repository/index", may, repository(index), "an array of objects with `name`, `state` and `reason`", withRepository(anyModel), indexEntries},
		{"repository/index-empty-body", may, repository(index), "200 without a body", withRepository(anyModel), indexWithoutBody},
		{"repository/index-lists-model", may, repository(index), "the model is listed, its state READY", withRepository(anyModel), indexLists},
		{"repository/index-ready", may, repository(index), "`ready: true` lists no model in another state", withRepository(anyModel), indexReady},
		{"repository/index-bad-json", may, repository(index), `an error status and {"error": text} for JSON that breaks off`, withRepository(anyModel), indexBadJSON},
		{"repository/load-unknown", may, repository(load), `an error status and {"error": text} for an unknown model`, withLoading(anyModel), changeUnknown("load")},
		{"repository/unload-unknown", may, repository(unload), "no 5xx for an unknown model", withLoading(anyModel), unloadUnknown},
	}
}

// lifecycleCases unload a model, and so are the last to be run.
func lifecycleCases() []testCase {
	const index, load, unload = "Index", "Load", "Unload"
	return []testCase{
		{"repository/load", may, repository(load), "200, and the model is ready", withLoading(mayUnload), loadsAgain},
		{"repository/unload", may, repository(unload), "200, and the model is not ready until it is loaded again", withLoading(mayUnload), unloads},
		{"repository/unload-infer", may, repository(unload), "an unloaded model answers no inference, and the server stays live", withLoading(mayUnload), unloadedInfer},
		{"repository/unload-index", may, repository(index), "an unloaded model is not READY in the index", withLoading(mayUnload), unloadedIndex},
		{"repository/unload-parameters", may, repository(unload), "`unload_dependents` is accepted", withLoading(mayUnload), unloadParameters},
	}
}

type indexEntry struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	State   *string `json:"state"`
	Reason  *string `json:"reason"`
}

func (p *probe) index(body string) ([]indexEntry, error) {
	x, err := p.post("/v2/repository/index", []byte(body))
	if err != nil {
		return nil, err
	}
	if err := x.ok(); err != nil {
		return nil, err
	}
	var list []indexEntry
	if err := json.Unmarshal(x.answer, &list); err != nil || jsontext.Value(x.answer).Kind() != '[' {
		return nil, fmt.Errorf("no index: %s", x.summary())
	}
	return list, nil
}

func indexEntries(p *probe) error {
	list, err := p.index("{}")
	if err != nil {
		return err
	}
	for i, e := range list {
		if e.Name == "" || e.State == nil || e.Reason == nil {
			return fmt.Errorf("entry %d: %s", i, p.last.summary())
		}
	}
	return nil
}

func indexWithoutBody(p *probe) error {
	_, err := p.index("")
	return err
}

func isReady(list []indexEntry, name string) bool {
	return slices.ContainsFunc(list, func(e indexEntry) bool {
		return e.Name == name && e.State != nil && *e.State == "READY"
	})
}

func indexLists(p *probe) error {
	list, err := p.index("{}")
	if err == nil && !isReady(list, p.m.Name) {
		err = fmt.Errorf("%s not READY: %s", p.m.Name, p.last.summary())
	}
	return err
}

func indexReady(p *probe) error {
	list, err := p.index(`{"ready":true}`)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(list, func(e indexEntry) bool { return e.State != nil && *e.State != "READY" }) || !isReady(list, p.m.Name) {
		return errors.New(p.last.summary())
	}
	return nil
}

func indexBadJSON(p *probe) error {
	x, err := p.post("/v2/repository/index", []byte(`{"ready":`))
	return first(err, func() error { return x.refused() })
}

// change loads or unloads a model.
func (p *probe) change(name, action, body string) (*exchange, error) {
	return p.post((&model{Name: name}).repositoryPath(action), []byte(body))
}

func (m *model) repositoryPath(action string) string {
	return strings.Replace(m.path("/"+action), "/v2/models/", "/v2/repository/models/", 1)
}

// changeOK loads or unloads the probe's model.
func (p *probe) changeOK(action, body string) error {
	x, err := p.change(p.m.Name, action, body)
	return first(err, func() error { return x.ok() })
}

func changeUnknown(action string) func(*probe) error {
	return func(p *probe) error {
		x, err := p.change(noModel, action, "{}")
		return first(err, func() error { return x.refused() })
	}
}

// unloadUnknown takes 200 as well: such a model is not loaded afterwards.
func unloadUnknown(p *probe) error {
	x, err := p.change(noModel, "unload", "{}")
	if err == nil && x.status >= http.StatusInternalServerError {
		err = errors.New(x.summary())
	}
	return err
}

func loadsAgain(p *probe) error {
	if err := p.changeOK("load", ""); err != nil {
		return err
	}
	return modelOK("/ready")(p)
}

// whileUnloaded unloads the model, looks, and loads it again.
func whileUnloaded(p *probe, body string, look func() error) error {
	if err := p.changeOK("unload", body); err != nil {
		return err
	}
	shown, found := p.last, look()
	if found != nil {
		shown = p.last
	}
	if err := loadsAgain(p); err != nil {
		return err
	}
	p.last = shown
	return found
}

func unloads(p *probe) error {
	return whileUnloaded(p, "", func() error { return p.isNotReady(p.m.path("/ready")) })
}

func unloadParameters(p *probe) error {
	return whileUnloaded(p, `{"parameters":{"unload_dependents":false}}`, func() error { return nil })
}

func unloadedInfer(p *probe) error {
	return whileUnloaded(p, "{}", func() error {
		x, err := p.post(p.m.path("/infer"), []byte(`{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1]}]}`))
		if err := first(err, func() error { return x.refused() }); err != nil {
			return err
		}
		_, err = p.getOK("/v2/health/live")
		return err
	})
}

func unloadedIndex(p *probe) error {
	return whileUnloaded(p, "{}", func() error {
		list, err := p.index("{}")
		if err == nil && isReady(list, p.m.Name) {
			err = errors.New("READY after unload")
		}
		return err
	})
}

// statisticsCases are about the statistics extension.
func statisticsCases() []testCase {
	stats := func(next chooser) chooser { return extension(next, "statistics") }
	const object = "Statistics Response JSON Object"
	return []testCase{
		{"statistics/model", may, statistics(object), "`model_stats` with an entry of the model", stats(anyModel), modelStats},
		{"statistics/all", may, statistics("HTTP/REST"), "without a model, the statistics of all", stats(anyModel), allStats},
		{"statistics/version", may, statistics("HTTP/REST"), "each of `versions` has statistics", stats(versioned), everyVersion("/stats")},
		{"statistics/fields", may, statistics(object), "the counts and durations that the document lists", stats(anyModel), statsFields},
		{"statistics/success", may, statistics(object), "one answered request raises `inference_stats.success.count` by one", stats(anyModel), statsSuccess},
		{"statistics/inferences", may, statistics(object), "a request of five rows raises `inference_count` by five", stats(batchedModel), statsInferences},
		{"statistics/last-inference", may, statistics(object), "`last_inference` is a time in milliseconds, that of a request or later", stats(anyModel), statsLast},
		{"statistics/unknown-model", may, statistics("HTTP/REST"), `an error status and {"error": text} for an unknown model`, stats(anyModel), unknownModel("/stats")},
	}
}

type modelStat struct {
	Name           string                    `json:"name"`
	Version        string                    `json:"version"`
	LastInference  *int64                    `json:"last_inference"`
	InferenceCount *int64                    `json:"inference_count"`
	ExecutionCount *int64                    `json:"execution_count"`
	InferenceStats map[string]jsontext.Value `json:"inference_stats"`
	BatchStats     []jsontext.Value          `json:"batch_stats"`
}

// statsOf reads statistics and finds the entry of the probe's model: of several
// versions, the one that was used last.
func (p *probe) statsOf(path string) (modelStat, error) {
	x, err := p.getOK(path)
	if err != nil {
		return modelStat{}, err
	}
	var body struct {
		Stats []modelStat `json:"model_stats"`
	}
	if err := json.Unmarshal(x.answer, &body); err != nil {
		return modelStat{}, fmt.Errorf("no statistics: %w", err)
	}
	var found []modelStat
	for _, s := range body.Stats {
		if s.Name == p.m.Name && s.LastInference != nil && s.InferenceCount != nil && s.ExecutionCount != nil {
			found = append(found, s)
		}
	}
	if len(found) == 0 {
		return modelStat{}, fmt.Errorf("no entry of %s with its counts: %s", p.m.Name, x.summary())
	}
	return slices.MaxFunc(found, func(a, b modelStat) int { return int(*a.LastInference - *b.LastInference) }), nil
}

func modelStats(p *probe) error {
	_, err := p.statsOf(p.m.path("/stats"))
	return err
}

func allStats(p *probe) error {
	_, err := p.statsOf("/v2/models/stats")
	return err
}

func statsFields(p *probe) error {
	s, err := p.statsOf(p.m.path("/stats"))
	if err != nil {
		return err
	}
	for _, name := range []string{"success", "fail", "queue", "compute_input", "compute_infer", "compute_output"} {
		var d struct {
			Count *int64 `json:"count"`
			NS    *int64 `json:"ns"`
		}
		if err := json.Unmarshal(s.InferenceStats[name], &d); err != nil || d.Count == nil || d.NS == nil {
			return fmt.Errorf("inference_stats.%s: %s", name, orNone(s.InferenceStats[name]))
		}
	}
	return nil
}

// around reads the statistics before and after a request of so many rows.
func (p *probe) around(rows int) (before, after modelStat, err error) {
	if _, err = p.infer(request(p.m.example(rows, 0))); err != nil {
		return before, after, err
	}
	if before, err = p.statsOf(p.m.path("/stats")); err != nil {
		return before, after, err
	}
	if _, err = p.infer(request(p.m.example(rows, 0))); err != nil {
		return before, after, err
	}
	after, err = p.statsOf(p.m.path("/stats"))
	return before, after, err
}

func (s modelStat) successes() int64 {
	var d struct {
		Count int64 `json:"count"`
	}
	if json.Unmarshal(s.InferenceStats["success"], &d) != nil {
		return -1
	}
	return d.Count
}

func statsSuccess(p *probe) error {
	before, after, err := p.around(1)
	if err == nil && after.successes() != before.successes()+1 {
		err = fmt.Errorf("from %d to %d", before.successes(), after.successes())
	}
	return err
}

func statsInferences(p *probe) error {
	before, after, err := p.around(5)
	if err == nil && *after.InferenceCount != *before.InferenceCount+5 {
		err = fmt.Errorf("from %d to %d", *before.InferenceCount, *after.InferenceCount)
	}
	return err
}

func statsLast(p *probe) error {
	before, after, err := p.around(1)
	const year2020 = 1_577_836_800_000
	if err == nil && (*before.LastInference < year2020 || *after.LastInference < *before.LastInference) {
		err = fmt.Errorf("%d and then %d", *before.LastInference, *after.LastInference)
	}
	return err
}

// otherExtensionCases are about extensions that change little.
func otherExtensionCases() []testCase {
	return []testCase{
		{"config/name", may, "extension_model_configuration.md, HTTP/REST", "an object with the model's `name`", extension(anyModel, "model_configuration"), configName},
		{"classification/top", may, "extension_classification.md, HTTP/REST", "`classification: 1` answers BYTES of the form value:index", extension(scores, "classification"), classification},
	}
}

func configName(p *probe) error {
	m, err := p.members(p.m.path("/config"))
	if err != nil {
		return err
	}
	return isName(m, p.m.Name)
}

// scores chooses a model whose first output is several numbers a row.
var scores = modelWith("an output of several numbers", func(m *model) bool {
	if len(m.Outputs) == 0 {
		return false
	}
	s := m.Outputs[0]
	return len(s.Shape) == 2 && s.Shape[1] > 1 && s.Datatype != "BYTES"
})

func classification(p *probe) error {
	body := p.asking(p.m.Outputs[0].Name)
	as[object](as[[]any](body["outputs"])[0])["parameters"] = object{"classification": 1}
	a, err := p.infer(body)
	if err != nil {
		return err
	}
	t, err := a.output(p.m.Outputs[0].Name)
	if err != nil {
		return err
	}
	if t.datatype != "BYTES" || len(t.values) != 1 || !strings.Contains(fmt.Sprint(t.values[0]), ":") {
		return fmt.Errorf("%s %v: %v", t.datatype, t.shape, t.values)
	}
	return nil
}
