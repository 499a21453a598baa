package httpapi

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"strings"

	"onnxgate/internal/admission"
	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/oip"
	"onnxgate/internal/reqctx"
)

// tensorBody is what requests to infer come in: JSON, JSON with tensors behind it,
// or a tensor alone. The clients of the protocol name one type, the other, or none.
var tensorBody = intake{media: []string{mediaJSON, mediaOctets}, untyped: true, packed: true}

// ofProtocol reports whether a path belongs to the inference protocols.
func ofProtocol(path string) bool {
	return path == "/v1" || path == "/v2" || strings.HasPrefix(path, "/v1/") || strings.HasPrefix(path, "/v2/")
}

// protocolRoutes is the part of the public listener's route table that speaks the
// Open Inference Protocol, version 2, with Triton's extensions, and KServe's V1.
func protocolRoutes(o RouteOptions) []Route {
	infer := Route{
		Method: http.MethodPost, MaxBody: o.MaxBody, Timeout: slow, Limit: admission.Predict,
		Auth: Bearer, OfModel: true, Permission: identity.ModelsPredict, Errors: Inference, Handler: (*API).infer, Look: audit.ModelRead,
	}
	read := Route{
		Method: http.MethodGet, Timeout: quick,
		Auth: Bearer, Permission: identity.ModelsRead, Errors: Inference, Look: audit.ModelRead,
	}
	health := Route{Method: http.MethodGet, Timeout: quick, Auth: Public, Errors: Inference, Operation: true}
	manage := Route{
		Method: http.MethodPost, MaxBody: maxRepositoryBody, Timeout: slow,
		Auth: Bearer, Permission: identity.ModelsWrite, Errors: Inference, Look: audit.ModelRead,
	}
	index := manage.at("/v2/repository/index").with((*API).repositoryIndex)
	index.ReadOnly = true
	routes := []Route{
		read.at("/v2").with((*API).serverInfo),
		read.at("/v2/").with((*API).serverInfo),
		health.at("/v2/health/live").with((*API).live),
		health.at("/v2/health/ready").with((*API).ready),
		read.at("/v2/models").with((*API).modelNames),
		read.at("/v2/models/stats").with((*API).statistics),
		index,
		manage.at("/v2/repository/models/{model}/load").with((*API).loadModel),
		manage.at("/v2/repository/models/{model}/unload").with((*API).unloadModel),
	}
	for _, model := range []string{"/v2/models/{model}", "/v2/models/{model}/versions/{version}"} {
		routes = append(routes,
			read.at(model).with((*API).modelMetadata).ofModel(),
			read.at(model+"/ready").with((*API).modelReady).ofModel(),
			read.at(model+"/config").with((*API).modelConfig).ofModel(),
			read.at(model+"/stats").with((*API).statistics).ofModel(),
			infer.at(model+"/infer"))
	}
	predict := infer.with((*API).predictV1)
	return append(routes,
		read.at("/v1/models").with((*API).modelNames),
		read.at("/v1/models/{model}").with((*API).modelReady).ofModel(),
		predict.at("/v1/models/{model}:predict"),
		predict.at("/v1/models/{model}/versions/{version}:predict"))
}

// absent reports whether a path is one of Triton's extensions that reach into the
// server's memory and its files: known, and not served, whoever asks.
func absent(path string) bool {
	rest, ok := strings.CutPrefix(path, "/v2/")
	first, _, _ := strings.Cut(rest, "/")
	switch first {
	case "systemsharedmemory", "cudasharedmemory", "trace", "logging":
		return ok
	}
	return ok && strings.HasSuffix(rest, "/trace/setting")
}

// explains reports whether a path asks for the explanations of KServe's V1, which
// answers 501 for a model without an explainer.
func explains(path string) bool {
	return strings.HasPrefix(path, "/v1/models/") && strings.HasSuffix(path, ":explain")
}

// nothingAt says that no route has the path.
func nothingAt(path string) error {
	if absent(path) {
		return fault.New(fault.Unsupported, "Shared memory, traces and log settings are not served over this protocol")
	}
	if explains(path) {
		return fault.New(fault.Unsupported, "This server does not explain predictions; call :predict")
	}
	return fault.New(fault.NotFound, "")
}

// appendInferenceError writes a fault as {"error": "…"} and returns its status,
// which for content that does not fit is 400 in this protocol. The fields are
// named in the one text that there is.
func (x *exchange) appendInferenceError(b []byte, p problem, f *fault.Error) (int, []byte) {
	text := message(p, f)
	switch {
	case f.Kind == fault.NotFound && x.route != nil && x.route.OfModel:
		text = x.unknownModel()
	case f.Kind == fault.Content:
		text += f.Worded(math.MaxInt)
	}
	b = append(b, `{"error":`...)
	b = appendText(b, text)
	status := p.status
	if status == http.StatusUnprocessableEntity {
		status = http.StatusBadRequest
	}
	return status, append(b, '}', '\n')
}

// unknownModel says that there is no model of the path.
func (x *exchange) unknownModel() string {
	return oip.UnknownModel(x.param("model"), x.param("version"))
}

// infer runs a model on the tensors of the body.
func (a *API) infer(ctx context.Context, x *exchange) error {
	call, body, err := a.openAndRead(ctx, x, tensorBody)
	if err != nil {
		return err
	}
	defer call.Close()
	reader := a.newReader()
	defer a.readers.Put(reader)
	began := x.info.Trace.Begin()
	req, err := a.tensors(ctx, reader, call, body, x.request.Header[oip.HeaderLength])
	x.info.Trace.End(reqctx.Validate, began, err)
	if err != nil {
		return err
	}
	outputs, err := call.Predict(ctx)
	if err != nil {
		return err
	}
	answer := buffers.Get()
	defer buffers.Put(answer)
	var header int
	answer.B, header = oip.AppendResponse(answer.B, &oip.Response{
		Model: call.Model(), Version: call.Version(), ID: req.ID,
		Specs: call.Outputs(), Outputs: outputs, Wanted: req.Outputs, Parts: req.Parts, Binary: req.Binary,
	})
	call.Leave()
	x.Header()["Content-Type"] = typeJSON
	if header > 0 {
		x.Header()["Content-Type"] = typeOctets
		x.Header()[oip.HeaderLength] = []string{strconv.Itoa(header)}
	}
	x.sendPacked(answer.B)
	return nil
}

func (a *API) newReader() *oip.Reader {
	if r, ok := a.readers.Get().(*oip.Reader); ok {
		return r
	}
	return new(oip.Reader)
}

// tensors reads the body into the call's own tensors, and holds them to the model's
// contract.
func (a *API) tensors(ctx context.Context, r *oip.Reader, call *inference.Call, body []byte, lengths []string) (req *oip.Request, err error) {
	m, err := oip.Split(body, lengths)
	if err != nil {
		return nil, err
	}
	contract := oip.Contract{Inputs: call.Inputs(), Outputs: call.Outputs(), MaxRows: a.cfg.MaxRows}
	if m.Raw {
		req, err = r.ReadRaw(m.Tensors, contract, call.Batch().Inputs)
	} else {
		req, err = r.Read(m, contract, call.Batch().Inputs)
	}
	if err != nil {
		return nil, err
	}
	return req, call.Admit(ctx, a.cfg.MaxRows)
}
