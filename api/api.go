// Package api holds the HTTP contract of the server, so that the program can
// serve it and a test can hold the program to it.
package api

import _ "embed" // for the contract

// OpenAPI is the contract of the public listener (OpenAPI 3.1, YAML) without any particular model.
//
//go:embed openapi.yaml
var OpenAPI []byte

// Admin is the contract of the administration listener (OpenAPI 3.1, YAML).
//
//go:embed admin.yaml
var Admin []byte
