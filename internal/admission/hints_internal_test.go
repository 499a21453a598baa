package admission

import (
	"testing"
	"time"

	"onnxgate/internal/reqctx"
)

// What is known of one request stays known when others come that share its bucket,
// and where they are too many, what says least is forgotten.
func TestHintsOfOneBucketStayBesideEachOther(t *testing.T) {
	now := time.Unix(1e9, 0)
	h := &hints{now: func() time.Time { return now }}
	const buckets = hintSlots / hintWays
	limits := []reqctx.Limit{{Policy: "key1", Key: "a"}}
	for i := range uint64(hintWays) {
		h.counted(hintKeys{credential: 7 + i*buckets, target: 7 + i*buckets}, limits)
		h.note(7+i*buckets, time.Duration(10-i)*time.Second)
	}
	for i := range uint64(hintWays) {
		known := h.find(7 + i*buckets)
		if !known.has(limits) || !known.until.Equal(now.Add(time.Duration(10-i)*time.Second)) {
			t.Errorf("request %d is known as %+v", i, known)
		}
	}
	const newcomer = 7 + (hintWays+1<<50)*buckets
	h.note(newcomer, time.Minute)
	for i := range uint64(hintWays) {
		if known, want := !h.find(7+i*buckets).until.IsZero(), i < hintWays-1; known != want {
			t.Errorf("request %d is known: %v, want %v", i, known, want)
		}
	}
	if h.find(newcomer).until.IsZero() {
		t.Error("the newcomer is not known")
	}
}
