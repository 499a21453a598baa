package testkit

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
)

// CompareTimes fails the test when the times of two kinds of event, taken
// interleaved, can be told apart: by Welch's t of every pair, and the threshold
// that tests for leakage use.
func CompareTimes(tb testing.TB, took map[string][]float64) {
	tb.Helper()
	const threshold = 4.5
	var report strings.Builder
	for name, all := range took {
		took[name] = cropped(all)
	}
	names := slices.Sorted(maps.Keys(took))
	for i, a := range names {
		for _, b := range names[:i] {
			if v := welch(took[a], took[b]); math.Abs(v) > threshold {
				fmt.Fprintf(&report, "%s (%.0f ns) and %s (%.0f ns): t = %.1f\n", a, mean(took[a]), b, mean(took[b]), v)
			}
		}
	}
	if report.Len() > 0 {
		tb.Error(report.String())
	}
}

// cropped leaves out the slowest tenth: the machine's own business.
func cropped(all []float64) []float64 {
	slices.Sort(all)
	return all[:len(all)*9/10]
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

// welch is Welch's t of two samples.
func welch(a, b []float64) float64 {
	return (mean(a) - mean(b)) / math.Sqrt(variance(a)/float64(len(a))+variance(b)/float64(len(b)))
}

func variance(all []float64) float64 {
	m, sum := mean(all), 0.0
	for _, v := range all {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(all)-1)
}
