package grpcapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"onnxgate/internal/fault"
)

func TestEveryKindOfFaultHasACode(t *testing.T) {
	want := map[fault.Kind]codes.Code{
		fault.Internal: codes.Internal, fault.Misdirected: codes.InvalidArgument, fault.BadRequest: codes.InvalidArgument,
		fault.NotFound: codes.NotFound, fault.MethodNotAllowed: codes.Unimplemented, fault.RateLimited: codes.ResourceExhausted, fault.QuotaExceeded: codes.ResourceExhausted,
		fault.Unauthenticated: codes.Unauthenticated, fault.Forbidden: codes.PermissionDenied, fault.UnsupportedMedia: codes.InvalidArgument,
		fault.TooLarge: codes.ResourceExhausted, fault.Syntax: codes.InvalidArgument, fault.Content: codes.InvalidArgument,
		fault.Undecryptable: codes.InvalidArgument, fault.Conflict: codes.FailedPrecondition, fault.Unsupported: codes.Unimplemented,
		fault.Unavailable: codes.Unavailable, fault.Overloaded: codes.Unavailable, fault.Timeout: codes.DeadlineExceeded, fault.ClientDeadline: codes.DeadlineExceeded, fault.Canceled: codes.Canceled,
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

// Python's clients see the text alone, and break the call where headers are longer
// than 8 KiB.
func TestContentIsSaidInTheTextAndFitsInHeaders(t *testing.T) {
	f := fault.New(fault.Content, "the input does not fit the model")
	f.Fields = []fault.Field{{Pointer: "#/0/age", Detail: "must be at most 30"}, {Pointer: "#/1/age", Detail: "must be at most 30"}}
	if got, want := statusOf(f).Message(), "The input does not fit the model: /0/age must be at most 30; /1/age must be at most 30"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for _, size := range []int{20, 300, 3000} {
		f := fault.New(fault.Content, "the input does not fit the model")
		for i := range fault.MaxFields {
			f.Fields = append(f.Fields, fault.Field{Pointer: fmt.Sprintf("#/%d/city", i), Detail: "must be one of " + strings.Repeat("é", size/2)})
		}
		s := statusOf(f)
		encoded, err := proto.Marshal(s.Proto())
		if err != nil || len(s.Message())*3+len(encoded)*4/3 > 7<<10 || !strings.Contains(s.Message(), "/0/city must be") {
			t.Errorf("%d: %v, %d and %d bytes: %q", size, err, len(s.Message()), len(encoded), s.Message())
		}
		if bad, ok := s.Details()[0].(*errdetails.BadRequest); !ok || len(bad.GetFieldViolations()) == 0 {
			t.Errorf("%d: %v, want a field", size, s.Details())
		}
	}
}
