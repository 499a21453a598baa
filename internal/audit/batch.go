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
// batch, one behind the other: the event, the tenant, what anybody may read beside,
// what is the tenant's, and for each part whose key seals it and a JSON object. It
// has no pointers: nobody looks for garbage in it.
type item struct {
	at                               int64 // in microseconds since 1970
	tag                              uint64
	start                            int32
	event, tenant, readable, general int32 // where they end
	parts                            [maxParts]part
	count                            int32
	// waits says that somebody waits for the record, and does not act without it.
	waits bool
}

// part says where the owner of a key and what is sealed by it end.
type part struct{ owner, body int32 }

// batch is the records that are written together.
type batch struct {
	items []item
	text  []byte
	// result is what those who wait for the records look at; nil when nobody does.
	result *result
	idle   int
}

// result is what became of a batch, once done is closed.
type result struct {
	done chan struct{}
	err  error
}

const (
	// maxSpare is how much memory an empty batch keeps whatever comes, in bytes.
	maxSpare = 64 << 10
	// maxIdle is how many batches in a row may need less than a quarter of what a larger
	// one took. A busy server keeps what it needs: memory that is made anew for every
	// batch costs more than the records do.
	maxIdle = 16
)

// reset empties the batch.
func (b *batch) reset() {
	if b.idle++; len(b.text) > cap(b.text)/4 || cap(b.text) <= maxSpare {
		b.idle = 0
	}
	if b.idle == maxIdle {
		*b = batch{items: make([]item, 0, 2*len(b.items)), text: make([]byte, 0, 2*len(b.text))}
	}
	b.items, b.text, b.result = b.items[:0], b.text[:0], nil
}

// add copies a record. It takes memory only while the batch grows.
func (b *batch) add(info *reqctx.Info, rec *Record, at time.Time) *item {
	b.items = append(b.items, item{at: at.UnixMicro(), start: b.end()})
	it := &b.items[len(b.items)-1]
	b.text = append(b.text, rec.Event...)
	it.event = b.end()
	b.text = append(b.text, bounded(rec.Tenant)...)
	it.tenant = b.end()
	if rec.Pruned.Records > 0 {
		b.text = rec.Pruned.append(b.text)
	}
	it.readable = b.end()

	id, personal := rec.RequestID, rec.personal()
	if id == "" {
		id = info.RequestID
	}
	it.tag = tagOf(id)
	b.general(rec, id, personal)
	it.general = b.end()

	b.actor(it, info, rec, personal == ofActor)
	if personal == ofAnother {
		b.begin(it, "", rec.Object)
		b.text = append(appendObject(append(b.text, '{'), rec), '}')
		b.finish(it)
	}
	for i := range rec.Beside {
		if c := &rec.Beside[i]; *c != (Credential{}) {
			b.begin(it, c.Issuer, c.Actor)
			b.beside(c)
			b.finish(it)
		}
	}
	return it
}

// end is where the text ends.
func (b *batch) end() int32 { return int32(len(b.text)) } //nolint:gosec // G115: bounded by maxWaiting

// personal says whose an object and what became of it are.
type personal int

const (
	ofNobody  personal = iota
	ofActor            // what the actor alone has: a token, a key, the own account
	ofAnother          // a person other than the actor
)

// personal says whose the object of a record is.
func (r *Record) personal() personal {
	switch r.Event.family() {
	case "user":
		if r.Object != r.Actor {
			return ofAnother
		}
		return ofActor
	case "login", "predict", "apikey", "client":
		return ofActor
	}
	return ofNobody
}

// begin names whose key seals the next part.
func (b *batch) begin(it *item, issuer, subject string) {
	b.text = appendOwner(b.text, issuer, subject)
	it.parts[it.count].owner = b.end()
}

func (b *batch) finish(it *item) {
	it.parts[it.count].body = b.end()
	it.count++
}

// general appends what is sealed by the tenant's key, in the order of generalPart.
func (b *batch) general(rec *Record, id string, whose personal) {
	dst := append(b.text, '[')
	dst = append(appendString(dst, rec.Method), ',')
	dst = append(appendString(dst, rec.Model), ',')
	dst = append(appendString(dst, rec.Version), ',')
	dst = append(appendString(dst, rec.Digest), ',')
	dst = append(appendString(dst, string(rec.Decision)), ',')
	if number, ok := rec.Rule.Number(); ok {
		dst = strconv.AppendInt(dst, int64(number), 10)
	} else {
		dst = append(dst, "null"...)
	}
	dst = strconv.AppendInt(append(dst, ','), int64(rec.Rows), 10)
	dst = strconv.AppendInt(append(dst, ','), rec.Count, 10)
	dst = strconv.AppendInt(append(dst, ','), max(rec.Latency.Microseconds(), 0), 10)
	dst = appendString(append(dst, ','), id)
	dst = appendString(append(dst, ','), rec.Outcome)
	if whose == ofNobody && rec.Object != "" {
		dst = appendString(append(dst, ','), rec.Object)
		if len(rec.Changes) > 0 {
			dst = appendChanges(append(dst, ','), rec.Changes)
		}
	}
	b.text = append(dst, ']')
}

// actor appends what is sealed by the actor's key, where there is something.
func (b *batch) actor(it *item, info *reqctx.Info, rec *Record, withObject bool) {
	start := len(b.text)
	b.begin(it, rec.Issuer, rec.Actor)
	address := rec.Address
	if !address.IsValid() {
		address = info.ClientAddr
	}
	dst := append(b.text, '{')
	dst = appendField(dst, "actor", rec.Actor)
	dst = appendField(dst, "actor_tenant", rec.ActorTenant)
	dst = appendField(dst, "issuer", rec.Issuer)
	dst = appendAddress(dst, address)
	dst = appendField(dst, "token", rec.Token)
	dst = appendField(dst, "input", rec.Input)
	if withObject {
		dst = appendObject(dst, rec)
	}
	if dst[len(dst)-1] == '{' {
		b.text = dst[:start]
		return
	}
	b.text = append(dst, '}')
	b.finish(it)
}

// appendObject appends what was changed, and what became of it.
func appendObject(dst []byte, rec *Record) []byte {
	return appendChanged(appendField(dst, "object", rec.Object), rec.Changes)
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
