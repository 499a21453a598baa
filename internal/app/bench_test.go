package app_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// BenchmarkServe measures a prediction from the socket to the socket, with its
// client in the same process: over HTTP/1.1, HTTP/2 and gRPC, one row and many, with an
// access token and with an API key.
func BenchmarkServe(b *testing.B) {
	s := start(b, b.TempDir(), nil)
	b.Run("key", func(b *testing.B) { benchmarkServe(b, s, s.key(b)) })
	benchmarkServe(b, s, s.token(b))
}

// benchmarkServe sends the credential as a bearer token.
func benchmarkServe(b *testing.B, s *server, token string) {
	b.Helper()
	for _, rows := range []int{1, 100} {
		body := row
		if rows > 1 {
			body = "[" + strings.Repeat(row+",", rows-1) + row + "]"
		}
		b.Run(fmt.Sprintf("http1/rows=%d", rows), func(b *testing.B) {
			request := fmt.Appendf(nil, "POST /predict HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
				"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.Addr(), token, len(body), body)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				conn := s.dial(b)
				defer conn.Close() //nolint:errcheck // the answers are in
				reader := bufio.NewReader(conn)
				for pb.Next() {
					if err := exchange(conn, reader, request); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
		b.Run(fmt.Sprintf("grpc/rows=%d", rows), func(b *testing.B) {
			client, ctx := s.dialGRPC(b), withToken(b.Context(), token)
			req := flowers(false, slices.Repeat([]float32{5.1, 3.5, 1.4, .2}, rows)...)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.ModelInfer(ctx, req); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("http2/rows=%d", rows), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if status, answer := s.call(b, http.MethodPost, "https://"+s.Addr()+"/predict", token, "application/json", body); status != http.StatusOK {
					b.Fatalf("status %d: %s", status, answer)
				}
			}
		})
	}
}

// exchange sends one request and reads its answer, which must be a success.
func exchange(conn io.Writer, reader *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return err
}
