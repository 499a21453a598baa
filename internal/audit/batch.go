package audit

import (
	"net/netip"
	"strconv"
	"time"

	"onnxgate/internal/reqctx"
)

// maxParts is how many persons one record can name: its actor, its object, and
// those of further credentials.
const maxParts = 2 + MaxBeside

// item is a record that waits to be written. What it says is in the text of its
// batch: the tenant, and for each part the subject whose key seals it and a JSON
// object, one behind the other.
type item struct {
	at     time.Time
	event  Event
	start  int
	tenant int // where it ends
	parts  [maxParts]part
	count  int
	// waits says that somebody waits for the record, and does not act without it.
	waits bool
}

// part says where a subject and what is sealed by its key end.
type part struct{ subject, body int }

// batch is the records that are written together.
type batch struct {
	items []item
	text  []byte
	// result is what those who wait for the records look at; nil when nobody does.
	result *result
}

// result is what became of a batch, once done is closed.
type result struct {
	done chan struct{}
	err  error
}

// maxSpare is how much memory an empty batch keeps for the next records.
const maxSpare = 256 << 10

func (b *batch) reset() {
	if cap(b.text) > maxSpare {
		*b = batch{}
	}
	b.items, b.text, b.result = b.items[:0], b.text[:0], nil
}

// add copies a record. It takes memory only while the batch grows.
func (b *batch) add(info *reqctx.Info, rec *Record, at time.Time) *item {
	b.items = append(b.items, item{at: at, event: rec.Event, start: len(b.text)})
	it := &b.items[len(b.items)-1]
	b.text = append(b.text, bounded(rec.Tenant)...)
	it.tenant = len(b.text)

	apart := rec.objectApart()
	b.begin(it, rec.Actor)
	b.main(info, rec, apart)
	b.end(it)
	if apart {
		b.begin(it, rec.Object)
		b.text = append(b.text, `{"object":`...)
		b.text = appendString(b.text, rec.Object)
		b.text = append(appendChanged(b.text, rec.Changes), '}')
		b.end(it)
	}
	for i := range rec.Beside {
		if rec.Beside[i] != (Credential{}) {
			b.begin(it, rec.Beside[i].Actor)
			b.beside(&rec.Beside[i])
			b.end(it)
		}
	}
	return it
}

// objectApart reports whether the object is a person other than the actor.
func (r *Record) objectApart() bool {
	return r.Object != "" && r.Object != r.Actor && r.Event.family() == "user"
}

func (b *batch) begin(it *item, subject string) {
	b.text = append(b.text, bounded(subject)...)
	it.parts[it.count].subject = len(b.text)
}

func (b *batch) end(it *item) {
	it.parts[it.count].body = len(b.text)
	it.count++
}

// main appends what is sealed by the actor's key.
func (b *batch) main(info *reqctx.Info, rec *Record, objectApart bool) {
	address, id := rec.Address, rec.RequestID
	if id == "" {
		id = info.RequestID
	}
	if !address.IsValid() {
		address = info.ClientAddr
	}
	dst := append(b.text, '{')
	dst = appendField(dst, "actor", rec.Actor)
	dst = appendField(dst, "actor_tenant", rec.ActorTenant)
	dst = appendField(dst, "issuer", rec.Issuer)
	if !objectApart {
		dst = appendField(dst, "object", rec.Object)
		dst = appendChanged(dst, rec.Changes)
	}
	dst = appendField(dst, "method", rec.Method)
	dst = appendAddress(dst, address)
	dst = appendField(dst, "model", rec.Model)
	dst = appendField(dst, "version", rec.Version)
	dst = appendField(dst, "digest", rec.Digest)
	dst = appendField(dst, "decision", string(rec.Decision))
	if number, ok := rec.Rule.Number(); ok {
		dst = appendName(dst, "rule")
		dst = strconv.AppendInt(dst, int64(number), 10)
	}
	dst = appendCount(dst, "rows", int64(rec.Rows))
	dst = appendCount(dst, "count", rec.Count)
	dst = appendLatency(dst, rec.Latency)
	dst = appendField(dst, "request_id", id)
	dst = appendField(dst, "input", rec.Input)
	dst = appendField(dst, "outcome", rec.Outcome)
	b.text = append(dst, '}')
}

func (b *batch) beside(c *Credential) {
	dst := append(b.text, `{"beside":[{`...)
	dst = appendField(dst, "actor", c.Actor)
	dst = appendField(dst, "issuer", c.Issuer)
	dst = appendField(dst, "method", c.Method)
	b.text = append(dst, "}]}"...)
}

// appendName appends the name of a member of a JSON object, after a comma unless
// it is the first.
func appendName(dst []byte, name string) []byte {
	if dst[len(dst)-1] != '{' {
		dst = append(dst, ',')
	}
	dst = append(dst, '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

// appendField appends a member, unless it is empty.
func appendField(dst []byte, name, value string) []byte {
	if value == "" {
		return dst
	}
	return appendString(appendName(dst, name), value)
}

// appendChanged appends what became of an object, unless it is nothing.
func appendChanged(dst []byte, changes Changes) []byte {
	if len(changes) == 0 {
		return dst
	}
	return appendChanges(appendName(dst, "changes"), changes)
}

func appendCount(dst []byte, name string, n int64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

// appendAddress appends an address without the name of an interface, which is no
// part of where a client is.
func appendAddress(dst []byte, address netip.Addr) []byte {
	if !address.IsValid() {
		return dst
	}
	dst = append(appendName(dst, "address"), '"')
	return append(address.WithZone("").AppendTo(dst), '"')
}

// appendLatency appends milliseconds, to the microsecond.
func appendLatency(dst []byte, d time.Duration) []byte {
	us := d.Microseconds()
	if us <= 0 {
		return dst
	}
	dst = strconv.AppendInt(appendName(dst, "latency_ms"), us/1000, 10)
	us %= 1000
	return append(dst, '.', byte('0'+us/100), byte('0'+us/10%10), byte('0'+us%10))
}
