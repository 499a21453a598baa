package app_test

import (
	"testing"

	"onnxgate/internal/app"
)

func TestAModelFileHasTheNamesThatAServerGivesIt(t *testing.T) {
	for file, want := range map[string]struct{ name, version string }{
		"models/iris/1/model.onnx":                   {"iris", "1"},
		"/srv/@acme/iris/20260131/model.onnx":        {"iris", "20260131"},
		"models/iris/01/model.onnx":                  {"model", ""},
		"models/iris/0/model.onnx":                   {"model", ""},
		"models/iris/9223372036854775808/model.onnx": {"model", ""},
		"models/iris/1/iris.onnx":                    {"iris", ""},
		"forest.v2.onnx":                             {"forest.v2", ""},
	} {
		if name, version := app.ModelName(file); name != want.name || version != want.version {
			t.Errorf("%s: %q, version %q; want %q, %q", file, name, version, want.name, want.version)
		}
	}
}
