package testkit

import (
	"os"
	"os/exec"
	"testing"
)

// Tool returns the path of a program that a test cannot do without, which Debian has
// in a package. Without it the test is skipped and says so; under CI it fails.
func Tool(tb testing.TB, name, debianPackage string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(tb, name+" is not installed: sudo apt-get install -y "+debianPackage)
	}
	return path
}

// Missing skips the test for the reason, or fails it under CI, where everything has
// to be there.
func Missing(tb testing.TB, reason string) {
	tb.Helper()
	if os.Getenv("CI") == "true" { //nolint:forbidigo // as every test that needs a tool
		tb.Fatal(reason)
	}
	tb.Skip(reason)
}
