//go:build race

package e2e

// raceDetector says that the tests, and so the binary, look for data races. A
// report of one is a line of the log that is no JSON.
const raceDetector = true
