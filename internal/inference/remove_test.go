package inference_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
	"onnxgate/internal/inference"
)

// noted keeps records, or fails.
type noted struct {
	records []audit.Record
	err     error
}

func (n *noted) Record(_ context.Context, r *audit.Record) error {
	n.records = append(n.records, *r)
	return n.err
}

// remover takes versions of the model m out of a folder.
type remover struct {
	c    *inference.Catalog
	fsys fstest.MapFS
	last bool
}

// remove removes a version and looks at the folder, as a server does.
func (r *remover) remove(t *testing.T, id string) error {
	t.Helper()
	err := r.c.Remove(t.Context(), admin, "m", id, func(last bool) error {
		r.last = last
		delete(r.fsys, "m/"+id+"/model.onnx")
		if last {
			delete(r.fsys, "m/model.yaml")
		}
		return nil
	})
	_ = r.c.Reload(t.Context(), "m")
	return err
}

func TestWhatIsInUseIsNotRemoved(t *testing.T) {
	for _, tc := range []struct {
		name, manifest, rollback, id, want string
	}{
		{"the newest", "", "", "3", "answers requests that name none: push a newer one"},
		{"one of a list", "versions: {serve: [1, 3]}\n", "", "1", "model.yaml names version 1"},
		{"one with a label", "versions: {labels: {stable: 2}}\n", "", "2", "model.yaml names version 2"},
		{"one of a rollback", "", "2", "2", "a rollback chose version 2"},
		{"an older one", "", "", "1", ""},
		{"one of none", "", "", "4", "no such version"},
		{"what is no number", "", "", "..", "no such version"},
		{"an older one than is served alone", "versions: {serve: latest}\n", "", "2", ""},
		{"the newest after a rollback", "", "1", "3", ""},
		{"one that a list leaves out", "versions: {serve: [3]}\n", "", "1", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2", "m/3/model.onnx", "m3", "m/model.yaml", forUsers+tc.manifest)
			kept, pins := &noted{}, &kept{pins: map[string]inference.Pin{}}
			r := remover{newCatalog(t, inference.Config{FS: fsys, Pins: pins, Audit: kept}), fsys, false}
			if tc.rollback != "" {
				if _, err := r.c.Rollback(t.Context(), admin, "m", tc.rollback); err != nil {
					t.Fatal(err)
				}
				kept.records = nil
			}
			before := serving(t, r.c, user)
			err := r.remove(t, tc.id)
			_, there := fsys["m/"+tc.id+"/model.onnx"]
			if tc.want != "" {
				if err == nil || !strings.Contains(err.Error(), tc.want) || len(kept.records) > 0 || tc.id < "4" && tc.id > "0" && !there {
					t.Errorf("Remove: %v, %d records, there: %v; want %q", err, len(kept.records), there, tc.want)
				}
				return
			}
			if err != nil || there || serving(t, r.c, user) != before {
				t.Errorf("Remove: %v; there: %v; serves %s, before %s", err, there, serving(t, r.c, user), before)
			}
			at := slices.IndexFunc(kept.records, func(r audit.Record) bool { return r.Event == audit.ModelRemove })
			if at < 0 || kept.records[at].Object != "m/"+tc.id || len(kept.records[at].Digest) != 64 || kept.records[at].Actor != "admin" {
				t.Errorf("records: %+v", kept.records)
			}
		})
	}
}

func TestAVersionThatIsNotOnRecordIsNotRemoved(t *testing.T) {
	fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2")
	down := fault.New(fault.Unavailable, "no log")
	r := remover{newCatalog(t, inference.Config{FS: fsys, Audit: &noted{err: down}}), fsys, false}
	if err := r.remove(t, "1"); fault.KindOf(err) != fault.Unavailable || fsys["m/1/model.onnx"] == nil {
		t.Errorf("Remove: %v; there: %v", err, fsys["m/1/model.onnx"] != nil)
	}
}

func TestOthersRemoveNothing(t *testing.T) {
	fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2")
	c := newCatalog(t, inference.Config{FS: fsys, TenantExists: tenants("acme")})
	other := *admin
	other.Tenant = "acme"
	err := c.Remove(t.Context(), &other, "m", "1", func(bool) error { t.Error("removed"); return nil })
	if fault.KindOf(err) != fault.NotFound {
		t.Errorf("%v", err)
	}
}

// The largest number there is does not end "newest": rolled back from and removed, the
// next push is newer.
func TestARollbackEndsAfterItsNewestWasRemoved(t *testing.T) {
	const largest = "9223372036854775807"
	fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2", "m/"+largest+"/model.onnx", "m3", "m/model.yaml", forUsers)
	pins := &kept{pins: map[string]inference.Pin{}}
	r := remover{newCatalog(t, inference.Config{FS: fsys, Pins: pins}), fsys, false}
	if _, err := r.c.Rollback(t.Context(), admin, "m", "1"); err != nil {
		t.Fatal(err)
	}
	if err := r.remove(t, largest); err != nil || pins.pins["m"].Newest != "2" || serving(t, r.c, user) != "1" {
		t.Errorf("Remove: %v; pin %+v; serves %s", err, pins.pins["m"], serving(t, r.c, user))
	}
	if err := r.remove(t, "2"); err != nil || len(pins.pins) != 0 {
		t.Errorf("Remove: %v; pins %v of one version", err, pins.pins)
	}
	fsys["m/2/model.onnx"] = &fstest.MapFile{Data: []byte("m2")}
	if err := r.c.Reload(t.Context()); err != nil || serving(t, r.c, user) != "2" {
		t.Errorf("a newer version: %v; serves %s", err, serving(t, r.c, user))
	}
}

func TestAnUnloadedModelLosesVersionsAndStaysUnloaded(t *testing.T) {
	fsys := files("m/1/model.onnx", "m1", "m/2/model.onnx", "m2", "m/model.yaml", forUsers)
	r := remover{newCatalog(t, inference.Config{FS: fsys}), fsys, false}
	if err := r.c.Unload(t.Context(), admin, "m"); err != nil {
		t.Fatal(err)
	}
	if err := r.remove(t, "2"); err != nil || r.last || serving(t, r.c, user) != "not found" {
		t.Errorf("Remove: %v; last: %v; serves %s", err, r.last, serving(t, r.c, user))
	}
	if err := r.remove(t, "1"); err != nil || !r.last || len(r.c.Index(t.Context(), admin)) != 0 {
		t.Errorf("Remove of the last: %v; last: %v; %v", err, r.last, r.c.Index(t.Context(), admin))
	}
}
