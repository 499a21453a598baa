package grpcapi

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
	"google.golang.org/protobuf/proto"

	"onnxgate/internal/fault"
	"onnxgate/internal/limit"
)

const (
	// firstRead is what a message may take in memory without a claim.
	firstRead = 64 << 10
	// provenFor is how long a message may take until the rights of who sends it are
	// proven again. Most come with the header of their call.
	provenFor = 50 * time.Millisecond
	// workTime bounds a call, from its header or a stream's message on.
	workTime = 30 * time.Second
	// maxSmall bounds the messages that hold no tensors.
	maxSmall = 64 << 10
)

// arrival is the context of a call from its header on. It ends what grpc-go waits
// for when the call takes too long, and it knows the header without a copy.
type arrival struct {
	context.Context //nolint:containedctx // a context wraps its parent

	cancel context.CancelFunc
	header metadata.MD // shared: read only
	now    func() time.Time
	until  atomic.Int64 // in nanoseconds since begin; 0: no bound
	begin  time.Time
	stream statusWriter // nil until the call's handler runs
	ended  atomic.Pointer[fault.Error]
}

// statusWriter is what grpc-go's transport has and its ServerStream has not: the
// status of a call whose handler still waits for a message. Without it the client
// reads grpc-go's own words.
type statusWriter interface {
	WriteStatus(s *status.Status) error
}

type arrivalKey struct{}

// tapped makes the arrival of every call. It runs in the connection's reader, and
// refuses nobody.
func (a *API) tapped(ctx context.Context, info *tap.Info) (context.Context, error) {
	c := &arrival{header: info.Header, now: a.cfg.Now, begin: a.cfg.Now()}
	c.Context, c.cancel = context.WithCancel(ctx)
	c.allow(workTime)
	return c, nil
}

// arrivalOf returns what tapped has made.
func arrivalOf(ctx context.Context) *arrival {
	c, _ := ctx.Value(arrivalKey{}).(*arrival)
	return c
}

// Value finds the arrival itself.
func (c *arrival) Value(key any) any {
	if key == (arrivalKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// Err says that the time is up where nobody waits for Done, too.
func (c *arrival) Err() error {
	err := c.Context.Err()
	until := time.Duration(c.until.Load())
	if err != nil && c.ended.Load() != nil || err == nil && until > 0 && c.now().Sub(c.begin) >= until {
		return context.DeadlineExceeded
	}
	return err
}

// allow gives the call so much time from now on.
func (c *arrival) allow(d time.Duration) { c.until.Store(int64(c.now().Sub(c.begin) + d)) }

// end ends the call from outside its handler, which waits for a message or for the
// client. Of several ends, the first counts.
func (c *arrival) end(f *fault.Error) {
	if c.ended.CompareAndSwap(nil, f) && c.stream != nil {
		_ = c.stream.WriteStatus(statusOf(f)) // too late: the stream has ended
	}
	c.cancel()
}

// endLater ends the call after a time, unless it is stopped.
func (c *arrival) endLater(d time.Duration, text string) *time.Timer {
	return time.AfterFunc(d, func() { c.end(fault.New(fault.Timeout, text)) })
}

// reception is a message on its way. What takes its time must have a claim on
// memory for the longest message, because grpc-go reads all of it before it
// shows any; the others hold memory for a moment.
type reception struct {
	call    *call
	memory  *limit.Bytes // where its claim is made
	holder  limit.Holder // for whom
	began   time.Time
	claimed int64
	over    chan struct{} // closed once it was shed; nil while it is not
}

// receptions are the messages on their way. One timer looks after all of them,
// and only while there are some: one for each would wake a thread for each.
type receptions struct {
	most int64 // bytes of a message
	now  func() time.Time

	mu    sync.Mutex // guards what follows
	all   map[*reception]struct{}
	armed bool
}

// begin notes that a message is waited for.
func (r *receptions) begin(c *call, memory *limit.Bytes) *reception {
	one := &reception{call: c, memory: memory, holder: c.holder(), began: r.now()}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[one] = struct{}{}
	r.arm()
	return one
}

// end notes that it came, or never will, and returns what it has claimed.
func (r *receptions) end(one *reception) int64 {
	r.mu.Lock()
	delete(r.all, one)
	r.mu.Unlock()
	if one.over != nil {
		<-one.over // the call is told its end, and nobody else may touch it
	}
	return one.claimed
}

// arm has sweep called when something is there to look after.
func (r *receptions) arm() {
	if !r.armed && len(r.all) > 0 {
		r.armed = true
		time.AfterFunc(provenFor, r.sweep)
	}
}

// sweep claims memory for the messages that are not there yet, and ends those for
// which there is none, or no time.
func (r *receptions) sweep() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.armed = false
	now := r.now()
	for one := range r.all {
		switch took := now.Sub(one.began); {
		case took < provenFor:
		case one.claimed == 0 && one.memory.Take(one.holder, r.most):
			one.claimed = r.most
		case one.claimed == 0:
			r.shed(one, crowded())
		case took >= workTime:
			r.shed(one, fault.New(fault.Timeout, "The message was longer than 30 seconds on its way"))
		}
	}
	r.arm()
}

// shed has a message's call ended while its handler waits for it. That may have to
// wait for the disk with the record of it.
func (r *receptions) shed(one *reception, f *fault.Error) {
	delete(r.all, one)
	one.over = make(chan struct{})
	go func() {
		defer close(one.over)
		one.call.shed(f)
	}()
}

// shed tells a client who waits for nothing why its message is not waited for.
func (c *call) shed(f *fault.Error) {
	c.settled = c.settle(f)
	c.arrival.end(c.settled)
}

// crowded is the fault of a message for which there is no memory.
func crowded() *fault.Error {
	return &fault.Error{Kind: fault.Unavailable, RetryAfter: time.Second, Msg: "Too many large messages are on their way at once; try again, or send fewer rows in each"}
}

// arrive reads the call's message, and proves the caller's rights again when it was
// long on its way. Its fault goes before the message's. claimed is what the message
// took of the memory meanwhile.
func (c *call) arrive(memory *limit.Bytes) (claimed int64, err error) {
	r := c.api.receptions.begin(c, memory)
	err = c.stream.RecvMsg(&c.message)
	claimed = c.api.receptions.end(r)
	if err != nil {
		return claimed, c.received(err)
	}
	return claimed, c.renew()
}

// receive reads a message of tensors.
func (c *call) receive() (err error) {
	if c.claimed, err = c.arrive(c.api.cfg.Memory); err != nil {
		return err
	}
	return c.claim()
}

// claim settles what the message takes, now that it is known.
func (c *call) claim() error {
	memory := c.api.cfg.Memory
	want := max(0, int64(c.message.len())-firstRead)
	switch {
	case want < c.claimed:
		memory.Give(c.holder(), c.claimed-want)
	case want > c.claimed && !memory.Take(c.holder(), want-c.claimed):
		return crowded()
	}
	c.claimed = want
	return nil
}

// holder is who memory for the message is claimed for: the principal that sends it,
// and its tenant, or else the address. It does not change while something is claimed.
func (c *call) holder() limit.Holder {
	if c.claimant == (limit.Holder{}) {
		c.claimant = limit.Holder{Principal: limit.Key(c.info.ClientAddr)}
		if p := c.principal; p != nil {
			c.claimant = limit.Holder{Principal: p.Name(), Tenant: p.Tenant}
		}
	}
	return c.claimant
}

// release gives back what the message takes.
func (c *call) release() {
	c.message.free()
	if c.claimed > 0 {
		c.api.cfg.Memory.Give(c.claimant, c.claimed)
		c.claimed = 0
	}
}

// decode reads a message without tensors. Whoever sends it, and as slowly as may
// be, takes nothing of the memory that bodies of predictions have.
func (c *call) decode(m proto.Message) error {
	memory := c.api.small
	if c.method.open {
		memory = c.api.strangers
	}
	claimed, err := c.arrive(memory)
	defer func() {
		c.message.free()
		memory.Give(c.claimant, claimed)
	}()
	if err != nil {
		return err
	}
	b := c.message.bytes()
	if len(b) > maxSmall {
		return fault.Newf(fault.TooLarge, "A message of this method must be at most %d bytes", maxSmall)
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, m); err != nil {
		return fault.New(fault.Syntax, "The message is no valid Protocol Buffers message of its type")
	}
	return nil
}

// ended reports whether a stream has come to its end.
func ended(err error) bool { return errors.Is(err, io.EOF) }
