package grpcapi_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

func TestOverloadedServerRefusesPredictionsAloneAndRecovers(t *testing.T) {
	f := serve(t, flower{}, nil)
	held, err := f.limits.Model("iris", admission.Limits{}).Enter(t.Context(), &identity.Principal{Tenant: "default"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	var header metadata.MD
	_, err = f.client.ModelInfer(as(t.Context(), "user"), about("iris"), grpc.Header(&header))
	s := status.Convert(err)
	if s.Code() != codes.Unavailable || len(header.Get("retry-after")) != 1 || len(s.Details()) != 1 {
		t.Fatalf("%v with %v and header %v", err, s.Details(), header)
	}
	if info, ok := s.Details()[0].(*errdetails.RetryInfo); !ok || info.GetRetryDelay().AsDuration() < time.Second {
		t.Errorf("%v, want a delay of a second or more", s.Details())
	}
	held.Leave(true, 0)
	for range 3 {
		if _, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	}
	if n := f.limits.InFlight(); n != 0 {
		t.Errorf("%d places are held at the end", n)
	}
}

func TestDeadlineOfTheClientReachesTheEngine(t *testing.T) {
	var serving atomic.Bool // and no longer loading
	ended := make(chan error, 1)
	f := serve(t, flower{run: func(ctx context.Context) error {
		if !serving.Load() {
			return nil
		}
		<-ctx.Done()
		ended <- ctx.Err()
		return fault.OfContext(ctx.Err())
	}}, nil)
	serving.Store(true)
	ctx, cancel := context.WithTimeout(as(t.Context(), "user"), 50*time.Millisecond)
	defer cancel()
	if _, err := f.client.ModelInfer(ctx, about("iris")); status.Code(err) != codes.DeadlineExceeded {
		t.Errorf("%v, want the deadline exceeded", err)
	}
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) { // or the engine goes on, and the test does not end
		t.Errorf("the engine ended for %v, want the deadline exceeded", err)
	}
}

func TestOnePrincipalHoldsAShareOfTheStreams(t *testing.T) {
	f := serve(t, flower{}, nil)
	open := func(token string) error {
		stream, err := f.client.ModelStreamInfer(as(t.Context(), token))
		if err != nil {
			return err
		}
		if err := stream.Send(about("iris")); err != nil {
			return err
		}
		_, err = stream.Recv()
		return err
	}
	for i := range 8 {
		if err := open("user"); err != nil {
			t.Fatalf("stream %d: %v", i, err)
		}
	}
	if err := open("user"); status.Code(err) != codes.Unavailable {
		t.Errorf("a ninth stream: %v, want it refused", err)
	}
	if err := open("admin"); err != nil {
		t.Errorf("another principal's: %v", err)
	}
}
