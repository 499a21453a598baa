package app

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConnectionsLeaveFilesAndMemoryToTheRest(t *testing.T) {
	const many, gib = 1 << 19, 1 << 30
	for name, tc := range map[string]struct {
		room room
		want [3]int // public, gRPC, administration
	}{
		"plenty":                {room{64 * gib, many}, [3]int{32768, 4096, 4096}},
		"memory is not known":   {room{math.MaxInt64, many}, [3]int{32768, 4096, 4096}},
		"a thousand files":      {room{64 * gib, 512}, [3]int{512, 64, 64}},
		"a container of 256MiB": {room{64 << 20, many}, [3]int{1638, 102, 1638}},
		"next to nothing":       {room{1, 1}, [3]int{1, 1, 1}},
	} {
		if diff := cmp.Diff(tc.want, [3]int{tc.room.public(), tc.room.grpc(), tc.room.admin()}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
