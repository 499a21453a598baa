package inference

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// largeLoad is after how many allocated bytes a load gives memory back: what reading,
// folding and first runs of models leave behind, which a server that waits for
// requests would hold on to for minutes.
const largeLoad = 32 << 20

// heap gives back to the system what a load leaves behind.
type heap struct {
	mark  uint64 // what the process had allocated when memory was last given back
	large bool   // it was, once
}

func newHeap() heap { return heap{mark: allocated()} }

// allocated returns how many bytes the process has allocated since it began.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return sample[0].Value.Uint64()
}

// tidy gives memory back between two versions of a load, so that what each leaves
// behind is not there beside what the next takes.
func (h *heap) tidy() {
	if allocated()-h.mark > largeLoad {
		debug.FreeOSMemory()
		h.mark, h.large = allocated(), true
	}
}

// end gives memory back after a load, where it was large or versions have left.
func (h *heap) end(left bool) {
	if h.tidy(); h.large || left {
		runtime.GC() // pools let go of what they hold in the second round
		debug.FreeOSMemory()
	}
}
