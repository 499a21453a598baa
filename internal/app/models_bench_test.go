package app_test

import (
	"fmt"
	"runtime"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/app"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/models"
)

// manyModels loads the iris model so many times, each under a name of its own,
// and returns what one takes of the heap.
func manyModels(tb testing.TB, n int) (catalog *inference.Catalog, names []string, each int64) {
	tb.Helper()
	fsys := fstest.MapFS{}
	for _, file := range []string{"model.yaml", "1/model.onnx"} {
		data, err := models.FS.ReadFile("iris/" + file)
		if err != nil {
			tb.Fatal(err)
		}
		for i := range n {
			fsys[fmt.Sprintf("iris-%d/%s", i, file)] = &fstest.MapFile{Data: data}
		}
	}
	for i := range n {
		names = append(names, fmt.Sprintf("iris-%d", i))
	}
	before := liveHeap()
	catalog, err := inference.New(tb.Context(), inference.Config{FS: fsys, Compile: app.NewEngines("", 1).Compile, Now: time.Now})
	if err != nil {
		tb.Fatal(err)
	}
	return catalog, names, (liveHeap() - before) / int64(n)
}

// liveHeap is what remains of the heap, in bytes, after what pools hold is let go.
func liveHeap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkOpen measures a prediction between protocol and engine: with one
// loaded model, with 1,000 of which one is asked, and with 1,000 that are asked in
// turn. The second costs within a twentieth of the first; the third shows what the
// processor's caches are worth.
func BenchmarkOpen(b *testing.B) {
	principal := &identity.Principal{Subject: "u", Tenant: identity.DefaultTenant, Roles: []string{"user", "admin"}, Method: identity.Bearer}
	for _, c := range []struct {
		name          string
		loaded, asked int
	}{{"models=1", 1, 1}, {"models=1000", 1000, 1}, {"models=1000/all", 1000, 1000}} {
		b.Run(c.name, func(b *testing.B) {
			catalog, names, each := manyModels(b, c.loaded)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if err := predictRow(b, catalog, principal, names[i]); err != nil {
					b.Fatal(err)
				}
				if i++; i == c.asked {
					i = 0
				}
			}
			b.ReportMetric(float64(each), "B/model")
			runtime.KeepAlive(catalog)
		})
	}
}

func predictRow(b *testing.B, catalog *inference.Catalog, p *identity.Principal, name string) error {
	b.Helper()
	call, err := catalog.Open(b.Context(), p, name, "")
	if err != nil {
		return err
	}
	defer call.Close()
	if err := call.Schema().Decode(b.Context(), call.Batch(), []byte(row), 1); err != nil {
		return err
	}
	_, err = call.Predict(b.Context())
	return err
}
