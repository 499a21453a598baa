package accounts

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/argon"
	"onnxgate/internal/fault"
	"onnxgate/internal/testkit"
)

// The parameters of the argon2id reference implementation's own test:
// password "password", salt "somesalt", version 0x13.
const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"

func TestTheReferenceHashMatches(t *testing.T) {
	h, err := parsePHC(reference)
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"password": true, "Password": false, "": false} {
		if got, err := h.matches(t.Context(), argon.Here{}, password); got != want || err != nil {
			t.Errorf("the reference hash matches %q: %t, %v", password, got, err)
		}
	}
	if got := h.String(); got != reference {
		t.Errorf("String = %s, want %s", got, reference)
	}
}

func TestHashesThatWeDoNotMakeAreRefusedUnexecuted(t *testing.T) {
	const tail = "$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for _, s := range []string{
		"", "x", "$", strings.Repeat("$", 5), "password",
		"$2b$12$WApznUPhDubN0oeveSXHp.Rk0rMTGZHrhQTrK8ntvuuzMQ5lkGZ6m",
		"$argon2i$v=19$m=65536,t=2,p=1" + tail, "$argon2d$v=19$m=65536,t=2,p=1" + tail,
		"$argon2id$v=16$m=65536,t=2,p=1" + tail, "$argon2id$m=65536,t=2,p=1" + tail,
		"$argon2id$v=19$m=4194304,t=2,p=1" + tail, "$argon2id$v=19$m=4294967295,t=2,p=1" + tail,
		"$argon2id$v=19$m=4294967296,t=2,p=1" + tail, "$argon2id$v=19$m=19456,t=2147483648,p=1" + tail,
		"$argon2id$v=19$m=19456,t=17,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=9" + tail,
		"$argon2id$v=19$m=19456,t=2,p=257" + tail, "$argon2id$v=19$m=19456,t=0,p=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=0" + tail, "$argon2id$v=19$m=7,t=2,p=1" + tail,
		"$argon2id$v=19$m=-1,t=2,p=1" + tail, "$argon2id$v=19$m=19456,t=2" + tail,
		"$argon2id$v=19$t=2,m=19456,p=1" + tail, "$argon2id$v=19$m=19456,t=2,p=1,x=1" + tail,
		"$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$AAAA", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ=$" + strings.Repeat("A", 43),
		"$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$" + strings.Repeat("A", 200), reference + "$", reference + " ", " " + reference,
	} {
		if h, err := parsePHC(s); err == nil {
			t.Errorf("%q is read as %v", s, h)
		}
	}
}

func TestNewHashesHaveTheDefaultCostAndTheirOwnSalt(t *testing.T) {
	h, err := newHasher(nil, Params{}, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	one, err1 := h.hash(t.Context(), "a password")
	two, err2 := h.hash(t.Context(), "a password")
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("hashes %s and %s", one, two)
	}
}

func TestAbsurdCostIsNotConfigured(t *testing.T) {
	for _, p := range []Params{
		{Memory: 1, Time: 1, Threads: 1},
		{Memory: 19456, Threads: 1},
		{Memory: 19456, Time: 1},
		{Memory: 1 << 30, Time: 1, Threads: 1},
		{Memory: 19456, Time: 100, Threads: 1},
		{Memory: 19456, Time: 1, Threads: 100},
	} {
		if _, err := newHasher(nil, p, 0, rand.Reader); err == nil {
			t.Errorf("%+v: no error", p)
		}
	}
}

func TestASaltIsNeverMadeWithoutRandomness(t *testing.T) {
	h, err := newHasher(nil, Params{Memory: 64, Time: 1, Threads: 1}, 0, strings.NewReader("short"))
	if err != nil {
		t.Fatal(err)
	}
	if hash, err := h.hash(t.Context(), "a password"); err == nil {
		t.Errorf("hash = %s", hash)
	}
}

// fill takes every slot and has as many wait as may, and returns the function
// that lets them go.
func fill(t *testing.T, q *queue) (drain func()) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	release, err := q.acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, maxWaiting)
	for range maxWaiting {
		go func() {
			release, err := q.acquire(ctx)
			if err == nil {
				release()
			}
			served <- err
		}()
	}
	testkit.Eventually(t, "all of them wait", func() bool { return q.waiting.Load() == maxWaiting })
	return func() {
		t.Helper()
		release()
		for range maxWaiting {
			if err := <-served; err != nil {
				t.Errorf("one who waited: %v", err)
			}
		}
	}
}

func TestTooManyAtOnceAreSentAway(t *testing.T) {
	h, err := newHasher(nil, Params{Memory: 64, Time: 1, Threads: 1}, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	drain := fill(t, h.all)
	lookUp := func() (string, error) { return stored, nil }
	for range 100 {
		_, err := h.verify(t.Context(), func() (string, error) {
			t.Error("one who is sent away costs a look-up")
			return stored, nil
		}, stored, "a password")
		if f := fault.As(err); f == nil || f.Kind != fault.Unavailable || f.RetryAfter != time.Second {
			t.Fatalf("verify = %v, want unavailable for a second", err)
		}
	}
	drain()
	if m, err := h.verify(t.Context(), lookUp, stored, "a password"); err != nil || !m.ok {
		t.Errorf("afterwards: %+v, %v", m, err)
	}
}

func TestNewPasswordsLeaveTheirPlacesToSignIns(t *testing.T) {
	h, err := newHasher(nil, Params{Memory: 64, Time: 1, Threads: 1}, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.hash(t.Context(), "a password")
	if err != nil {
		t.Fatal(err)
	}
	drain := fill(t, h.making)
	if _, err := h.hash(t.Context(), "another"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("one new password more = %v, want unavailable", err)
	}
	if m, err := h.verify(t.Context(), func() (string, error) { return stored, nil }, stored, "a password"); err != nil || !m.ok {
		t.Errorf("a sign-in beside them: %+v, %v", m, err)
	}
	drain()
}

// broken computes nothing.
type broken struct{ err error }

func (b broken) Hash(context.Context, *argon.Job) ([]byte, error) { return nil, b.err }

func TestAHashThatCannotBeComputedIsNoWrongPassword(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		want fault.Kind
	}{
		"failed":   {errors.New("no memory"), fault.Unavailable},
		"too late": {context.DeadlineExceeded, fault.Timeout},
		"gone":     {context.Canceled, fault.Canceled},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := newHasher(broken{test.err}, Params{}, 0, rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			m, err := h.verify(t.Context(), func() (string, error) { return reference, nil }, reference, "password")
			if m.ok || fault.KindOf(err) != test.want {
				t.Errorf("verify = %+v, %v", m, err)
			}
			if hash, err := h.hash(t.Context(), "password"); hash != "" || fault.KindOf(err) != test.want {
				t.Errorf("hash = %q, %v", hash, err)
			}
		})
	}
}

func TestWhoeverGoesAwayLeavesTheQueue(t *testing.T) {
	h, err := newHasher(nil, Params{Memory: 64, Time: 1, Threads: 1}, 0, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	release, err := h.all.acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	canceled, cancel := context.WithCancel(t.Context())
	late, cancelLate := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancelLate()
	gone := make(chan error, 1)
	go func() {
		_, err := h.all.acquire(canceled)
		gone <- err
	}()
	testkit.Eventually(t, "it waits", func() bool { return h.all.waiting.Load() > 0 })
	cancel()
	if err := <-gone; fault.KindOf(err) != fault.Canceled {
		t.Errorf("canceled: %v", err)
	}
	if _, err := h.all.acquire(late); fault.KindOf(err) != fault.Timeout {
		t.Errorf("too late: %v", err)
	}
	if n := h.all.waiting.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
	release()
}

func BenchmarkHash(b *testing.B) {
	h, err := newHasher(nil, Params{}, 0, rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.hash(b.Context(), "a password"); err != nil {
			b.Fatal(err)
		}
	}
}
