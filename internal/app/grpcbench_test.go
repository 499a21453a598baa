package app_test

import "testing"

func BenchmarkGRPC(b *testing.B) {
	s := start(b, b.TempDir(), nil)
	client := s.dialGRPC(b)
	ctx := withToken(b.Context(), s.token(b))
	req := flowers(false, 5.1, 3.5, 1.4, .2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.ModelInfer(ctx, req); err != nil {
			b.Fatal(err)
		}
	}
}
