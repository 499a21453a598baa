package grpcapi

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/grpc"

	"onnxgate/internal/admission"
	"onnxgate/internal/identity"
	"onnxgate/internal/limit"
	"onnxgate/internal/telemetry"
)

// The services.
const (
	inferenceService  = "inference.GRPCInferenceService"
	repositoryService = "inference.model_repository.ModelRepositoryService" // MLServer's, with the same messages
	healthService     = "grpc.health.v1.Health"
	reflectionService = "grpc.reflection.v1.ServerReflection"
)

// method is one line of the table of methods: everything that is decided about a
// call before it is served.
type method struct {
	// name is service, a slash, and the method.
	name string
	// predicts counts the call against the rate of predictions.
	predicts bool
	// open is for everybody: nobody is asked for a credential.
	open bool
	// permission is what a caller must hold, by role and by scope, whatever the
	// model says. It is required unless the method is open.
	permission string
	// changes says that the method changes which models are served.
	changes bool
	// ofModel says that the message names a model, which may ask for a further
	// credential.
	ofModel bool
	// streams says that messages may follow the first, in both directions.
	streams bool
	// atOnce is how many of these calls may be open at once, whoever makes them,
	// ofTenant how many of one tenant, and each how many of one principal, or of one
	// address where nobody is asked; 0 is any number.
	atOnce, ofTenant, each int
	places                 *places
	// serve reads decode, call, encode. It returns a fault instead of sending one.
	serve func(*call) error

	path    string // a slash and the name
	metrics *telemetry.RPCMetrics
}

// methods is the table. Methods of the protocol that are not in it (shared memory,
// tracing, logging) do not exist here.
func methods(reflection bool) []method {
	health := func(name string, serve func(*call) error) method {
		return method{name: healthService + "/" + name, open: true, serve: serve}
	}
	open := func(name string, serve func(*call) error) method {
		return method{name: inferenceService + "/" + name, open: true, serve: serve}
	}
	read := func(name string, serve func(*call) error) method {
		return method{name: inferenceService + "/" + name, permission: identity.ModelsRead, ofModel: true, serve: serve}
	}
	manage := func(name string, changes bool, serve func(*call) error) method {
		return method{name: inferenceService + "/" + name, permission: identity.ModelsWrite, changes: changes, serve: serve}
	}
	predict := method{predicts: true, permission: identity.ModelsPredict, ofModel: true}
	infer, stream := predict, predict
	infer.name, infer.serve = inferenceService+"/ModelInfer", (*call).modelInfer
	stream.name, stream.serve, stream.streams = inferenceService+"/ModelStreamInfer", (*call).modelStreamInfer, true
	stream.atOnce, stream.ofTenant, stream.each = 32, 24, 8 // each may hold the longest message while it waits for the rest of it
	metadata := read("ServerMetadata", (*call).serverMetadata)
	metadata.ofModel = false
	watch := health("Watch", (*call).healthWatch)
	watch.streams, watch.atOnce, watch.each = true, 256, 64
	table := []method{
		infer, stream, metadata, watch,
		open("ServerLive", (*call).serverLive),
		open("ServerReady", (*call).serverReady),
		read("ModelReady", (*call).modelReady),
		read("ModelMetadata", (*call).modelMetadata),
		read("ModelConfig", (*call).modelConfig),
		read("ModelStatistics", (*call).modelStatistics),
		manage("RepositoryIndex", false, (*call).repositoryIndex),
		manage("RepositoryModelLoad", true, (*call).repositoryModelLoad),
		manage("RepositoryModelUnload", true, (*call).repositoryModelUnload),
		health("Check", (*call).healthCheck),
	}
	for _, m := range table {
		if service, name, _ := strings.Cut(m.name, "/"); service == inferenceService && strings.HasPrefix(name, "Repository") {
			m.name = repositoryService + "/" + name
			table = append(table, m)
		}
	}
	if reflection {
		table = append(table, method{name: reflectionService + "/ServerReflectionInfo", open: true, streams: true, atOnce: 4, serve: (*call).reflect})
	}
	return table
}

// check refuses a method that leaves something undecided.
func (m *method) check() error {
	if m.serve == nil || m.open == (m.permission != "") {
		return fmt.Errorf("grpcapi: method %s: %w", m.name, errors.New("is either open or needs a permission, and is served"))
	}
	return nil
}

// places are the calls of a method that are open.
type places struct {
	mu      sync.Mutex
	total   int
	held    map[limit.Holder]int // by who made them
	tenants map[string]int
}

func newPlaces() *places {
	return &places{held: map[limit.Holder]int{}, tenants: map[string]int{}}
}

// enter takes one of the places for a caller, unless there is none left, or the
// caller, or its tenant, has its share.
func (m *method) enter(caller limit.Holder) bool {
	p := m.places
	if p == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.total >= m.atOnce || m.each > 0 && p.held[caller] >= m.each || m.ofTenant > 0 && p.tenants[caller.Tenant] >= m.ofTenant {
		return false
	}
	p.total++
	p.held[caller]++
	p.tenants[caller.Tenant]++
	return true
}

func (m *method) leave(caller limit.Holder) {
	p := m.places
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total--
	if p.held[caller]--; p.held[caller] == 0 {
		delete(p.held, caller)
	}
	if p.tenants[caller.Tenant]--; p.tenants[caller.Tenant] == 0 {
		delete(p.tenants, caller.Tenant)
	}
}

// Method is what others may know about a line of the table.
type Method struct {
	// Name is service, a slash, and the method.
	Name string
	// Open is for everybody; otherwise a caller needs the Permission.
	Open       bool
	Permission string
	// Rate is the rate that calls count against.
	Rate admission.Kind
	// OfModel has the model's own rules decide, too.
	OfModel bool
}

// Methods returns the table of a server with or without reflection.
func Methods(reflection bool) []Method {
	var all []Method
	for _, m := range methods(reflection) {
		all = append(all, Method{Name: m.name, Open: m.open, Permission: m.permission, Rate: m.kind(), OfModel: m.ofModel})
	}
	return all
}

// register gives the methods to a server, as streams all of them: a handler of a
// stream runs before its message is read.
func (a *API) register(s *grpc.Server) {
	services := map[string]*grpc.ServiceDesc{}
	for _, m := range a.methods {
		service, name, _ := strings.Cut(m.name, "/")
		desc := services[service]
		if desc == nil {
			desc = &grpc.ServiceDesc{ServiceName: service, Metadata: files[service]}
			services[service] = desc
		}
		desc.Streams = append(desc.Streams, grpc.StreamDesc{
			StreamName: name, Handler: a.handler(m), ClientStreams: m.streams, ServerStreams: m.streams,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(services)) {
		s.RegisterService(services[name], nil)
	}
}

// files are where the services are defined, of those that reflection shows.
var files = map[string]string{
	inferenceService:  "open_inference.proto",
	healthService:     "grpc/health/v1/health.proto",
	reflectionService: "grpc/reflection/v1/reflection.proto",
}
