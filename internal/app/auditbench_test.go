package app_test

import (
	"bufio"
	"fmt"
	"testing"

	"onnxgate/internal/testkit"
)

// BenchmarkAudit measures what a record costs on the way of a prediction: the
// processor time of the whole process, client and writer of the log among it, for
// one request, with the log and without. Their difference is the price.
func BenchmarkAudit(b *testing.B) {
	for _, mode := range []string{"off", "strict"} {
		b.Run(mode, func(b *testing.B) {
			s := start(b, b.TempDir(), map[string]string{"AUDIT": mode, "LOG_LEVEL": "error"})
			request := fmt.Appendf(nil, "POST /predict HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.Addr(), s.token(b), len(row), row)
			conn := s.dial(b)
			defer conn.Close() //nolint:errcheck // the answers are in
			reader := bufio.NewReader(conn)
			b.ReportAllocs()
			b.ResetTimer()
			user, system := testkit.ProcessorTime(b)
			for range b.N {
				if err := exchange(conn, reader, request); err != nil {
					b.Fatal(err)
				}
			}
			userThen, systemThen := testkit.ProcessorTime(b)
			b.ReportMetric(float64(userThen-user+systemThen-system)/float64(b.N), "cpu-ns/op")
		})
	}
}
