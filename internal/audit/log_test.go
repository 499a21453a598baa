package audit_test

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/reqctx"
	"onnxgate/internal/testkit"
)

// kek is a key-encryption key for tests.
type kek struct{ cipher.AEAD }

func newKEK(tb testing.TB, seed byte) kek {
	tb.Helper()
	key, err := testKEK(seed)
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

func testKEK(seed byte) (kek, error) {
	key := make([]byte, 32)
	key[0] = seed
	block, err := aes.NewCipher(key)
	if err != nil {
		return kek{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return kek{aead}, err
}

func (k kek) Wrap(use, tenant, id string, key []byte) []byte {
	return k.Seal(nil, nil, key, fmt.Appendf(nil, "%q %q %q", use, tenant, id))
}

func (k kek) Unwrap(use, tenant, id string, wrapped []byte) ([]byte, error) {
	return k.Open(nil, nil, wrapped, fmt.Appendf(nil, "%q %q %q", use, tenant, id))
}

func (k kek) Wrapped(use, tenant, id string, wrapped []byte) bool {
	_, err := k.Unwrap(use, tenant, id, wrapped)
	return err == nil
}

func (k kek) Again() (audit.Wrapper, error) { return k, nil }

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func config(tb testing.TB, dir string) audit.Config {
	tb.Helper()
	return audit.Config{Dir: dir, Mode: audit.Strict, KEK: newKEK(tb, 1), Now: func() time.Time { return noon }, SegmentBits: 4, Within: time.Millisecond}
}

func open(tb testing.TB, cfg audit.Config) *audit.Log {
	tb.Helper()
	l, err := audit.Open(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// prediction is a record as the prediction path makes it.
func prediction(actor string) *audit.Record {
	return &audit.Record{
		Event: audit.Predict, Actor: actor, Tenant: "acme", Method: "bearer", Model: "iris", Version: "1",
		Digest:   "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
		Decision: audit.Allow, Rule: audit.RuleOf(1), Rows: 3, Latency: 12345 * time.Microsecond, Outcome: audit.OK,
	}
}

func TestWhatIsRecordedIsOnTheDiskAndSealed(t *testing.T) {
	dir := t.TempDir()
	l := open(t, config(t, dir))
	ctx := reqctx.With(t.Context(), &reqctx.Info{RequestID: "req-1", ClientAddr: netip.MustParseAddr("192.0.2.7")})
	if err := l.Record(ctx, &audit.Record{Event: audit.UserAdd, Actor: "root", Tenant: "acme", Object: "bob", Outcome: audit.OK}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, "000000000000.jsonl"))
	if err != nil || !strings.HasPrefix(string(data), `{"index":0,"time":"2026-03-14T12:00:00.000000Z","event":"user.add","tenant":"acme","key":"`) {
		t.Errorf("%s, %v", data, err)
	}
	for _, secret := range []string{"root", "bob", "req-1", "192.0.2.7"} {
		if strings.Contains(string(data), secret) {
			t.Errorf("the file shows %q: %s", secret, data)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

func TestALogIsOpenedAgainAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	for range 5 {
		l := open(t, config(t, dir))
		for range 7 {
			if err := l.Record(t.Context(), prediction("ann")); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(filepath.Join(dir, "000000000032.jsonl"))
	if err != nil || !strings.HasPrefix(string(data), `{"index":32,`) || strings.Count(string(data), "\n") != 3 {
		t.Errorf("%s, %v", data, err)
	}
}

// BenchmarkRecord is what a prediction costs for its record, of all processors:
// the copy, the encryption, the hashes, the signatures and what the kernel does to
// write it. They come as a busy server makes them: a thousand for each write.
func BenchmarkRecord(b *testing.B) {
	cfg := config(b, b.TempDir())
	cfg.SegmentBits, cfg.Now = 0, time.Now
	l := open(b, cfg)
	ctx := reqctx.With(b.Context(), &reqctx.Info{RequestID: "0123456789abcdef0123456789abcdef", ClientAddr: netip.MustParseAddr("192.0.2.7")})
	rec := prediction("ann")
	b.ReportAllocs()
	user, system := testkit.ProcessorTime(b)
	n := 0
	for b.Loop() {
		if err := l.Record(ctx, rec); err != nil {
			b.Fatal(err)
		}
		if n++; n%1000 == 0 {
			for l.Lag() > 0 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	userThen, systemThen := testkit.ProcessorTime(b)
	b.ReportMetric(float64(userThen-user)/float64(n), "user-ns/op")
	b.ReportMetric(float64(systemThen-system)/float64(n), "system-ns/op")
}

func TestARecordIsCopiedWithoutAllocating(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.SegmentBits, cfg.Within = 0, time.Hour // the writer stays away
	l := open(t, cfg)
	ctx := reqctx.With(t.Context(), &reqctx.Info{RequestID: "0123456789abcdef0123456789abcdef", ClientAddr: netip.MustParseAddr("192.0.2.7")})
	rec := prediction("ann")
	for range 10_000 { // as much memory as is needed
		if err := l.Record(ctx, rec); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() { _ = l.Record(ctx, rec) }); n >= 1 {
		t.Errorf("%v allocations", n)
	}
}
