package admission

import (
	"hash/maphash"
	"strings"
	"sync/atomic"
	"time"

	"onnxgate/internal/reqctx"
)

// hintSlots is how many requests hints remember, a power of two.
const hintSlots = 4096

// Asked is what a request asks for, and with which credential, before anything of
// it is proven.
type Asked struct{ Credential, Target string }

// hints remember until when the limits that are behind authentication have no room
// for a request. An address that is over its rate is refused before its credential is
// looked at, and would otherwise be told to wait for less than that. Requests are
// known by a keyed hash, and a hint grants nothing.
type hints struct {
	seed  maphash.Seed
	now   func() time.Time
	slots [hintSlots]atomic.Pointer[hint]
}

type hint struct {
	of    uint64
	until time.Time
}

func (h *hints) hash(asked Asked) uint64 {
	return maphash.String(h.seed, asked.Credential) ^ 31*maphash.String(h.seed, asked.Target)
}

// note remembers that a request has to wait; it does not forget a longer time.
func (h *hints) note(asked Asked, wait time.Duration) {
	of, until := h.hash(asked), h.now().Add(wait)
	slot := &h.slots[of%hintSlots]
	if known := slot.Load(); known == nil || known.of != of || known.until.Before(until) {
		slot.Store(&hint{of: of, until: until})
	}
}

// left returns how long a request has to wait, in whole seconds, rounded up.
func (h *hints) left(asked Asked) time.Duration {
	of := h.hash(asked)
	known := h.slots[of%hintSlots].Load()
	if known == nil || known.of != of {
		return 0
	}
	whole := (known.until.Sub(h.now()) + time.Second - 1).Truncate(time.Second)
	return max(0, whole)
}

// Remember notes, once a request of a caller who was proven is decided, how long the
// same one would have to wait: until the limits that it was counted in have room,
// and, where it was refused, that long. What is not the model's own limit holds for
// whatever the credential asks for.
func (c *Control) Remember(asked Asked, limits []reqctx.Limit, refused time.Duration) {
	for i := range limits {
		if limits[i].Remaining > 0 || ofAddress(limits[i].Policy) {
			continue
		}
		about := asked
		if asked.Credential != "" && !strings.HasPrefix(limits[i].Policy, modelPolicy) {
			about.Target = ""
		}
		c.hints.note(about, limits[i].Reset)
	}
	if refused > 0 {
		c.hints.note(asked, refused)
	}
}

// ofAddress reports whether a policy counts addresses, and needs no hint.
func ofAddress(policy string) bool {
	return strings.HasPrefix(policy, "predict") || strings.HasPrefix(policy, "token")
}

// RetryAfter returns when a request that a limit refused will be admitted: in that
// time, or later where another limit is known to have no room.
func (c *Control) RetryAfter(asked Asked, wait time.Duration) time.Duration {
	wait = max(wait, c.hints.left(asked))
	if asked.Credential == "" { // nothing holds for all who show none
		return wait
	}
	return max(wait, c.hints.left(Asked{Credential: asked.Credential}))
}
