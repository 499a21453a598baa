package grpcapi

import (
	"strings"

	"google.golang.org/grpc"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"

	"onnxgate/internal/fault"
)

const healthServing = healthpb.HealthCheckResponse_SERVING

// healthCheck answers for the server, or for one of its services.
func (c *call) healthCheck() error {
	var req healthpb.HealthCheckRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	answer, err := c.api.health.Check(c.ctx, &req)
	if err != nil {
		return unknownService()
	}
	if !c.api.ready() {
		answer = &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING}
	}
	return c.send(answer)
}

func unknownService() error { return fault.New(fault.NotFound, "There is no such service here") }

// healthWatch tells of every change until the client goes away.
func (c *call) healthWatch() error {
	var req healthpb.HealthCheckRequest
	if err := c.decode(&req); err != nil {
		return err
	}
	c.sendHeader()
	c.arrival.until.Store(0)
	return c.api.health.Watch(&req, &grpc.GenericServerStream[healthpb.HealthCheckRequest, healthpb.HealthCheckResponse]{ServerStream: c.stream})
}

// reflect tells the methods and their messages.
func (c *call) reflect() error {
	c.sendHeader()
	c.arrival.allow(streamIdle)
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
