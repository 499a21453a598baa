package testkit

import (
	"os"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
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

// ProcessorTime returns what this process has taken of its processors, for itself and
// in the kernel.
func ProcessorTime(tb testing.TB) (user, system time.Duration) {
	tb.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano()), time.Duration(used.Stime.Nano())
}
