package audit_test

import (
	"fmt"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

// BenchmarkLook measures what a look for new records costs whoever ships them every
// two seconds, with nothing new: it must not grow with the log.
func BenchmarkLook(b *testing.B) {
	for _, records := range []int{100, 20_000} {
		b.Run(fmt.Sprintf("records=%d", records), func(b *testing.B) {
			l := open(b, config(b, memoryDir(b)))
			for range records {
				if err := l.Record(b.Context(), prediction("ann")); err != nil {
					b.Fatal(err)
				}
			}
			for l.Lag() > 0 {
				time.Sleep(time.Millisecond)
			}
			b.ReportAllocs()
			user, system := testkit.ProcessorTime(b)
			for b.Loop() {
				if _, err := l.Size(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			laterUser, laterSystem := testkit.ProcessorTime(b)
			b.ReportMetric(float64(laterUser+laterSystem-user-system)/float64(b.N), "cpu-ns/op")
		})
	}
}
