package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "onnxgate/api/inferencepb"
)

func isInfer(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/infer") }

// on is an answer's mutation for paths that match.
func on(pattern string, change func(w *httptest.ResponseRecorder)) func(*http.Request, []byte, *httptest.ResponseRecorder) {
	path := regexp.MustCompile(pattern)
	return func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
		if path.MatchString(r.URL.Path) {
			change(w)
		}
	}
}

// member sets a member of the objects that matching paths answer; nil takes it away.
func member(pattern, name string, v any) func(*http.Request, []byte, *httptest.ResponseRecorder) {
	return on(pattern, func(w *httptest.ResponseRecorder) {
		editJSON(w, func(o object) {
			delete(o, name)
			if v != nil {
				o[name] = v
			}
		})
	})
}

func code(c int) func(*httptest.ResponseRecorder) {
	return func(w *httptest.ResponseRecorder) { w.Code = c }
}

// refuses answers 400 to inference requests for which hit holds.
func refuses(hit func(r *http.Request, body string) bool) func(*http.Request, []byte, *httptest.ResponseRecorder) {
	return func(r *http.Request, body []byte, w *httptest.ResponseRecorder) {
		if isInfer(r) && hit(r, string(body)) {
			replace(w, http.StatusBadRequest, `{"error":"no"}`)
		}
	}
}

// eachOutput changes the outputs of answered inferences.
func eachOutput(change func(o object)) func(*http.Request, []byte, *httptest.ResponseRecorder) {
	return on("/infer$", func(w *httptest.ResponseRecorder) {
		editJSON(w, func(a object) {
			list, _ := a["outputs"].([]any)
			for _, o := range list {
				change(as[object](o))
			}
		})
	})
}

var firstElement = regexp.MustCompile(`"data":\[("|true|false|[^],]+)`)

// another changes the first element of the first output as JSON, or the last one as
// bytes.
func another(w *httptest.ResponseRecorder) {
	b := w.Body.Bytes()
	if w.Header().Get(headerLength) != "" {
		b[len(b)-1] ^= 1
		return
	}
	at := firstElement.FindSubmatchIndex(b)
	if at == nil {
		return
	}
	other := "11"
	switch b[at[2]] {
	case '"':
		other = `"x`
	case 't':
		other = "false"
	case 'f':
		other = "true"
	}
	w.Body = bytes.NewBufferString(string(b[:at[2]]) + other + string(b[at[3]:]))
}

// alternating changes every second answer to an inference.
func alternating(change func(*httptest.ResponseRecorder)) func(*http.Request, []byte, *httptest.ResponseRecorder) {
	var n atomic.Int64
	return func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
		if isInfer(r) && w.Code == http.StatusOK && n.Add(1)%2 == 0 {
			change(w)
		}
	}
}

// lenient answers what should be refused as if all were well.
func lenient(_ *http.Request, _ []byte, w *httptest.ResponseRecorder) {
	if w.Code >= http.StatusBadRequest {
		replace(w, http.StatusOK, `{"name":"simple","model_name":"simple","outputs":[]}`)
	}
}

func contains(words ...string) func(*http.Request, string) bool {
	return func(_ *http.Request, body string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(body, w) })
	}
}

func header(name, value string) func(*http.Request, string) bool {
	return func(r *http.Request, _ string) bool {
		return strings.Contains(strings.Join(r.Header[name], " "), value)
	}
}

// TestEveryCaseFailsForAServerThatBreaksIt holds the suite itself to account: under
// each mutation the cases that it is about fail, and no case is about none.
func TestEveryCaseFailsForAServerThatBreaksIt(t *testing.T) {
	m := new(mutator)
	target := bed(t, m)
	caught := map[string]bool{}
	for _, mut := range slices.Concat(serverMutations(), inferMutations(), extensionMutations(), rpcMutations()) {
		m.now.Store(nil)
		for _, model := range target.models {
			p := &probe{ctx: t.Context(), t: target, m: model}
			if model.Name == target.unload && p.changeOK("load", "") != nil {
				t.Fatal("the model cannot be loaded again")
			}
		}
		m.now.Store(&mut)
		cases := matching(allCases(), regexp.MustCompile("^("+mut.fails+")$"))
		spared := regexp.MustCompile("^(" + mut.spares + ")$")
		cases = slices.DeleteFunc(cases, func(c testCase) bool { return spared.MatchString(c.name) })
		if len(cases) == 0 {
			t.Errorf("%s: no case is named %s", mut.name, mut.fails)
		}
		for _, r := range runAll(t.Context(), target, cases) {
			caught[r.Name] = true
			if r.Status != failed {
				t.Errorf("%s: %s: %s %s", mut.name, r.Name, r.Status, r.Got)
			}
		}
	}
	for _, c := range allCases() {
		if !caught[c.name] {
			t.Errorf("no mutation makes %s fail", c.name)
		}
	}
}

func serverMutations() []mutation {
	probes := 0
	return []mutation{
		{name: "metadata away", answer: on("^/v2/?$", code(500)), fails: "server/metadata.*"},
		{name: "no name", answer: member("^/v2$", "name", nil), fails: "server/metadata-name"},
		{name: "version is a number", answer: member("^/v2$", "version", 1), fails: "server/metadata-version"},
		{name: "extensions are text", answer: member("^/v2$", "extensions", "all"), fails: "server/metadata-extensions"},
		{name: "calls JSON text", answer: on("", func(w *httptest.ResponseRecorder) { w.Header().Set("Content-Type", "text/plain") }), fails: ".*/content-type|.*-content-type|binary/(json|response)-type"},
		{name: "no /v2/", answer: on("^/v2/$", code(404)), fails: "server/metadata-slash"},
		{name: "/v2/ of another server", answer: member("^/v2/$", "name", "other"), fails: "server/metadata-slash"},
		{name: "not live", answer: on("/live$", code(503)), fails: "server/live.*|repository/unload-infer"},
		{name: "not ready", answer: on("/ready$", code(503)), fails: "server/ready.*|server/health-repeats|model/ready(-body|-version)?|repository/load"},
		{name: "empty bodies of health", answer: on("/(live|ready)$", func(w *httptest.ResponseRecorder) { replace(w, 200, "") }), fails: ".*/(live|ready)-body|model/ready-unknown.*|repository/unload"},
		{name: "200 with ready false", answer: on("/ready$", func(w *httptest.ResponseRecorder) { replace(w, 200, `{"ready":false}`) }), fails: ".*/ready-body"},
		{name: "no HEAD", answer: func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
			if r.Method == http.MethodHead {
				w.Code = http.StatusMethodNotAllowed
			}
		}, fails: "server/health-head|http/head-metadata"},
		{name: "ready now and then", answer: on("/ready$", func(w *httptest.ResponseRecorder) {
			if probes++; probes%7 == 0 {
				w.Code = 503
			}
		}), fails: "server/health-repeats"},
		{name: "everything is there", answer: lenient, fails: "server/unknown-route|model/.*unknown.*|http/(get|put|delete|post)-.*|statistics/unknown-model|repository/(load-unknown|index-bad-json|unload-infer)|refuse/.*|binary/refuse-.*|compression/(broken|cut|unknown).*", spares: "refuse/(client-error|then-serves)"},
		{name: "errors without text", answer: on("", func(w *httptest.ResponseRecorder) {
			if w.Code >= 400 {
				replace(w, w.Code, `{"detail":"no"}`)
			}
		}), fails: "model/metadata-unknown.*|statistics/unknown-model|repository/(load-unknown|index-bad-json)|refuse/(content-type|null|empty-body|unknown-(model|version)|shape-huge)|binary/refuse-[b-z]{3,}.*-?(header|size|bytes).*|compression/errors-readable"},
		{name: "model's metadata away", answer: on("/models/[^/]+$", code(500)), fails: "model/metadata(-name|-platform.*|-inputs|-outputs|-content-type|-escaped|-versions)?"},
		{name: "name of another model", answer: member("/models/[^/]+(/ready|/config)?$", "name", "other"), fails: "model/metadata-name|model/ready-body|config/name"},
		{name: "no platform", answer: member("/models/[^/]+$", "platform", nil), fails: "model/metadata-platform.*"},
		{name: "empty platform", answer: member("/models/[^/]+$", "platform", ""), fails: "model/metadata-platform-listed"},
		{name: "versions are numbers", answer: member("/models/[^/]+$", "versions", []int{1}), fails: "model/metadata-versions"},
		{name: "unknown datatypes", answer: on("/models/[^/]+$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, strings.NewReplacer("INT32", "INT", "FP32", "FLOAT").Replace(w.Body.String()))
		}), fails: "model/metadata-(in|out)puts"},
		{name: "no versions", answer: on("/versions/", func(w *httptest.ResponseRecorder) { replace(w, 404, `{"error":"no"}`) }), fails: "model/(metadata|ready)-version|infer/version-route|statistics/version"},
		{name: "literal paths", answer: func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
			if r.URL.EscapedPath() != r.URL.Path {
				w.Code = 404
			}
		}, fails: "model/metadata-escaped"},
		{name: "caller's faults as its own", answer: on("", func(w *httptest.ResponseRecorder) {
			if w.Code >= 400 {
				w.Code = 500
			}
		}), fails: "refuse/client-error|refuse/unknown-model-404|server/unknown-route|http/(get|put|delete|post)-.*|binary/refuse-client-error|compression/(broken|cut|unknown).*|repository/unload-unknown"},
	}
}

func inferMutations() []mutation {
	refusals := 0
	return []mutation{
		{name: "refuses everything", answer: refuses(func(*http.Request, string) bool { return true }), fails: "infer/([a-df-z]|e[^m]).*|datatype/.*|http/(infer|charset|chunked|accept|unknown|query|concurrent).*|batch/(shape|independent|nested)|binary/([a-qs-z]|r[^e]|response).*|compression/(gzip|deflate|not-asked|binary).*|statistics/(success|inferences|last-inference)|classification/.*|refuse/then-serves"},
		{name: "refuses nested data", answer: refuses(contains("[[")), fails: "infer/nested|batch/nested"},
		{name: "refuses unknown parameters", answer: refuses(contains("x-text")), fails: "infer/.*parameters"},
		{name: "refuses escapes", answer: refuses(contains(`\u`)), fails: "infer/escapes"},
		{name: "refuses data before shape", answer: refuses(contains(`{"data":[`)), fails: "infer/member-order"},
		{name: "refuses white space", answer: refuses(contains("\r\n\t")), fails: "infer/whitespace"},
		{name: "refuses exponents", answer: refuses(contains("E-01")), fails: "infer/exponents"},
		{name: "refuses 1.0", answer: refuses(contains("1.0,")), fails: "infer/integral-floats"},
		{name: "refuses an unknown member", answer: refuses(contains(`"model_name"`)), fails: "binary/model-name"},
		{name: "refuses chunks", answer: refuses(func(r *http.Request, _ string) bool { return len(r.TransferEncoding) > 0 }), fails: "http/chunked"},
		{name: "refuses a charset", answer: refuses(header("Content-Type", "charset")), fails: "http/charset"},
		{name: "refuses Accept", answer: refuses(header("Accept", "json")), fails: "http/accept"},
		{name: "refuses unknown headers", answer: refuses(header("X-Conformance", "1")), fails: "http/unknown-header"},
		{name: "refuses queries", answer: refuses(func(r *http.Request, _ string) bool { return r.URL.RawQuery != "" }), fails: "http/query"},
		{name: "refuses compression", answer: refuses(func(r *http.Request, _ string) bool { return r.Header.Get("Content-Encoding") != "" }), fails: "compression/(gzip|deflate)-request|compression/binary"},
		{name: "no outputs for an empty list", answer: func(_ *http.Request, body []byte, w *httptest.ResponseRecorder) {
			if strings.Contains(string(body), `"outputs":[]`) {
				replace(w, 200, `{"model_name":"simple","outputs":[]}`)
			}
		}, fails: "infer/empty-outputs"},
		{name: "other values, every second time", answer: alternating(another), fails: "infer/(nested|input-order|.*parameters|member-order|whitespace|escapes|exponents|integral-floats|repeats)|batch/(independent|nested)|http/concurrent-ids|binary/(inputs|mixed-inputs|batch|output.*|mixed-outputs|raw)|compression/(gzip-request|deflate-request|binary|not-asked|gzip-answer|deflate-answer)"},
		{name: "other values", answer: on("/infer$", another), fails: "infer/simple-.*|datatype/bool-json.*|datatype/.*-binary-extremes|datatype/.*-binary|binary/bool-bytes"},
		{name: "texts and numbers as null", answer: eachOutput(func(o object) {
			if _, ok := o["data"]; ok {
				o["data"] = []any{nil}
			}
		}), fails: "infer/flat|datatype/.*-json.*"},
		{name: "no id", answer: member("/infer$", "id", nil), fails: "infer/id.*|http/concurrent-ids|binary/id"},
		{name: "another's id", answer: member("/infer$", "id", "other"), fails: "infer/id.*|http/concurrent-ids|binary/id"},
		{name: "another model's name", answer: member("/infer$", "model_name", "other"), fails: "infer/model-name"},
		{name: "another version", answer: member("/infer$", "model_version", "99"), fails: "infer/model-version|infer/version-route"},
		{name: "one output short", answer: on("/infer$", func(w *httptest.ResponseRecorder) {
			editJSON(w, func(a object) {
				if list, ok := a["outputs"].([]any); ok {
					a["outputs"] = list[1:]
				}
			})
		}), fails: "infer/(all-outputs|one-output|empty-outputs|output-(datatypes|shapes|order))"},
		{name: "all outputs, always", request: func(_ *http.Request, body []byte) []byte {
			return regexp.MustCompile(`,"outputs":\[[^]]*\]`).ReplaceAll(body, nil)
		}, fails: "infer/one-output|infer/output-order|binary/(output|mixed-outputs)|refuse/unknown-output"},
		{name: "outputs of other datatypes", answer: eachOutput(func(o object) { o["datatype"] = "INT64" }), fails: "infer/output-datatypes"},
		{name: "outputs of unknown datatypes", answer: eachOutput(func(o object) { o["datatype"] = "INT" }), fails: "infer/(flat|output-datatypes)"},
		{name: "outputs of one dimension", answer: eachOutput(func(o object) { o["shape"] = []int{elements(int64s(o["shape"]))} }), fails: "infer/output-shapes|batch/shape"},
		{name: "outputs with too few elements", answer: eachOutput(func(o object) { o["data"] = as[[]any](o["data"])[1:] }), fails: "infer/flat|infer/output-shapes"},
		{name: "one class for all", answer: on("iris/infer$", func(w *httptest.ResponseRecorder) {
			editJSON(w, func(a object) {
				if list, ok := a["outputs"].([]any); ok {
					as[object](list[0])["data"] = []int{1}
				}
			})
		}), fails: "infer/iris-classes"},
		{name: "cannot do many rows, or none", answer: func(_ *http.Request, body []byte, w *httptest.ResponseRecorder) {
			if strings.Contains(string(body), `"shape":[1000,`) || strings.Contains(string(body), `"shape":[0,`) {
				w.Code = 500
			}
		}, fails: "batch/(thousand|empty)"},
		{name: "any method", answer: func(_ *http.Request, _ []byte, w *httptest.ResponseRecorder) {
			if w.Code == http.StatusMethodNotAllowed {
				w.Code = 200
			}
		}, fails: "http/(get|put|delete|post)-.*"},
		{name: "broken by a refusal", answer: func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
			if isInfer(r) && w.Code == 200 && refusals > 0 {
				w.Code, refusals = 500, 0
			} else if w.Code >= 400 {
				refusals++
			}
		}, fails: "refuse/then-serves"},
		{name: "always compressed", answer: on("/infer$", func(w *httptest.ResponseRecorder) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Body = bytes.NewBuffer(pack("gzip", w.Body.Bytes()))
		}), fails: "compression/(not-asked|deflate-answer)"},
		{name: "called compressed and plain", answer: on("/infer$", func(w *httptest.ResponseRecorder) { w.Header().Set("Content-Encoding", "gzip") }), fails: "compression/(not-asked|gzip-answer|errors-readable)"},
	}
}

func int64s(v any) []int64 {
	var out []int64
	list, _ := v.([]any)
	for _, n := range list {
		out = append(out, int64(as[float64](n)))
	}
	return out
}

func extensionMutations() []mutation {
	noBytes := regexp.MustCompile(`"binary_data(_output)?":true`)
	return []mutation{
		{name: "never answers bytes", request: func(_ *http.Request, body []byte) []byte {
			return noBytes.ReplaceAllFunc(body, func(b []byte) []byte { return bytes.Replace(b, []byte("true"), []byte("null"), 1) })
		}, fails: "binary/(output|output-default|mixed-outputs|output-order|response-.*)|datatype/.*-binary-extremes"},
		{name: "always answers bytes", request: func(r *http.Request, body []byte) []byte {
			if !isInfer(r) || r.Header.Get(headerLength) == "0" || !bytes.HasPrefix(body, []byte("{")) {
				return body
			}
			out := append([]byte(`{"parameters":{"binary_data_output":true},`), bytes.Replace(body[1:], []byte(`"parameters":{"binary_data_output":true}`), []byte(`"x":1`), 1)...)
			if n := r.Header.Get(headerLength); n != "" {
				r.Header.Set(headerLength, itoaPlus(n, len(out)-len(body)))
			}
			return bytes.ReplaceAll(out, []byte(`"binary_data":false`), []byte(`"binary_dat_":false`))
		}, fails: "binary/(json-answer|json-type|output-override|mixed-outputs)"},
		{name: "raw answers as JSON", answer: func(r *http.Request, _ []byte, w *httptest.ResponseRecorder) {
			if r.Header.Get(headerLength) == "0" && w.Code == 200 {
				replace(w, 200, `{"outputs":[{"name":"class","datatype":"INT64","shape":[1,1],"data":[9]}]}`)
			}
		}, fails: "binary/raw|binary/raw-outputs"},
		{name: "bytes the other way round", answer: on("/infer$", func(w *httptest.ResponseRecorder) {
			if n := w.Header().Get(headerLength); n != "" {
				slices.Reverse(w.Body.Bytes()[len(w.Body.Bytes())-tailOf(w):])
			}
		}), fails: "binary/(output|output-order)|datatype/(int32|fp64|bytes)-binary-extremes"},
		{name: "wrong length of the JSON", answer: on("/infer$", func(w *httptest.ResponseRecorder) {
			if n := w.Header().Get(headerLength); n != "" {
				w.Header().Set(headerLength, itoaPlus(n, 1))
			}
		}), fails: "binary/(response-header|output-default|id|raw)"},
		{name: "index of an object", answer: on("/index$", func(w *httptest.ResponseRecorder) { replace(w, 200, `{}`) }), fails: "repository/index(-empty-body|-lists-model|-ready)?"},
		{name: "index without reasons", answer: on("/index$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, strings.ReplaceAll(w.Body.String(), `"reason"`, `"why"`))
		}), fails: "repository/index"},
		{name: "another state", answer: on("/index$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, strings.ReplaceAll(w.Body.String(), `"READY"`, `"State.READY"`))
		}), fails: "repository/index-lists-model|repository/index-ready"},
		{name: "unloaded models as READY", answer: on("/index$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, strings.ReplaceAll(w.Body.String(), `"UNAVAILABLE"`, `"READY"`))
		}), fails: "repository/unload-index"},
		{name: "no unloading", answer: on("/unload$", code(501)), fails: "repository/unload.*"},
		{name: "no loading", answer: on("/load$", code(500)), fails: "repository/load|repository/unload|repository/unload-parameters"},
		{name: "unloading of nothing", request: func(r *http.Request, body []byte) []byte {
			r.URL.Path = strings.Replace(r.URL.Path, "iris/unload", "iris/load", 1)
			return body
		}, fails: "repository/unload(-index)?"},
		{name: "statistics that stand still", answer: on("/stats$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, regexp.MustCompile(`"(inference_)?count":\d+`).ReplaceAllString(w.Body.String(), `"${1}count":7`))
		}), fails: "statistics/(success|inferences)"},
		{name: "statistics in seconds", answer: on("/stats$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, regexp.MustCompile(`"last_inference":\d+`).ReplaceAllString(w.Body.String(), `"last_inference":1700000000`))
		}), fails: "statistics/last-inference"},
		{name: "statistics without durations", answer: on("/stats$", func(w *httptest.ResponseRecorder) {
			replace(w, 200, strings.ReplaceAll(w.Body.String(), `"ns"`, `"us"`))
		}), fails: "statistics/fields"},
		{name: "statistics of none", answer: on("/stats$", func(w *httptest.ResponseRecorder) { replace(w, 200, `{"model_stats":[]}`) }), fails: "statistics/(model|all|fields)"},
		{name: "no classification", request: func(_ *http.Request, body []byte) []byte {
			return bytes.Replace(body, []byte(`"classification"`), []byte(`"x"`), 1)
		}, fails: "classification/top"},
	}
}

// tailOf is how many bytes are behind the JSON.
func tailOf(w *httptest.ResponseRecorder) int {
	head, _, _ := split(&exchange{answer: w.Body.Bytes(), answerHeader: w.Header()})
	return w.Body.Len() - len(head)
}

func rpcMutations() []mutation {
	internal := func(string, proto.Message, proto.Message, error) (proto.Message, error) {
		return nil, status.Error(codes.Internal, "broken")
	}
	// answer changes the answers of one type.
	return []mutation{
		{name: "broken calls", rpc: internal, fails: "grpc/([a-hj-qs-z]|i|raw|repository-i).*", spares: "grpc/model-(ready|metadata)-unknown"},
		{name: "fields of nothing", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if a != nil && err == nil {
				proto.Reset(a)
			}
			return a, err
		}, fails: "grpc/(server-.*|model-(ready|metadata)(-version)?|typed|raw|answer-names|version|id.*|one-output|output-order|simple-arithmetic|batch|concurrent-ids|health|repository-index|statistics|stream.*|datatype-.*)"},
		{name: "no errors", rpc: func(method string, _, a proto.Message, err error) (proto.Message, error) {
			if err == nil {
				return a, nil
			}
			switch method {
			case pb.GRPCInferenceService_ModelMetadata_FullMethodName:
				return &pb.ModelMetadataResponse{}, nil
			case pb.GRPCInferenceService_RepositoryModelLoad_FullMethodName:
				return &pb.RepositoryModelLoadResponse{}, nil
			default:
				return &pb.ModelInferResponse{}, nil
			}
		}, fails: "grpc/model-metadata-unknown|grpc/repository-load-unknown|grpc/refuse-(not-found|[a-bd-su-z].*|too-.*)"},
		{name: "everything is ready", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if r, ok := a.(*pb.ModelReadyResponse); ok {
				r.Ready = true
			}
			return a, err
		}, fails: "grpc/model-ready-unknown"},
		{name: "one code for all", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if err != nil {
				err = status.Error(codes.Unknown, "no")
			}
			return a, err
		}, fails: "grpc/refuse-(not-found|codes)"},
		{name: "away after a refusal", rpc: awayAfterRefusal(), fails: "grpc/refuse-then-serves"},
		{name: "other versions of metadata", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if r, ok := a.(*pb.ServerMetadataResponse); ok {
				r.Extensions = nil
			}
			return a, err
		}, fails: "grpc/server-metadata-same"},
		{name: "refuses what it does not know", rpc: func(_ string, q, a proto.Message, err error) (proto.Message, error) {
			if r, ok := q.(*pb.ModelInferRequest); ok && (len(r.ProtoReflect().GetUnknown()) > 0 || len(r.GetParameters()) > 0) {
				return nil, status.Error(codes.InvalidArgument, "unknown")
			}
			return a, err
		}, fails: "grpc/unknown-fields|grpc/parameters"},
		{name: "typed beside raw contents", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if r, ok := a.(*pb.ModelInferResponse); ok && r != nil && len(r.GetRawOutputContents()) > 0 {
				r.Outputs[0].Contents = &pb.InferTensorContents{IntContents: []int32{1}}
			}
			return a, err
		}, fails: "grpc/raw|grpc/batch"},
		{name: "streams without errors", rpc: func(_ string, _, a proto.Message, err error) (proto.Message, error) {
			if r, ok := a.(*pb.ModelStreamInferResponse); ok {
				r.ErrorMessage = ""
			}
			return a, err
		}, fails: "grpc/stream-error"},
	}
}

// awayAfterRefusal breaks the call behind one that was refused.
func awayAfterRefusal() func(string, proto.Message, proto.Message, error) (proto.Message, error) {
	refused := false
	return func(_ string, _, a proto.Message, err error) (proto.Message, error) {
		if err == nil && refused {
			return nil, status.Error(codes.Internal, "away")
		}
		refused = err != nil
		return a, err
	}
}

func itoaPlus(n string, by int) string {
	v, err := strconv.Atoi(n)
	if err != nil {
		return n
	}
	return strconv.Itoa(v + by)
}
