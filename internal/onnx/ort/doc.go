// Package ort runs models by ONNX Runtime, for those that the native engine
// cannot run. It is there in builds with the tag ort and cgo; every other build
// has Built false and an Open that says so.
//
// It owns the library and its settings. A file is decoded and checked by the
// native engine's own rules before the library sees it, since the library ends
// the process on some files that are not well formed. Nothing but the file's
// bytes reaches it: no path, no external data, no library of operators.
package ort

// Config is what an Engine needs.
type Config struct {
	// Library is the path of libonnxruntime, version 1.24 or later.
	Library string
}
