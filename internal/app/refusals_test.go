package app_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httputil"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/seal"
	"onnxgate/internal/sealing"
	"onnxgate/internal/sqlstore"
)

// forge makes a token of any parts that is signed as it should be.
func forge(tb testing.TB, secret []byte, version byte, made time.Time, blocks []byte) string {
	tb.Helper()
	block, err := aes.NewCipher(secret[16:])
	if err != nil {
		tb.Fatal(err)
	}
	b := binary.BigEndian.AppendUint64([]byte{version}, uint64(made.Unix()))
	b = append(b, make([]byte, aes.BlockSize)...)
	sealed := make([]byte, len(blocks))
	cipher.NewCBCEncrypter(block, make([]byte, aes.BlockSize)).CryptBlocks(sealed, blocks)
	h := hmac.New(sha256.New, secret[:16])
	h.Write(append(b, sealed...))
	return base64.URLEncoding.EncodeToString(h.Sum(append(b, sealed...)))
}

// refusals starts a server in which the administrator's tenant has a key that the
// test knows, and returns a request of each kind that it must refuse, all of one
// length.
func refusals(tb testing.TB, size int) (*server, map[string][]byte) {
	tb.Helper()
	secret, master := make([]byte, seal.KeySize), make([]byte, seal.KeySize)
	_, _ = rand.Read(secret) // never fails
	_, _ = rand.Read(master)
	dir := tb.TempDir()
	file := filepath.Join(tb.TempDir(), "kek")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(master)), 0o600); err != nil {
		tb.Fatal(err)
	}
	storeKey(tb, dir, master, secret)
	s := start(tb, dir, map[string]string{"KEK_FILE": file})
	now := time.Now()
	padded := append(make([]byte, size), bytes.Repeat([]byte{aes.BlockSize}, aes.BlockSize)...)
	wrongPadding := bytes.Clone(padded)
	wrongPadding[len(padded)-2] = 0
	good := forge(tb, secret, 0x80, now, padded)
	tokens := map[string]string{
		"base64, its first byte": "*" + good[1:],
		"base64, its last byte":  good[:len(good)-1] + "*",
		"version":                forge(tb, secret, 0x81, now, padded),
		"HMAC, its first byte":   good[:len(good)-44] + flip(good[len(good)-44:len(good)-43]) + good[len(good)-43:],
		"HMAC of another key":    forge(tb, master, 0x80, now, padded),
		"padding":                forge(tb, secret, 0x80, now, wrongPadding),
		"too old":                forge(tb, secret, 0x80, now.Add(-24*time.Hour), padded),
		"from the future":        forge(tb, secret, 0x80, now.Add(24*time.Hour), padded),
		"no text":                forge(tb, secret, 0x80, now, append([]byte{0xff}, padded[1:]...)),
	}
	access := s.token(tb)
	if status, body := s.call(tb, http.MethodPost, "https://"+s.Addr()+"/decrypt", access, "application/json", decryptBody(good)); status != http.StatusOK {
		tb.Fatalf("the good one: %d %s", status, body)
	}
	requests := map[string][]byte{}
	for name, token := range tokens {
		if len(token) != len(good) {
			tb.Fatalf("%s has %d bytes, not %d", name, len(token), len(good))
		}
		requests[name] = fmt.Appendf(nil, "POST /decrypt HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n"+
			"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", s.Addr(), access, len(decryptBody(token)), decryptBody(token))
	}
	return s, requests
}

func decryptBody(token string) string { return `{"ciphertext":"` + token + `","max_age":3600}` }

// storeKey puts a key of the default tenant into the database of a server that has
// not started.
func storeKey(tb testing.TB, dir string, master, secret []byte) {
	tb.Helper()
	kek, err := seal.NewKEK(master)
	if err != nil {
		tb.Fatal(err)
	}
	store, err := sqlstore.Open(tb.Context(), sqlstore.Config{Path: filepath.Join(dir, "onnxgate.db")})
	if err != nil {
		tb.Fatal(err)
	}
	key := sealing.Key{KID: "k", Tenant: "default", State: sealing.Active, CreatedAt: time.Now()}
	wrapped := kek.Wrap(seal.Binding{Use: sealing.Use, Tenant: key.Tenant, KID: key.KID}, secret)
	err = store.Sealing().Update(tb.Context(), func(keys sealing.Keys) error {
		return keys.Insert(&sealing.Record{Key: key, Wrapped: wrapped})
	})
	if err = errors.Join(err, store.Close()); err != nil {
		tb.Fatal(err)
	}
}

// flip returns another digit of base64url.
func flip(digit string) string { return map[bool]string{true: "B", false: "A"}[digit == "A"] }

// E01: whatever is wrong with a token, the answer differs in its id alone.
func TestEveryTokenThatDoesNotOpenGetsTheSameBytes(t *testing.T) {
	s, requests := refusals(t, 48)
	conn := s.dial(t)
	defer conn.Close() //nolint:errcheck // the answers are in
	reader := bufio.NewReader(conn)
	id := regexp.MustCompile("[0-9a-f]{32}")
	date := regexp.MustCompile("Date: [^\r]*")
	var first string
	for _, name := range slices.Sorted(maps.Keys(requests)) {
		if _, err := conn.Write(requests[name]); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		dump, err := httputil.DumpResponse(resp, true)
		_ = resp.Body.Close()
		got := date.ReplaceAllString(id.ReplaceAllString(string(dump), "ID"), "")
		if first == "" {
			first = got
		}
		if err != nil || got != first || resp.StatusCode != http.StatusBadRequest || !strings.Contains(got, `"detail":"Decryption failed"`) {
			t.Errorf("%s: %v\n%s\nbut the first was\n%s", name, err, got, first)
		}
	}
}

// TestRefusalsCannotBeToldApartByTheirTime compares the times of the refusals, as a
// client on this machine sees them, by Welch's t over TIMING interleaved samples of
// each. It is for a quiet machine: make proof runs it.
func TestRefusalsCannotBeToldApartByTheirTime(t *testing.T) {
	samples, err := strconv.Atoi(cmp.Or(os.Getenv("TIMING"), "0"))
	if err != nil || samples == 0 {
		t.Skip("takes a quiet machine; TIMING=20000 runs it, and make proof does")
	}
	s, requests := refusals(t, 48)
	conn := s.dial(t)
	defer conn.Close() //nolint:errcheck // the answers are in
	reader := bufio.NewReader(conn)
	names := slices.Sorted(maps.Keys(requests))
	took := map[string][]float64{}
	for n := range samples + samples/20 {
		mathrand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		for _, name := range names {
			start := time.Now()
			if err := refusal(conn, reader, requests[name]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if n >= samples/20 { // the first ones warm up
				took[name] = append(took[name], float64(time.Since(start)))
			}
		}
	}
	compare(t, took)
	t.Logf("in all: %d samples of each of %d kinds", samples, len(names))
}

// refusal sends one request, which must be refused as bad, and reads the answer.
func refusal(conn io.Writer, reader *bufio.Reader, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusBadRequest {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return errors.Join(err, resp.Body.Close())
}

// compare holds every pair of kinds against the threshold that leakage tests use.
func compare(t *testing.T, took map[string][]float64) {
	t.Helper()
	const threshold = 4.5
	var report strings.Builder
	for name, all := range took {
		took[name] = cropped(all)
	}
	names := slices.Sorted(maps.Keys(took))
	for i, a := range names {
		for _, b := range names[:i] {
			if v := welch(took[a], took[b]); math.Abs(v) > threshold {
				fmt.Fprintf(&report, "%s (%.0f ns) and %s (%.0f ns): t = %.1f\n", a, mean(took[a]), b, mean(took[b]), v)
			}
		}
	}
	if report.Len() > 0 {
		t.Error(report.String())
	}
}

// cropped leaves out the slowest tenth: the machine's own business.
func cropped(all []float64) []float64 {
	slices.Sort(all)
	return all[:len(all)*9/10]
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}

// welch is Welch's t of two samples.
func welch(a, b []float64) float64 {
	return (mean(a) - mean(b)) / math.Sqrt(variance(a)/float64(len(a))+variance(b)/float64(len(b)))
}

func variance(all []float64) float64 {
	m, sum := mean(all), 0.0
	for _, v := range all {
		sum += (v - m) * (v - m)
	}
	return sum / float64(len(all)-1)
}
