// Package models holds the models that the binary carries with it, in the
// layout of a models directory: NAME/model.yaml and NAME/VERSION/model.onnx.
// It owns the files and must not know what is in them.
package models

import "embed"

// FS is the embedded models directory; its top level holds one folder a model.
//
//go:embed iris
var FS embed.FS
