package accounts

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"onnxgate/internal/argon"
)

// Params is the cost of one argon2id hash (RFC 9106 section 3.1).
type Params struct {
	// Memory is in KiB.
	Memory uint32
	// Time is the number of passes.
	Time uint32
	// Threads is the degree of parallelism.
	Threads uint8
}

// DefaultParams is what OWASP's Password Storage Cheat Sheet asks of argon2id
// at least: 19 MiB, two passes, one thread.
func DefaultParams() Params { return Params{Memory: 19 << 10, Time: 2, Threads: 1} }

// The bounds of a stored hash. One that costs more is refused unread: whoever
// can write to the store must not be able to stop the server with one row.
const (
	maxMemory  = 256 << 10 // KiB
	maxTime    = 16
	maxThreads = 8
	saltBytes  = 16
	hashBytes  = 32
	minSalt    = 8
	maxSalt    = 64
	minHash    = 16
	maxHash    = 64
	maxPHC     = 256
)

func (p Params) check() error {
	switch {
	case p.Time < 1 || p.Time > maxTime:
		return fmt.Errorf("argon2id: %d passes; from 1 to %d are allowed", p.Time, maxTime)
	case p.Threads < 1 || p.Threads > maxThreads:
		return fmt.Errorf("argon2id: %d threads; from 1 to %d are allowed", p.Threads, maxThreads)
	case p.Memory < 8*uint32(p.Threads) || p.Memory > maxMemory:
		return fmt.Errorf("argon2id: %d KiB; from 8 a thread to %d are allowed", p.Memory, maxMemory)
	}
	return nil
}

// phc is a password hash in the format of the Password Hashing Competition:
// $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>, the last two in base64
// without padding.
type phc struct {
	params     Params
	salt, hash []byte
}

// job asks for the hash of a password.
func (p Params) job(password string, salt []byte, size int) *argon.Job {
	return &argon.Job{
		Password: []byte(password), Salt: salt,
		Time: p.Time, Memory: p.Memory, Threads: p.Threads, Size: uint32(size), //nolint:gosec // at most maxHash
	}
}

func derive(ctx context.Context, a Argon, password string, salt []byte, p Params) (*phc, error) {
	hash, err := a.Hash(ctx, p.job(password, salt, hashBytes))
	return &phc{params: p, salt: salt, hash: hash}, err
}

// matches computes the hash of the password under the same salt and cost.
func (h *phc) matches(ctx context.Context, a Argon, password string) (bool, error) {
	got, err := a.Hash(ctx, h.params.job(password, h.salt, len(h.hash)))
	return err == nil && subtle.ConstantTimeCompare(got, h.hash) == 1, err
}

func (h *phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon.Version,
		h.params.Memory, h.params.Time, h.params.Threads, b64.EncodeToString(h.salt), b64.EncodeToString(h.hash))
}

// parsePHC reads what String writes, and nothing else.
func parsePHC(s string) (*phc, error) {
	parts := strings.Split(s, "$")
	if len(s) > maxPHC || len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return nil, errors.New("not an argon2id hash in PHC format")
	}
	if parts[2] != "v="+strconv.Itoa(argon.Version) {
		return nil, fmt.Errorf("argon2id version %q is not supported", parts[2])
	}
	h := new(phc)
	var err error
	if h.params, err = parseParams(parts[3]); err != nil {
		return nil, err
	}
	if h.salt, err = decodeField(parts[4], minSalt, maxSalt); err != nil {
		return nil, fmt.Errorf("argon2id salt: %w", err)
	}
	if h.hash, err = decodeField(parts[5], minHash, maxHash); err != nil {
		return nil, fmt.Errorf("argon2id hash: %w", err)
	}
	return h, nil
}

func parseParams(s string) (Params, error) {
	fields := strings.Split(s, ",")
	if len(fields) != 3 {
		return Params{}, fmt.Errorf("argon2id parameters %q: m, t and p are needed", s)
	}
	var values [3]uint64
	for i, prefix := range [3]string{"m=", "t=", "p="} {
		digits, ok := strings.CutPrefix(fields[i], prefix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if !ok || err != nil {
			return Params{}, fmt.Errorf("argon2id parameters %q: %s and a number of 32 bits are needed", s, prefix)
		}
		values[i] = n
	}
	if values[2] > maxThreads {
		return Params{}, fmt.Errorf("argon2id: %d threads; at most %d are allowed", values[2], maxThreads)
	}
	p := Params{Memory: uint32(values[0]), Time: uint32(values[1]), Threads: uint8(values[2])} //nolint:gosec // parsed as 32 bits; threads checked
	return p, p.check()
}

func decodeField(s string, least, most int) ([]byte, error) {
	data, err := base64.RawStdEncoding.Strict().DecodeString(s)
	if err != nil {
		return nil, err
	}
	if len(data) < least || len(data) > most {
		return nil, fmt.Errorf("%d bytes; from %d to %d are allowed", len(data), least, most)
	}
	return data, nil
}
