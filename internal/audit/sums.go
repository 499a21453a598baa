package audit

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
	"onnxgate/internal/reqctx"
)

const (
	// maxSums bounds the sums of one minute, so that strangers can fill neither the
	// memory nor the disk: with more addresses, the others are summed together.
	maxSums = 1024
	// maxNamed is how many refused credentials of one address, or of the 64 bits that
	// one subscriber of IPv6 holds, have a record of their own in one minute, because
	// they name somebody; maxAllNamed is how many of all addresses.
	maxNamed    = 60
	maxAllNamed = 1024
	// maxStrangers is how many refusals wait for their record.
	maxStrangers = 1024
	// sumTime is how long one sum counts.
	sumTime = time.Minute
)

// stranger is a refused request of nobody who is known.
type stranger struct {
	at        time.Time
	address   netip.Addr
	requestID string
	kind      fault.Kind
	denial    DenialError
}

// meet notes a stranger. What it costs does not depend on whether the credential
// names somebody: only later, beside the request, that is told apart. Otherwise
// the time of an answer would say which names and keys there are.
func (t *Trail) meet(ctx context.Context, info *reqctx.Info, kind fault.Kind, d *DenialError) {
	s := stranger{at: reqctx.Now(ctx, t.now), address: info.ClientAddr, requestID: info.RequestID, kind: kind, denial: *d}
	select {
	case t.strangers <- s:
	default:
		t.sums.add(info.ClientAddr, kind, 1)
	}
	reqctx.Mark(ctx, reqctx.Failed)
}

// Run writes what was refused to strangers, until ctx ends. What is left then,
// Close writes.
func (t *Trail) Run(ctx context.Context) {
	if t == nil {
		return
	}
	ticker := time.NewTicker(sumTime)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-t.strangers:
			t.sort(ctx, &s)
		case <-ticker.C:
			_ = t.writeSums(ctx) // what could not be written is kept for the next minute
		}
	}
}

// Close writes everything that was summed. The requests must be over.
func (t *Trail) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	for {
		select {
		case s := <-t.strangers:
			t.sort(ctx, &s)
			continue
		default:
		}
		break
	}
	return t.writeSums(ctx)
}

// sort gives a refused credential that names somebody its own record, and sums
// everything else.
func (t *Trail) sort(ctx context.Context, s *stranger) {
	if s.denial.Actor != "" && t.log.Err() == nil && t.sums.mayName(s.address) {
		rec := &Record{
			Time: s.at, Event: Refused, Decision: deniedBy(s.kind), Outcome: s.kind.String(), Address: s.address, RequestID: s.requestID,
			Actor: s.denial.Actor, Issuer: s.denial.Issuer, Tenant: s.denial.Tenant, Method: s.denial.Method,
		}
		rec.of(&s.denial.About)
		if t.log.Record(context.WithoutCancel(ctx), rec) == nil {
			return
		}
	}
	t.sums.add(s.address, s.kind, 1)
}

// writeSums puts the sums so far on record. Those that cannot be are kept. A log that
// cannot be written is not tried: it would count them as missing.
func (t *Trail) writeSums(ctx context.Context) error {
	if err := t.log.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, s := range t.sums.take() {
		rec := &Record{
			Event: RefusedSum, Decision: Deny, Outcome: s.kind.String(), Address: s.address, Tenant: identity.DefaultTenant, Count: s.count,
		}
		if err := t.log.Record(ctx, rec); err != nil {
			t.sums.add(s.address, s.kind, s.count)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// sumKey is what is summed together. No address stands for those beyond maxSums.
type sumKey struct {
	address netip.Addr
	kind    fault.Kind
}

// sum is how many requests of an address were refused for one reason.
type sum struct {
	sumKey

	count int64
}

// sums are those of the present minute.
type sums struct {
	mu     sync.Mutex // guards what follows
	counts map[sumKey]int64
	named  map[netip.Prefix]int
	all    int // of those named
}

func newSums() sums { return sums{counts: map[sumKey]int64{}, named: map[netip.Prefix]int{}} }

// add counts n refusals of an address.
func (s *sums) add(address netip.Addr, kind fault.Kind, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sumKey{address, kind}
	if _, known := s.counts[key]; !known && len(s.counts) >= maxSums {
		key.address = netip.Addr{}
	}
	s.counts[key] += n
}

// mayName reports whether one more refused credential of an address has a record
// of its own.
func (s *sums) mayName(address netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	bits := 64
	if address = address.Unmap(); address.Is4() {
		bits = 32
	}
	from, _ := address.Prefix(bits) // the zero value for no address
	if s.all >= maxAllNamed || s.named[from] >= maxNamed {
		return false
	}
	s.all++
	s.named[from]++
	return true
}

// take returns the sums in the order of their addresses, and begins new ones.
func (s *sums) take() []sum {
	s.mu.Lock()
	counts := s.counts
	s.counts, s.named, s.all = map[sumKey]int64{}, map[netip.Prefix]int{}, 0
	s.mu.Unlock()
	all := make([]sum, 0, len(counts))
	for _, key := range slices.SortedFunc(maps.Keys(counts), sumKey.compare) {
		all = append(all, sum{key, counts[key]})
	}
	return all
}

func (k sumKey) compare(other sumKey) int {
	if c := k.address.Compare(other.address); c != 0 {
		return c
	}
	return int(k.kind) - int(other.kind)
}
