package testkit

import (
	"os"
	"runtime"
	"strconv"
	"testing"
)

// Number returns the whole number of an environment variable, by which long tests
// are asked for more; without one the fallback.
func Number(tb testing.TB, name string, fallback int) int {
	tb.Helper()
	text := os.Getenv(name) //nolint:forbidigo // of tests, which have no configuration
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	return n
}

// InUse returns the bytes of the heap that are still in use.
func InUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
