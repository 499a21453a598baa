package app

import "testing"

func TestConnectionsLeaveFilesAndMemoryToTheRest(t *testing.T) {
	const many, gib = 1 << 20, 1 << 30
	for name, tc := range map[string]struct {
		memory, files int64
		want          int
	}{
		"plenty":              {64 * gib, many, 32768},
		"memory is not known": {0, many, 32768},
		"few files":           {64 * gib, 1024, 512},
		"a small container":   {256 << 20, many, 1638},
		"next to nothing":     {1, 1, 1},
	} {
		if got := connectionsWithin(tc.memory, tc.files); got != tc.want {
			t.Errorf("%s: %d connections, want %d", name, got, tc.want)
		}
	}
}
