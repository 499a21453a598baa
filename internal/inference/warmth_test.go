package inference_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
	"onnxgate/internal/schema"
	"onnxgate/internal/tensor"
)

// endless is a model that computes until it is stopped.
type endless struct{ doubler }

func (endless) Run(ctx context.Context, _, _ []*tensor.Tensor) error {
	<-ctx.Done()
	return fault.OfContext(ctx.Err())
}

// slowly compiles models that are endless where they say so.
func slowly(data []byte, engine schema.Engine) (inference.Program, []string, error) {
	if string(data) == "endless" {
		return endless{doubler{"endless"}}, nil, nil
	}
	return new(compiled).compile(data, engine)
}

// A start and a push wait for the models of a tenant only so long, however many they
// are and however long they compute; all of them are served.
func TestModelsDelayNoStartAndNoPush(t *testing.T) {
	endless := func(tenant string, n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprintf("%sm%02d/1/model.onnx", tenant, i), "endless")
		}
		return all
	}
	var crowd, everybody []string
	for i := range 20 {
		name := fmt.Sprintf("t%02d", i)
		crowd, everybody = append(crowd, endless("@"+name+"/", 2)...), append(everybody, name)
	}
	good := []string{"@zeta/good/1/model.onnx", "good"}
	for name, tc := range map[string]struct {
		files []string
		most  time.Duration
		cold  int // served with a warning
	}{
		"of one tenant":                    {append(endless("@acme/", 40), good...), time.Second, 40},
		"of many tenants":                  {append(crowd, good...), 10 * time.Second, 41},
		"of the default tenant":            {append(endless("", 3), good...), 10 * time.Second, 3},
		"of the default one and of others": {append(endless("", 3), crowd...), 20 * time.Second, 43},
		"of nobody":                        {good, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := files(tc.files...)
				began := time.Now()
				c := newCatalog(t, inference.Config{FS: fsys, Compile: slowly, TenantExists: tenants(append(everybody, "acme", "zeta")...)})
				if took := time.Since(began); took != tc.most {
					t.Errorf("the start took %v, want %v", took, tc.most)
				}
				if n := len(c.All()); n != len(tc.files)/2 || len(c.Problems()) != 0 {
					t.Errorf("%d models are served, want %d: %v", n, len(tc.files)/2, c.Problems())
				}
				if got := c.Warnings(); len(got) != tc.cold {
					t.Errorf("%d warnings, want %d: %v", len(got), tc.cold, got)
				}
				began = time.Now()
				fsys["@acme/pushed/1/model.onnx"] = files("f", "endless")["f"]
				if _, err := c.Try(t.Context(), fsys, "acme", "pushed", "1"); err != nil || time.Since(began) != time.Second {
					t.Errorf("a push was tried for %v: %v; want one second", time.Since(began), err)
				}
				if err := c.Reload(t.Context(), "@acme/pushed"); err != nil || time.Since(began) != 2*time.Second {
					t.Errorf("a push was done after %v: %v; want two seconds", time.Since(began), err)
				}
			})
		})
	}
}

func TestAModelThatDidNotGetWarmSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCatalog(t, inference.Config{
			FS: files("@acme/a/1/model.onnx", "endless", "@acme/b/1/model.onnx", "b"), Compile: slowly, TenantExists: tenants("acme"),
		})
		all := c.Warnings()
		if len(all) != 2 || !strings.Contains(all[0].Text, "does not predict") || !strings.Contains(all[1].Text, "first prediction may take longer") {
			t.Errorf("Warnings = %v", all)
		}
	})
}
