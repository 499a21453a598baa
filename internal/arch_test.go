package internal_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

const prefix = "onnxgate/internal/"

// layers is the architecture: a package may import only packages of a lower
// layer, or its own subtree. A package that is not here fails the test.
var layers = map[string]int{
	// vocabulary: standard library only, but for the YAML of files
	"strictyaml": 0,
	"apikey":     0, "expression": 0, "fault": 0, "filekind": 0, "identity": 0, "regular": 0, "reqctx": 0, "tensor": 0, "tlsurl": 0,
	// mechanisms: no knowledge of each other
	"argon": 1, "audit": 1, "authz": 1, "certs": 1, "clock": 1, "config": 1, "gunzip": 1, "keys": 1, "limit": 1, "modelstore": 1, "npy": 1, "oci": 1, "oip": 1, "onnx": 1, "revision": 1, "schema": 1, "seal": 1, "telemetry": 1, "treewatch": 1,
	// services: the rules of the product
	"accounts": 2, "admission": 2, "authn": 2, "delivery": 2, "inference": 2, "oauth": 2, "quota": 2, "sealing": 2,
	// adapters: the outside world
	"grpcapi": 3, "httpapi": 3, "oidc": 3, "redis": 3, "sqlstore": 3,
	// wiring
	"app": 4, "cli": 5,
	// for tests alone: above everything, so that nothing else may import it
	"testkit": 6,
}

// wiredOnly are the packages that nobody but app may import: the others take
// values, or an interface of their own.
var wiredOnly = map[string]bool{"config": true, "onnx": true, "certs": true}

// vocabulary are the packages of layer 0 that use the standard library alone.
var vocabulary = map[string]bool{"apikey": true, "expression": true, "fault": true, "filekind": true, "identity": true, "regular": true, "reqctx": true, "tensor": true, "tlsurl": true}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range packages(t, "./...") {
		from, ok := layerOf(p.ImportPath)
		if !ok {
			continue
		}
		seen[from] = true
		if _, known := layers[from]; !known {
			t.Errorf("%s is in no layer", p.ImportPath)
		}
		for _, imp := range p.Imports {
			checkImport(t, p.ImportPath, from, imp)
		}
	}
	for name := range layers {
		if !seen[name] {
			t.Errorf("the layer table names %s, which does not exist", name)
		}
	}
}

func checkImport(t *testing.T, path, from, imp string) {
	t.Helper()
	to, ok := layerOf(imp)
	if !ok {
		if vocabulary[from] && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
			t.Errorf("%s imports %s; it may use the standard library alone", path, imp)
		}
		return
	}
	if to == from {
		return
	}
	if layers[to] >= layers[from] {
		t.Errorf("%s (layer %d) imports %s (layer %d)", path, layers[from], imp, layers[to])
	}
	if wiredOnly[to] && from != "app" && from != "cli" {
		t.Errorf("%s imports %s, which only app and cli may import", path, imp)
	}
}

func packages(t *testing.T, pattern string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", pattern)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// layerOf returns the name of the first directory under internal.
func layerOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	name, _, _ := strings.Cut(rest, "/")
	return name, ok
}
