package testkit

import (
	"testing"
	"time"
)

// patience is how long Eventually waits. What it waits for takes moments, but for a
// machine that is busy with something else.
const patience = time.Minute

// The pauses between two looks of Eventually: doubled from the first to the last.
const (
	firstPause = time.Millisecond
	lastPause  = 50 * time.Millisecond
)

// Eventually waits until something holds that others are about to bring about, and
// fails the test at once where it never does. What says what that is. Only the
// test's own goroutine may call it.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	end := time.Now().Add(patience) //nolint:forbidigo // a real process is waited for
	for pause := firstPause; !holds(); pause = min(2*pause, lastPause) {
		if time.Now().After(end) { //nolint:forbidigo // as above
			tb.Fatal("never: " + what)
		}
		time.Sleep(pause) //nolint:forbidigo // as above
	}
}
