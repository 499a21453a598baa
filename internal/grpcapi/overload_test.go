package grpcapi_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"onnxgate/internal/admission"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/testkit"
)

func TestOverloadedServerRefusesPredictionsAloneAndRecovers(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
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
	f := serve(t, testkit.Flower{OnRun: func(ctx context.Context) error {
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
	// Else the engine goes on, and the test does not end. The client's own end of the
	// call may come before the server looks at the clock.
	if err := <-ended; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
		t.Errorf("the engine ended for %v, want the deadline exceeded", err)
	}
}

// A client of bare HTTP/2 goes on waiting when its deadline has passed, so that it is
// the server that notices.
func TestReasonTellsWhoseDeadlinePassed(t *testing.T) {
	for want, timeout := range map[string]string{"client_deadline": "50m", "timeout": "1H"} {
		t.Run(want, func(t *testing.T) {
			var serving atomic.Bool // and no longer loading
			f := serve(t, testkit.Flower{OnRun: func(ctx context.Context) error {
				at, ok := ctx.Deadline()
				switch {
				case !serving.Load():
					return nil
				case ok && time.Until(at) < time.Minute:
					<-ctx.Done()
				}
				return context.DeadlineExceeded
			}}, nil)
			serving.Store(true)
			message, err := proto.Marshal(about("iris"))
			if err != nil {
				t.Fatal(err)
			}
			whole := append([]byte{0, 0, 0, 0, byte(len(message))}, message...)
			// At its deadline a stream ends with a status or is reset: grpc-go races itself.
			_, _ = try(t, f, whole, func() []byte { return nil }, "Grpc-Timeout", timeout) //nolint:bodyclose // try does
			if got := f.reasons(t); !slices.Equal(got, []string{want}) {
				t.Errorf("reasons %v", got)
			}
		})
	}
}

// reasons waits for a refusal and returns those that there are.
func (f *fixture) reasons(t *testing.T) (all []string) {
	t.Helper()
	for t.Context().Err() == nil && len(all) == 0 {
		families, err := f.metrics.Registry().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.GetMetric() {
				if family.GetName() == "onnxgate_refusals_total" && m.GetCounter().GetValue() > 0 {
					all = append(all, m.GetLabel()[0].GetValue())
				}
			}
		}
		time.Sleep(time.Millisecond)
	}
	return all
}

// Neither a principal nor all keys of a tenant hold so many streams that none is left
// for another tenant.
func TestStreamsAreSharedByPrincipalsAndTenants(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	open := func(token string) error {
		stream, err := f.client.ModelStreamInfer(as(t.Context(), token))
		if err != nil {
			return err
		}
		_ = stream.Send(about("iris")) // Recv tells
		_, err = stream.Recv()
		return err
	}
	for _, step := range []struct {
		token string
		most  int
	}{{"acme-1", 8}, {"acme-2", 8}, {"acme-3", 8}, {"acme-4", 0}, {"admin", 8}, {"user", 0}} {
		for i := range step.most {
			if err := open(step.token); err != nil {
				t.Fatalf("%s, stream %d: %v", step.token, i, err)
			}
		}
		if err := open(step.token); status.Code(err) != codes.Unavailable {
			t.Errorf("%s, one stream more: %v, want it refused", step.token, err)
		}
	}
}
