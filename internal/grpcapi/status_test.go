package grpcapi

import (
	"errors"
	"testing"

	"google.golang.org/grpc/codes"

	"onnxgate/internal/fault"
)

func TestEveryKindOfFaultHasACode(t *testing.T) {
	want := map[fault.Kind]codes.Code{
		fault.Internal: codes.Internal, fault.Misdirected: codes.InvalidArgument, fault.BadRequest: codes.InvalidArgument,
		fault.NotFound: codes.NotFound, fault.MethodNotAllowed: codes.Unimplemented, fault.RateLimited: codes.ResourceExhausted,
		fault.Unauthenticated: codes.Unauthenticated, fault.Forbidden: codes.PermissionDenied, fault.UnsupportedMedia: codes.InvalidArgument,
		fault.TooLarge: codes.ResourceExhausted, fault.Syntax: codes.InvalidArgument, fault.Content: codes.InvalidArgument,
		fault.Undecryptable: codes.InvalidArgument, fault.Conflict: codes.FailedPrecondition, fault.Unsupported: codes.Unimplemented,
		fault.Unavailable: codes.Unavailable, fault.Timeout: codes.DeadlineExceeded, fault.Canceled: codes.Canceled,
	}
	for _, kind := range fault.Kinds() {
		code, there := want[kind]
		s := statusOf(fault.Wrap(kind, "", errors.New("secret")))
		if !there || s.Code() != code || s.Message() == "" || s.Message() != outcomes[kind].text {
			t.Errorf("%v: %v %q, want %v and a text", kind, s.Code(), s.Message(), code)
		}
	}
	if s := statusOf(fault.New(fault.Internal, "secret")); s.Message() != outcomes[fault.Internal].text {
		t.Errorf("an internal message is shown: %q", s.Message())
	}
}
