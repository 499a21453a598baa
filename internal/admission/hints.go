package admission

import (
	"context"
	"hash/maphash"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"onnxgate/internal/limit"
	"onnxgate/internal/reqctx"
)

// hintSlots is how many requests hints remember, a power of two, and hintWays in how
// many slots each of them may be: the keys of one request must not push out each other.
const (
	hintSlots = 4096
	hintWays  = 8
)

// Asked is what a request asks for, and with which credential, before anything of
// it is proven.
type Asked struct {
	// Credential is what its header shows, and Certificate that of the client's
	// connection.
	Credential  string
	Certificate []byte
	// Target is where it is sent.
	Target string
	// Model is the name of the model, where the header says which.
	Model string
}

// hints remember in which limits behind authentication proven requests were counted,
// and for how long they were refused. An address that is over its rate is refused
// before its credential is looked at, and would otherwise be told to wait for less than
// those limits need. Requests are known by a keyed hash, and a hint grants nothing.
type hints struct {
	seed  maphash.Seed
	now   func() time.Time
	slots [hintSlots / hintWays][hintWays]atomic.Pointer[hint]
}

// hint is never changed.
type hint struct {
	of     uint64
	limits []reqctx.Limit
	until  time.Time // when the request is no longer refused
}

// hintKeys are what hints know a request by: its credential, and with that its
// target and its model.
type hintKeys struct{ credential, target, model uint64 }

// none is the key of a model that is not known.
const none = 0

func (h *hints) keys(asked *Asked, model string) hintKeys {
	of := maphash.String(h.seed, asked.Credential)
	if len(asked.Certificate) > 0 {
		of ^= 37 * maphash.Bytes(h.seed, asked.Certificate)
	}
	keys := hintKeys{credential: of, target: of ^ 31*maphash.String(h.seed, asked.Target)}
	if model != "" {
		keys.model = of ^ 41*maphash.String(h.seed, model)
	}
	return keys
}

// find returns what is known under a key, never nil.
func (h *hints) find(of uint64) *hint {
	ways := &h.slots[of%uint64(len(h.slots))]
	for i := range ways {
		if known := ways[i].Load(); known != nil && known.of == of {
			return known
		}
	}
	return &hint{of: of}
}

// store remembers a hint in place of the one that is known under its key, and where
// there is none and no slot is free, of the one that says least: whose request was
// refused for the shortest.
func (h *hints) store(next *hint) {
	ways := &h.slots[next.of%uint64(len(h.slots))]
	var least *atomic.Pointer[hint]
	var until time.Time
	for i := range ways {
		slot := &ways[(i+int(next.of>>61))%hintWays]
		known := slot.Load()
		if known != nil && known.of == next.of {
			least = slot
			break
		}
		ends := time.Time{}.Add(-1) // before any hint
		if known != nil {
			ends = known.until
		}
		if least == nil || ends.Before(until) {
			least, until = slot, ends
		}
	}
	least.Store(next)
}

// note remembers that a request has to wait; it does not forget a longer time.
func (h *hints) note(of uint64, wait time.Duration) {
	known, until := h.find(of), h.now().Add(wait)
	if known.until.Before(until) {
		h.store(&hint{of: of, limits: known.limits, until: until})
	}
}

// counted remembers the limits that a request was counted in. What asks for less than
// the one before is counted in fewer, and makes none of them forgotten.
func (h *hints) counted(keys hintKeys, limits []reqctx.Limit) {
	if h.find(keys.credential).has(limits) && h.find(keys.target).has(limits) {
		return
	}
	limits = slices.DeleteFunc(slices.Clone(limits), func(l reqctx.Limit) bool { return !remembered(&l) })
	for _, of := range []uint64{keys.credential, keys.target, keys.model} {
		if known := h.find(of); of != none && !known.has(limits) {
			h.store(&hint{of: of, limits: limits, until: known.until})
		}
	}
}

// has reports whether the hint knows the limits as they are.
func (k *hint) has(limits []reqctx.Limit) bool {
	for i := range limits {
		l := &limits[i]
		if remembered(l) && !slices.ContainsFunc(k.limits, func(r reqctx.Limit) bool {
			return r.Policy == l.Policy && r.Unit == l.Unit && r.Key == l.Key && r.Quota == l.Quota && r.Window == l.Window
		}) {
			return false
		}
	}
	return true
}

// remembered reports whether a limit holds behind authentication.
func remembered(l *reqctx.Limit) bool {
	return !strings.HasPrefix(l.Policy, "predict") && !strings.HasPrefix(l.Policy, "token")
}

// Lasting reports whether there is anything in the limits for Remember.
func Lasting(limits []reqctx.Limit) bool {
	return slices.ContainsFunc(limits, func(l reqctx.Limit) bool { return remembered(&l) })
}

func ofModel(l *reqctx.Limit) bool { return strings.HasPrefix(l.Policy, modelPolicy) }

// limits returns those that a request will be counted in, as far as is known. Where
// it is not, its model is taken for the one that the credential asked for last.
func (h *hints) limits(keys hintKeys) []reqctx.Limit {
	if exact := h.find(keys.target); len(exact.limits) > 0 {
		return exact.limits
	}
	own := h.find(keys.credential).limits
	if keys.model == none {
		return own
	}
	all := slices.DeleteFunc(slices.Clone(own), func(l reqctx.Limit) bool { return ofModel(&l) })
	for _, l := range h.find(keys.model).limits {
		if ofModel(&l) {
			all = append(all, l)
		}
	}
	return all
}

// Remember notes, once a request of a caller who was proven is decided, the limits
// that it was counted in, and, where it was refused, for how long.
func (c *Control) Remember(asked *Asked, limits []reqctx.Limit, refused time.Duration) {
	model, some := "", Lasting(limits)
	for i := range limits {
		if ofModel(&limits[i]) {
			model = path.Base(limits[i].Key)
		}
	}
	if !some && refused <= 0 {
		return
	}
	keys := c.hints.keys(asked, model)
	if some {
		c.hints.counted(keys, limits)
	}
	if refused > 0 {
		c.hints.note(keys.target, refused)
	}
}

// RetryAfter returns when a request that a limit refused will be admitted: in that
// time, or later where another limit is known to have no room.
func (c *Control) RetryAfter(ctx context.Context, asked *Asked, wait time.Duration) time.Duration {
	keys := c.hints.keys(asked, asked.Model)
	if asked.Credential == "" && len(asked.Certificate) == 0 {
		keys.credential = keys.target // nothing holds for all who show none
	}
	if left := c.hints.find(keys.target).until.Sub(c.hints.now()); left > 0 {
		wait = max(wait, (left + time.Second - 1).Truncate(time.Second))
	}
	return limit.Wait(ctx, wait, c.hints.limits(keys), c.lasting()...)
}
