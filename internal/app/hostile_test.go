package app_test

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"onnxgate/internal/app"
	"onnxgate/internal/identity"
	"onnxgate/internal/inference"
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// collecting is a file of few bytes whose every run collects so many MiB in a Loop.
func collecting(mebibytes int64) []byte {
	outputs := func(names ...string) (all []*onnx.ValueInfo) {
		for _, name := range names {
			all = append(all, &onnx.ValueInfo{Name: name})
		}
		return all
	}
	body := &onnx.Graph{
		Nodes:  []*onnx.Node{Node("ConstantOfShape", Names("size"), Names("part"))},
		Inputs: outputs("i", "going"), Outputs: outputs("going", "part"),
	}
	m := Model(
		Node("Loop", Names("passes", ""), Names("all"), Graph("body", body)),
		Node("ReduceMax", Names("all"), Names("top"), Int("keepdims", 0)),
		Node("Add", Names("x", "top"), Names("y")))
	m.Graph.Initializers = []onnx.Initializer{Tensor64("passes", tensor.Shape{}, mebibytes), Tensor64("size", tensor.Shape{1}, 1<<18)}
	return Encode(m)
}

// residentHeap returns the bytes of the heap that the system has given and not got back.
func residentHeap() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapSys - m.HeapReleased)
}

// Models that take all that a run may, dropped into the folder one after the other,
// leave no memory behind, neither while they are served nor when they have gone.
func TestHeavyModelsLeaveNoMemoryBehind(t *testing.T) {
	const mebibyte = 1 << 20
	fsys := fstest.MapFS{}
	c, err := inference.New(t.Context(), inference.Config{FS: fsys, Compile: app.NewEngines("", 1).Compile, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	before, resident := testkit.InUse(), residentHeap()
	for i := range 12 {
		fsys[fmt.Sprintf("heavy%d/1/model.onnx", i)] = &fstest.MapFile{Data: collecting([]int64{20, 50, 100}[i%3])}
		if err := c.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		if grown := residentHeap() - resident; grown > 32*mebibyte {
			t.Errorf("%d MiB more are resident after model %d", grown/mebibyte, i)
		}
	}
	for i := range 8 {
		predictOnce(t, c, fmt.Sprint("heavy", i))
	}
	if grown := int64(testkit.InUse()) - int64(before); grown > 16*mebibyte {
		t.Errorf("%d MiB more are in use after one prediction with each", grown/mebibyte)
	}
	for _, name := range slices.Collect(maps.Keys(fsys)) {
		delete(fsys, name)
	}
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if grown := residentHeap() - resident; grown > 16*mebibyte {
		t.Errorf("%d MiB more are resident when the models have gone", grown/mebibyte)
	}
}

func predictOnce(t *testing.T, c *inference.Catalog, model string) {
	t.Helper()
	p := &identity.Principal{Subject: "root", Tenant: identity.DefaultTenant, Roles: []string{identity.RoleAdmin}, Method: identity.Bearer}
	call, err := c.Open(t.Context(), p, model, "")
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	if err := call.Schema().Decode(t.Context(), call.Batch(), call.Schema().Example(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Predict(t.Context()); err != nil {
		t.Fatal(err)
	}
}
