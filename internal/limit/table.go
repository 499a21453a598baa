package limit

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	limiter "github.com/ulule/limiter/v3"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Table counts what callers of one kind do, each under a key and with rates of
// its own. It is safe for concurrent use, and its memory is bounded as a
// Limiter's is.
type Table struct {
	// names are those of the windows in RateLimit headers, behind the windows of
	// another unit that may come before.
	names [2 * identity.MaxWindows]string
	unit  string
	whose string
	// shared counts for several servers, nil for this one alone, under keys that begin
	// with the window's prefix.
	shared   Shared
	prefixes [identity.MaxWindows]string
	windows  [identity.MaxWindows]*store
	// alone counts requests that were counted here because shared was away.
	alone atomic.Int64
}

// TableConfig is what a Table needs.
type TableConfig struct {
	// Policy is the name of its limits in RateLimit headers.
	Policy string
	// Unit is what is counted; empty for requests.
	Unit string
	// Whose is told to who is refused, behind what is counted: "from this address".
	Whose string
	// Order is its place among the tables that one request is counted in at once,
	// of which no two have the same.
	Order int
	// Clients is how many callers are remembered at once; 0 is DefaultClients.
	Clients int
	// Shared is described at Config. Name is that of the table there; empty for Policy.
	// No two tables have the same name and unit.
	Name   string
	Shared Shared
	// Now is the clock, as in Config.
	Now func() time.Time
}

// NewTable returns an empty table.
func NewTable(cfg TableConfig) *Table {
	if cfg.Clients <= 0 {
		cfg.Clients = DefaultClients
	}
	t := &Table{unit: cfg.Unit, whose: cfg.Whose, shared: cfg.Shared}
	for i := range t.windows {
		t.prefixes[i] = cmp.Or(cfg.Name, cfg.Policy) + ":" + cfg.Unit + strconv.Itoa(i+1) + ":"
		t.windows[i] = newStore(cfg.Clients, cfg.Order*identity.MaxWindows+i, cfg.Now)
	}
	for i := range t.names {
		t.names[i] = cfg.Policy
		if i > 0 {
			t.names[i] += "-" + strconv.Itoa(i+1)
		}
	}
	return t
}

// counted is what is counted, in words.
func (t *Table) counted() string {
	return strings.TrimSpace(cmp.Or(t.unit, "requests") + " " + t.whose)
}

// Alone returns how many requests were counted here because the count that servers
// share was away.
func (t *Table) Alone() int64 { return t.alone.Load() }

// Size returns how many callers are remembered, each once for every window.
func (t *Table) Size() (n int) {
	for _, w := range t.windows {
		n += w.size()
	}
	return n
}

// Demand is what a request needs of the limit of one caller.
type Demand struct {
	Table *Table
	// Key is who the caller is in the table.
	Key   string
	Rates identity.Rates
	// N is how much is counted.
	N int64
	// After is how many windows of the same policy and another unit the answer
	// names before these, at most MaxWindows.
	After int
	// Silent demands are told of only when they refuse.
	Silent bool
}

// Take counts a request in all windows of all demands, or in none of them when
// one has not enough left, and notes in the request's Info what is left. Faults:
// RateLimited; RetryAfter is when all of them have enough, and whatever else the
// request was counted in before has room again.
func Take(ctx context.Context, demands ...Demand) error {
	var memory [maxAsks]ask
	all := memory[:0]
	for i := range demands {
		all = demands[i].appendTo(all)
	}
	return decide(ctx, all)
}

// Fits refuses what no window ever admits. Faults: Content.
func (d *Demand) Fits() error {
	for _, rate := range d.Rates {
		if d.N > rate.Requests {
			return fault.Newf(fault.Content, "%d %s are more than is ever admitted, which is %s; send fewer at once", d.N, d.Table.counted(), rate)
		}
	}
	return nil
}

func (d *Demand) appendTo(all []ask) []ask {
	for i, rate := range d.Rates[:min(len(d.Rates), identity.MaxWindows)] {
		if !rate.Off() {
			all = append(all, ask{table: d.Table, window: i, after: d.After, key: d.Key, rate: limiter.Rate{Period: rate.Window, Limit: rate.Requests}, n: d.N, silent: d.Silent})
		}
	}
	return all
}
