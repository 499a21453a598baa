// Package e2e proves the binary as its users meet it: the real executable over
// real HTTPS, driven by curl, by raw sockets, by schemathesis and by a browser,
// and once from inside its container image.
//
// It knows the program by its interface alone and calls none of its packages.
package e2e

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"testing"

	// Not called: with it, go test knows that a result from its cache is stale
	// when the program has changed.
	_ "onnxgate/internal/cli"
)

// binary is the executable under test, built once by TestMain.
var binary string

// repository is the root of the source tree, as an absolute path.
var repository string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of these tests wait for processes and for time to pass.
	if err := flag.Set("test.parallel", strconv.Itoa(2*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "onnxgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := build(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	return m.Run()
}

// build compiles the binary as it is shipped, static and without local paths,
// or with the race detector when the tests have it.
func build(dir string) error {
	root, err := filepath.Abs(filepath.Join("..", "..", ".."))
	if err != nil {
		return err
	}
	repository, binary = root, filepath.Join(dir, "onnxgate")
	flags, cgo := []string{"-trimpath"}, "CGO_ENABLED=0"
	if raceDetector {
		// Without -trimpath: what the tests themselves were built from is used again.
		flags, cgo = []string{"-race"}, "CGO_ENABLED=1"
	}
	cmd := exec.Command("go", slices.Concat([]string{"build"}, flags, []string{"-o", binary, "./cmd/onnxgate"})...)
	cmd.Dir = repository
	cmd.Env = append(os.Environ(), cgo)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building cmd/onnxgate: %w\n%s", err, stderr.Bytes())
	}
	return nil
}

// source returns the path of a file of the repository. It opens the file, so
// that go test knows that a result from its cache is stale when it has changed.
func source(tb testing.TB, path ...string) string {
	tb.Helper()
	name := filepath.Join(append([]string{repository}, path...)...)
	f, err := os.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	_ = f.Close()
	return name
}
