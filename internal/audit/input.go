package audit

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"sync"

	"onnxgate/internal/tensor"
)

// InputHash makes keyed hashes of what models are asked (HMAC-SHA-256, RFC 2104, under
// a key of the tenant's name and of the log, so that another log has others), so that records of the same input can be told, and an input
// that somebody still has can be matched with its record. Without the key nobody tries
// inputs until one fits: most have few values. It is safe for concurrent use.
type InputHash struct {
	key    func(ctx context.Context, tenant string) ([]byte, error)
	strict bool

	mu    sync.RWMutex // guards what follows
	pools map[string]*sync.Pool
}

// inputMAC is the memory of one hash.
type inputMAC struct {
	hash.Hash

	buf []byte
	sum [sha256.Size]byte
}

// InputHash returns the hashes under the keys of the log.
func (l *Log) InputHash() *InputHash {
	return &InputHash{key: l.inputKey, strict: l.cfg.Mode == Strict, pools: map[string]*sync.Pool{}}
}

// inputKey returns the key of a tenant, which stays the same when the key-encryption
// key is another.
func (l *Log) inputKey(ctx context.Context, tenant string) (key []byte, err error) {
	return do(ctx, l, func() (key []byte, err error) {
		err = l.ledger.Locked(func() error {
			if err := l.vault.Refresh(); err != nil {
				return err
			}
			key, err = l.vault.Derive(tenant, "audit input")
			return err
		})
		return key, err
	})
}

// Sum returns the hash of the tensors that a model gets, in hexadecimal: the same for
// the same values, whatever protocol they came by. A strict log's error is of kind
// fault.Unavailable; in best-effort mode there is no hash then.
func (h *InputHash) Sum(ctx context.Context, tenant string, inputs []*tensor.Tensor) (string, error) {
	pool, err := h.pool(ctx, tenant)
	if err != nil && h.strict {
		return "", errUnavailable(err)
	}
	if err != nil {
		return "", nil
	}
	m, ok := pool.Get().(*inputMAC)
	if !ok {
		return "", fmt.Errorf("%T is no hash", m)
	}
	defer pool.Put(m)
	m.Reset()
	for _, t := range inputs {
		m.tensor(t)
	}
	m.flush()
	return hex.EncodeToString(m.Sum(m.sum[:0])), nil
}

// pool returns the memory of hashes of a tenant.
func (h *InputHash) pool(ctx context.Context, tenant string) (*sync.Pool, error) {
	h.mu.RLock()
	known := h.pools[tenant]
	h.mu.RUnlock()
	if known != nil {
		return known, nil
	}
	key, err := h.key(ctx, tenant)
	if err != nil {
		return nil, err
	}
	made := &sync.Pool{New: func() any { return &inputMAC{Hash: hmac.New(sha256.New, key)} }}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pools[tenant] = made
	return made, nil
}

// maxInput is how many bytes are gathered before they are hashed.
const maxInput = 4 << 10

func (m *inputMAC) flush() {
	_, _ = m.Write(m.buf) // never fails
	m.buf = m.buf[:0]
}

func (m *inputMAC) number(n int) {
	m.buf = binary.LittleEndian.AppendUint64(m.buf, uint64(n)) //nolint:gosec // G115: a length or a dimension
}

// tensor adds a tensor: its kind, then its type, rank and dimensions and its elements
// in row-major order, little-endian, strings behind their length; or, of a list, the
// number of its items and each of them.
func (m *inputMAC) tensor(t *tensor.Tensor) {
	m.number(int(t.Kind()))
	if items := t.Items(); items != nil {
		m.number(len(items))
		for _, item := range items {
			m.tensor(item)
		}
		return
	}
	m.number(int(t.DType()))
	m.number(len(t.Shape()))
	for _, d := range t.Shape() {
		m.number(d)
	}
	add, ok := adders[t.DType()]
	if ok {
		add(m, t)
	}
}

// adders add the elements of each type.
//
//nolint:exhaustive // nothing is of an undefined one
var adders = map[tensor.DType]func(m *inputMAC, t *tensor.Tensor){
	tensor.Float32: addFixed[float32], tensor.Float64: addFixed[float64], tensor.Half: addFixed[tensor.Float16], tensor.Bool: addFixed[bool],
	tensor.Int8: addFixed[int8], tensor.Int16: addFixed[int16], tensor.Int32: addFixed[int32], tensor.Int64: addFixed[int64],
	tensor.Uint8: addFixed[uint8], tensor.Uint16: addFixed[uint16], tensor.Uint32: addFixed[uint32], tensor.Uint64: addFixed[uint64],
	tensor.String: addStrings,
}

func addFixed[T tensor.Element](m *inputMAC, t *tensor.Tensor) {
	const step = 256 // elements
	for all := tensor.Of[T](t); len(all) > 0; {
		n := min(step, len(all))
		m.buf, _ = binary.Append(m.buf, binary.LittleEndian, all[:n]) // fails for other types alone
		if all = all[n:]; len(m.buf) > maxInput {
			m.flush()
		}
	}
}

func addStrings(m *inputMAC, t *tensor.Tensor) {
	for _, s := range tensor.Of[string](t) {
		m.number(len(s))
		if m.buf = append(m.buf, s...); len(m.buf) > maxInput {
			m.flush()
		}
	}
}
