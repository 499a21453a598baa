package fault_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"onnxgate/internal/fault"
)

func TestUnclassifiedErrorsAreInternal(t *testing.T) {
	err := errors.New("disk on fire")
	if got := fault.KindOf(err); got != fault.Internal {
		t.Errorf("KindOf = %v, want internal", got)
	}
	e := fault.As(err)
	if e.Kind != fault.Internal || e.Msg != "" || !errors.Is(e, err) {
		t.Errorf("As = %+v, want internal, no message, the cause kept", e)
	}
	if fault.As(nil) != nil {
		t.Error("As(nil) is not nil")
	}
}

func TestKindSurvivesWrapping(t *testing.T) {
	err := fmt.Errorf("predict: %w", fault.New(fault.Forbidden, "no"))
	if got := fault.KindOf(err); got != fault.Forbidden {
		t.Errorf("KindOf = %v, want forbidden", got)
	}
}

func TestErrorTextNamesMessageAndCause(t *testing.T) {
	cause := errors.New("cause")
	for want, err := range map[string]error{
		"message":        fault.New(fault.Syntax, "message"),
		"message: cause": fault.Wrap(fault.Syntax, "message", cause),
		"cause":          fault.As(cause),
	} {
		if got := err.Error(); got != want {
			t.Errorf("Error() = %q, want %q", got, want)
		}
	}
}

func TestEveryKindHasItsOwnName(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range fault.Kinds() {
		if k.String() == "" || seen[k.String()] {
			t.Errorf("kind %d: name %q is empty or taken", k, k)
		}
		seen[k.String()] = true
	}
}

func TestTheEndOfAContextHasAKind(t *testing.T) {
	for cause, want := range map[error]fault.Kind{
		context.DeadlineExceeded: fault.Timeout, context.Canceled: fault.Canceled,
		fmt.Errorf("read: %w", context.DeadlineExceeded): fault.Timeout,
	} {
		if got := fault.OfContext(cause); got.Kind != want || !errors.Is(got, cause) {
			t.Errorf("%v is %v", cause, got)
		}
	}
}

func TestWhatAContextSaysIsClassifiedWhereNobodyElseDid(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"a deadline":             {fmt.Errorf("run: %w", context.DeadlineExceeded), fault.Timeout},
		"a client that left":     {fmt.Errorf("run: %w", context.Canceled), fault.Canceled},
		"a fault keeps its kind": {fault.Wrap(fault.Unavailable, "", context.Canceled), fault.Unavailable},
		"a defect":               {errors.New("defect"), fault.Internal},
	} {
		if f := fault.Classify(tc.err); f.Kind != tc.want {
			t.Errorf("%s: %v, want %v", name, f.Kind, tc.want)
		}
	}
}
