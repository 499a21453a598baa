package quota_test

import (
	"testing"

	"onnxgate/internal/identity"
	"onnxgate/internal/quota"
)

// BenchmarkQuota is what a prediction costs where a quota is counted, of a user and
// of an API key, which has an account beside its tenant's.
func BenchmarkQuota(b *testing.B) {
	for name, text := range map[string]string{"none": "", "hard": "calls=1e12/day,rows=1e12/month", "soft": "soft:calls=1e12/day"} {
		for _, p := range []struct {
			name string
			who  *identity.Principal
		}{{"user", acme}, {"key", job}} {
			b.Run(name+"/"+p.name, func(b *testing.B) {
				m := newMemory("acme")
				s := newService(b, m, quotas(map[string]string{"acme": text, "acme/job": text}), nil)
				use := quota.Use{1, 1, 100, 4000}
				b.ReportAllocs()
				for b.Loop() {
					r, err := s.Reserve(b.Context(), p.who, use)
					if err != nil {
						b.Fatal(err)
					}
					r.Settle(use)
				}
				b.ReportMetric(float64(m.askings())/float64(b.N), "askings/op")
			})
		}
	}
}
