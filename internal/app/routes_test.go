package app_test

import (
	"strings"
	"testing"

	"onnxgate/internal/grpcapi"
	"onnxgate/internal/httpapi"
)

// Each method of the inference protocol over gRPC, and the route that does the same over
// REST.
var sameOverREST = map[string]string{
	"inference.GRPCInferenceService/ServerLive":            "GET /v2/health/live",
	"inference.GRPCInferenceService/ServerReady":           "GET /v2/health/ready",
	"inference.GRPCInferenceService/ServerMetadata":        "GET /v2",
	"inference.GRPCInferenceService/ModelReady":            "GET /v2/models/{model}/ready",
	"inference.GRPCInferenceService/ModelMetadata":         "GET /v2/models/{model}",
	"inference.GRPCInferenceService/ModelConfig":           "GET /v2/models/{model}/config",
	"inference.GRPCInferenceService/ModelStatistics":       "GET /v2/models/{model}/stats",
	"inference.GRPCInferenceService/ModelInfer":            "POST /v2/models/{model}/infer",
	"inference.GRPCInferenceService/ModelStreamInfer":      "POST /v2/models/{model}/infer",
	"inference.GRPCInferenceService/RepositoryIndex":       "POST /v2/repository/index",
	"inference.GRPCInferenceService/RepositoryModelLoad":   "POST /v2/repository/models/{model}/load",
	"inference.GRPCInferenceService/RepositoryModelUnload": "POST /v2/repository/models/{model}/unload",
	"grpc.health.v1.Health/Check":                          "GET /v2/health/ready",
	"grpc.health.v1.Health/Watch":                          "GET /v2/health/ready",
}

// Who may call a method over gRPC, and how often, is who may ask for the same over REST.
// A method without such a route is told of in the table above, or fails here.
func TestMethodsAndRoutesHaveTheSameRules(t *testing.T) {
	type rule struct {
		public, ofModel bool
		permission      string
		rate            any
	}
	routes := map[string]rule{}
	for _, r := range httpapi.PublicRoutes(httpapi.RouteOptions{MaxBody: 1}) {
		routes[r.Method+" "+r.Pattern] = rule{r.Auth == httpapi.Public, r.OfModel, r.Permission, r.Rate()}
	}
	for _, m := range grpcapi.Methods(false) {
		name := strings.Replace(m.Name, "inference.model_repository.ModelRepositoryService/", "inference.GRPCInferenceService/", 1)
		want, ok := routes[sameOverREST[name]]
		if !ok {
			t.Errorf("%s: no route %q", m.Name, sameOverREST[name])
			continue
		}
		if got := (rule{m.Open, m.OfModel, m.Permission, m.Rate}); got != want {
			t.Errorf("%s has the rules %+v, %s %+v", m.Name, got, sameOverREST[name], want)
		}
	}
}
