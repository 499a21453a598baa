package inference_test

import (
	"context"
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
)

// door is an admission that notes what it is asked, and refuses one thing.
type door struct {
	refuse string
	noted  []string
}

func (d *door) note(what string) error {
	d.noted = append(d.noted, what)
	if what == d.refuse {
		return fault.New(fault.Overloaded, "too much")
	}
	return nil
}

func (d *door) Open(context.Context, *identity.Principal) error { return d.note("open") }

func (d *door) Enter(_ context.Context, _ *identity.Principal, bytes int64) (inference.Passage, error) {
	if err := d.note(fmt.Sprintf("enter %d", bytes)); err != nil {
		return nil, err
	}
	return d, nil
}

func (d *door) Spend(_ context.Context, rows int) error { return d.note(fmt.Sprintf("spend %d", rows)) }

func (d *door) Leave(answered bool, compute time.Duration) {
	_ = d.note(fmt.Sprintf("leave %v %v", answered, compute > 0))
}

func TestACallAsksBeforeEachPartAndGivesBackOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		refuse string
		late   bool
		want   string
	}{
		"nothing is refused":    {"", false, "[open enter 9 spend 2 leave true true]"},
		"the model's rate":      {"open", false, "[open]"},
		"no place":              {"enter 9", false, "[open enter 9]"},
		"too many rows":         {"spend 2", false, "[open enter 9 spend 2 leave false false]"},
		"too late in the queue": {"", true, "[open enter 9 spend 2 leave false false]"},
	} {
		t.Run(name, func(t *testing.T) {
			d := &door{refuse: tc.refuse}
			var limits *schema.Limits
			fs := files("a/1/model.onnx", "a", "a/model.yaml", "limits: {concurrency: 3}\n")
			c := newCatalog(t, inference.Config{FS: fs, Admit: func(label string, l *schema.Limits) inference.Admission {
				if label != "a" {
					t.Errorf("admission of %q", label)
				}
				limits = l
				return d
			}})
			if limits == nil || limits.Concurrency != 3 {
				t.Fatalf("limits %+v", limits)
			}
			err := serve(t, c, tc.late)
			if got := fmt.Sprint(d.noted); got != tc.want {
				t.Errorf("%s (%v), want %s", got, err, tc.want)
			}
			if want := tc.refuse != "" || tc.late; (err != nil) != want {
				t.Errorf("%v", err)
			}
			if tc.late && fault.KindOf(err) != fault.Timeout {
				t.Errorf("%v, want a timeout", err)
			}
		})
	}
}

// A version that does not get through its golden rows changes nothing of what its model
// shares with it, such as how many calls there may be at once.
func TestAVersionThatIsNotServedAdmitsNobody(t *testing.T) {
	var admitted, observed []string
	fsys := files("a/1/model.onnx", "a", "a/1/model.yaml", "limits: {concurrency: 8}\n")
	c := newCatalog(t, inference.Config{
		FS: fsys,
		Admit: func(_ string, l *schema.Limits) inference.Admission {
			admitted = append(admitted, fmt.Sprint(l.Concurrency))
			return new(door)
		},
		Observer: func(_, version string) inference.Observe {
			observed = append(observed, version)
			return nil
		},
	})
	fsys["a/2/model.onnx"] = &fstest.MapFile{Data: []byte("b")}
	fsys["a/2/model.yaml"] = &fstest.MapFile{Data: []byte("limits: {concurrency: 1}\n")}
	fsys["a/2/golden.csv"] = &fstest.MapFile{Data: []byte("x,prediction\n1.5,77\n")}
	if err := c.Reload(t.Context()); err == nil {
		t.Error("wrong golden rows were taken")
	}
	fsys["a/2/golden.csv"] = &fstest.MapFile{Data: []byte("x,prediction\n1.5,3\n")}
	if err := c.Reload(t.Context()); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(admitted, observed); got != "[8 1] [1 2]" {
		t.Errorf("admitted and observed are %s", got)
	}
}

// serve predicts with two rows; late, its deadline passes while it waits for a place.
func serve(t *testing.T, c *inference.Catalog, late bool) error {
	t.Helper()
	call, err := c.Open(t.Context(), admin, "a", "")
	if err != nil {
		return err
	}
	defer call.Close()
	ctx := t.Context()
	if err := call.Enter(ctx, 9); err != nil {
		return err
	}
	if err := call.Schema().Decode(t.Context(), call.Batch(), []byte(`[{"x":1.5},{"x":-2}]`), 10); err != nil {
		t.Fatal(err)
	}
	if late {
		passed, cancel := context.WithDeadline(ctx, time.Unix(1, 0))
		defer cancel()
		ctx = passed
	}
	_, err = call.Predict(ctx)
	call.Leave() // and once more by Close
	return err
}
