package grpcapi

import (
	"strings"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"onnxgate/internal/fault"
)

// healthCheck answers for the server, or for one of its services.
func (c *call) healthCheck() error {
	if err := c.healthOf(); err != nil {
		return err
	}
	return c.send(c.api.healthNow())
}

// healthOf reads which service is meant.
func (c *call) healthOf() error {
	var req healthpb.HealthCheckRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	if s := req.GetService(); s != "" && s != inferenceService {
		return fault.New(fault.NotFound, "There is no such service here")
	}
	return nil
}

func (a *API) healthNow() *healthpb.HealthCheckResponse {
	status := healthpb.HealthCheckResponse_SERVING
	select {
	case <-a.waiting.withdrawn:
		status = healthpb.HealthCheckResponse_NOT_SERVING
	default:
		if !a.ready() {
			status = healthpb.HealthCheckResponse_NOT_SERVING
		}
	}
	return &healthpb.HealthCheckResponse{Status: status}
}

// healthWatch tells how the server is, and that it stops.
func (c *call) healthWatch() error {
	if err := c.healthOf(); err != nil {
		return err
	}
	c.arrival.until.Store(0)
	if err := c.send(c.api.healthNow()); err != nil {
		return err
	}
	select {
	case <-c.ctx.Done():
		return c.ctx.Err()
	case <-c.api.waiting.withdrawn:
		return c.send(c.api.healthNow())
	}
}

// reflect tells the methods and their messages.
func (c *call) reflect() error {
	c.sendHeader()
	c.arrival.allow(streamIdle)
	c.api.waiting.begin(c.arrival)
	defer c.api.waiting.done(c.arrival)
	idle := c.arrival.endLater(streamIdle, "The stream was open for two minutes") // all of it: questions are few
	defer idle.Stop()
	server := reflection.NewServerV1(reflection.ServerOptions{Services: services(c.api.methods)})
	return server.ServerReflectionInfo(&grpc.GenericServerStream[reflectionpb.ServerReflectionRequest, reflectionpb.ServerReflectionResponse]{ServerStream: c.stream})
}

// services are the table of methods as reflection reads it.
type services []*method

// GetServiceInfo names the services.
func (all services) GetServiceInfo() map[string]grpc.ServiceInfo {
	info := map[string]grpc.ServiceInfo{}
	for _, m := range all {
		service, _, _ := strings.Cut(m.name, "/")
		if file, known := files[service]; known {
			info[service] = grpc.ServiceInfo{Metadata: file}
		}
	}
	return info
}
