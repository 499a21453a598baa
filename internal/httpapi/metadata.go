package httpapi

import (
	"context"
	"strconv"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/tensor"
)

// serverInfo tells which server this is.
func (a *API) serverInfo(_ context.Context, x *exchange) error {
	return x.encode(struct {
		Name       string   `json:"name"`
		Version    string   `json:"version"`
		Extensions []string `json:"extensions"`
	}{oip.ServerName, a.cfg.Version, oip.Extensions()})
}

// live answers as long as the process does.
func (*API) live(_ context.Context, x *exchange) error {
	x.sendJSON([]byte(`{"live":true}` + "\n"))
	return nil
}

// ready answers whether requests would be served now.
func (a *API) ready(_ context.Context, x *exchange) error {
	if a.cfg.Ready != nil && a.cfg.Ready() != nil {
		return fault.New(fault.Unavailable, "Not ready")
	}
	x.sendJSON([]byte(`{"ready":true,"live":true}` + "\n"))
	return nil
}

// modelNames lists the models that the caller may call.
func (a *API) modelNames(ctx context.Context, x *exchange) error {
	names := []string{}
	for _, info := range a.cfg.Catalog.List(ctx, x.principal) {
		names = append(names, info.Name)
	}
	return x.encode(map[string][]string{"models": names})
}

// modelReady answers whether a version can predict.
func (a *API) modelReady(ctx context.Context, x *exchange) error {
	if err := a.cfg.Catalog.Ready(ctx, x.principal, x.param("model"), x.param("version")); err != nil {
		return err
	}
	return x.encode(struct {
		Name  string `json:"name"`
		Ready bool   `json:"ready"`
	}{x.param("model"), true})
}

// tensorMetadata describes an input or an output.
type tensorMetadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// describe returns the tensors that inputs or outputs travel as.
func describe(specs []tensor.Spec) []tensorMetadata {
	all := []tensorMetadata{}
	for i := range specs {
		for name, s := range oip.FlatSpec(&specs[i]) {
			all = append(all, tensorMetadata{name, oip.Datatype(s.DType), s.Shape})
		}
	}
	return all
}

// modelMetadata describes a version as the protocol sees it: the graph's own
// tensors.
func (a *API) modelMetadata(ctx context.Context, x *exchange) error {
	info, err := a.described(ctx, x)
	if err != nil {
		return err
	}
	return x.encode(struct {
		Name     string           `json:"name"`
		Versions []string         `json:"versions"`
		Platform string           `json:"platform"`
		Inputs   []tensorMetadata `json:"inputs"`
		Outputs  []tensorMetadata `json:"outputs"`
	}{info.Name, info.Versions, oip.Platform, describe(info.Inputs), describe(info.Outputs)})
}

// described returns the version of the path.
func (a *API) described(ctx context.Context, x *exchange) (inference.ModelInfo, error) {
	info, err := a.cfg.Catalog.Describe(ctx, x.principal, x.param("model"), x.param("version"))
	if err == nil {
		x.about.Model, x.about.Version = info.Label(), info.Version
	}
	return info, err
}

// tensorConfig is an input or an output in Triton's model configuration.
type tensorConfig struct {
	Name     string `json:"name"`
	DataType string `json:"data_type"`
	Dims     []int  `json:"dims"`
}

func configure(specs []tensor.Spec) []tensorConfig {
	all := []tensorConfig{}
	for _, m := range describe(specs) {
		datatype := "TYPE_" + m.Datatype
		if m.Datatype == "BYTES" {
			datatype = "TYPE_STRING"
		}
		all = append(all, tensorConfig{m.Name, datatype, m.Shape})
	}
	return all
}

// modelConfig describes a version as Triton's configuration of it would: the
// extents are all there, so that there is no batch of the server's making.
func (a *API) modelConfig(ctx context.Context, x *exchange) error {
	info, err := a.described(ctx, x)
	if err != nil {
		return err
	}
	return x.encode(struct {
		Name         string         `json:"name"`
		Platform     string         `json:"platform"`
		Backend      string         `json:"backend"`
		MaxBatchSize int            `json:"max_batch_size"`
		Input        []tensorConfig `json:"input"`
		Output       []tensorConfig `json:"output"`
	}{info.Name, oip.Platform, oip.Backend, 0, configure(info.Inputs), configure(info.Outputs)})
}

// duration is a StatisticDuration of Triton's statistics extension.
type duration struct {
	Count uint64 `json:"count"`
	NS    int64  `json:"ns"`
}

func durationOf(d inference.Duration) duration { return duration{d.Count, int64(d.Total)} }

// modelStats is what one version did.
type modelStats struct {
	Name           string              `json:"name"`
	Version        string              `json:"version"`
	LastInference  int64               `json:"last_inference"` // Unix time in milliseconds
	InferenceCount uint64              `json:"inference_count"`
	ExecutionCount uint64              `json:"execution_count"`
	InferenceStats map[string]duration `json:"inference_stats"`
	ResponseStats  struct{}            `json:"response_stats"` // of models with several responses to a request, alone
	BatchStats     []batchStats        `json:"batch_stats"`
	MemoryUsage    []memoryUsage       `json:"memory_usage"`
}

// batchStats is what the executions of so many rows did.
type batchStats struct {
	BatchSize uint64   `json:"batch_size"`
	Input     duration `json:"compute_input"`
	Infer     duration `json:"compute_infer"`
	Output    duration `json:"compute_output"`
}

func batchStatsOf(all []inference.BatchStatistics) []batchStats {
	list := make([]batchStats, len(all))
	for i, b := range all {
		list[i] = batchStats{b.Rows, durationOf(b.Input), durationOf(b.Infer), durationOf(b.Output)}
	}
	return list
}

// memoryUsage is what a version takes of one kind of memory, by an estimate.
type memoryUsage struct {
	Type string `json:"type"`
	ID   int    `json:"id"`
	Size int64  `json:"byte_size"`
}

// statistics tells what the versions did since they were loaded.
func (a *API) statistics(ctx context.Context, x *exchange) error {
	all, err := a.cfg.Catalog.Statistics(ctx, x.principal, x.param("model"), x.param("version"))
	if err != nil {
		return err
	}
	stats := make([]modelStats, len(all))
	for i := range all {
		s := &all[i]
		stats[i] = modelStats{
			Name: s.Model, Version: s.Version, InferenceCount: s.Inferences, ExecutionCount: s.Executions,
			InferenceStats: map[string]duration{
				"success": durationOf(s.Success), "fail": durationOf(s.Fail), "queue": durationOf(s.Queue),
				"compute_input": durationOf(s.Input), "compute_infer": durationOf(s.Infer), "compute_output": durationOf(s.Output),
				"cache_hit": {}, "cache_miss": {},
			},
			BatchStats: batchStatsOf(s.Batches), MemoryUsage: []memoryUsage{{Type: "CPU", Size: s.Memory}},
		}
		if !s.LastInference.IsZero() {
			stats[i].LastInference = s.LastInference.UnixMilli()
		}
	}
	return x.encode(map[string]any{"model_stats": stats})
}

// maxRepositoryBody bounds the body of a request to the repository.
const maxRepositoryBody = 16 << 10

// repositoryBody is JSON, which some clients do not say.
var repositoryBody = intake{media: []string{mediaJSON}, untyped: true}

// repositoryRequest is what may be asked of the repository.
type repositoryRequest struct {
	Ready      *bool          `json:"ready"      want:"true or false"`
	Parameters map[string]any `json:"parameters" want:"an object"`
}

// repositoryMembers reads a request to the repository, which may be empty.
func (x *exchange) repositoryMembers(ctx context.Context) (repositoryRequest, error) {
	var req repositoryRequest
	body, err := x.readBodyAs(ctx, repositoryBody)
	if err != nil || len(body) == 0 {
		return req, err
	}
	return req, x.parseMembers(body, &req)
}

// repositoryIndex lists the models that the caller's tenant owns.
func (a *API) repositoryIndex(ctx context.Context, x *exchange) error {
	req, err := x.repositoryMembers(ctx)
	if err != nil {
		return err
	}
	type entry struct {
		Name    string          `json:"name"`
		Version string          `json:"version,omitempty"`
		State   inference.State `json:"state"`
		Reason  string          `json:"reason"`
	}
	entries := []entry{}
	for _, e := range a.cfg.Catalog.Index(ctx, x.principal) {
		if req.Ready == nil || !*req.Ready || e.State == inference.StateReady {
			entries = append(entries, entry{e.Model, e.Version, e.State, e.Reason})
		}
	}
	return x.encode(entries)
}

// loadModel serves what the model's folder holds. How it is served is its owner's
// word: nothing in a request is ever a path, a URL or an option of the engine.
func (a *API) loadModel(ctx context.Context, x *exchange) error {
	req, err := x.repositoryMembers(ctx)
	if err != nil {
		return err
	}
	for name := range req.Parameters {
		return fault.Newf(fault.Content, "a model is loaded as its folder and its model.yaml say; the parameter %q is not taken", cut(name))
	}
	if err := a.cfg.Delivery.Load(ctx, x.principal, x.param("model")); err != nil {
		f := *fault.As(err)
		if f.Kind == fault.NotFound || f.Kind == fault.Content {
			// The words that Triton's clients look for.
			f.Msg = "the repository failed to load '" + x.param("model") + "': " + message(problemOf(f.Kind), &f)
		}
		return &f
	}
	return x.done("load")
}

// unloadModel takes a model out of service. No model depends on another, so that
// unload_dependents changes nothing.
func (a *API) unloadModel(ctx context.Context, x *exchange) error {
	if _, err := x.repositoryMembers(ctx); err != nil {
		return err
	}
	if err := a.cfg.Delivery.Unload(ctx, x.principal, x.param("model")); err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return fault.New(fault.NotFound, x.unknownModel())
		}
		return err
	}
	return x.done("unload")
}

// done answers as KServe does; Triton's clients read the status alone.
func (x *exchange) done(what string) error {
	answer := appendText([]byte(`{"name":`), x.param("model"))
	answer = append(strconv.AppendQuote(append(answer, ','), what), ":true}\n"...)
	x.sendJSON(answer)
	return nil
}
