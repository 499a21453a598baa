package audit

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit/ledger"
	"onnxgate/internal/audit/vault"
)

// A stored line is
//
//	{"index":7,"time":"…","event":"user.add","tenant":"acme","key":"K","also":[["K2","…"]],"sealed":"…"}
//
// where "sealed" is what the actor's key K seals: a nonce, the ciphertext of a JSON
// object and its tag, in base64url. "also", where there are others, holds what the
// keys of further persons seal. The associated data of each is the line before it
// and the hash of the record before this one: nothing opens in another place.

var encoding = base64.RawURLEncoding.Strict()

var (
	sealedName = []byte(`,"sealed":"`)
	alsoName   = []byte(`,"also":[`)
)

// sealer makes the stored lines of a batch. It is a ledger.Source.
type sealer struct {
	vault *vault.Vault
	batch *batch

	sealed []byte
	second int64  // that clock is the text of
	clock  []byte // up to the second
	month  string
}

// Begin takes over what other processes did to the keys.
func (s *sealer) Begin() error { return s.vault.Refresh() }

// Ready stores new keys.
func (s *sealer) Ready() error { return s.vault.Store() }

// Append appends the line of a record.
func (s *sealer) Append(dst []byte, i int, index int64, prev tlog.Hash) ([]byte, error) {
	it := &s.batch.items[i]
	start := len(dst)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, index, 10)
	dst = s.appendTime(append(dst, `,"time":"`...), it.at)
	dst = append(dst, `","event":`...)
	dst = appendString(dst, string(it.event))
	tenant := string(s.batch.text[it.start:it.tenant])
	dst = append(dst, `,"tenant":`...)
	dst = appendString(dst, tenant)

	main, err := s.key(it, 0, tenant)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `,"key":"`...)
	dst = append(append(dst, main.ID...), '"')
	for p := 1; p < it.count; p++ {
		if dst, err = s.appendAlso(dst, start, it, p, tenant, &prev); err != nil {
			return dst, err
		}
	}
	dst = s.seal(dst, start, main, s.body(it, 0), &prev, string(sealedName))
	return append(dst, '"', '}'), nil
}

// appendAlso appends a further part.
func (s *sealer) appendAlso(dst []byte, start int, it *item, p int, tenant string, prev *tlog.Hash) ([]byte, error) {
	key, err := s.key(it, p, tenant)
	if err != nil {
		return dst, err
	}
	before := `,["`
	if p == 1 {
		before = string(alsoName) + `["`
	}
	dst = append(dst, before...)
	dst = append(append(dst, key.ID...), '"')
	dst = s.seal(dst, start, key, s.body(it, p), prev, `,"`)
	dst = append(dst, '"', ']')
	if p == it.count-1 {
		dst = append(dst, ']')
	}
	return dst, nil
}

// appendTime appends a time in UTC, to the microsecond. All that is in one second
// has the same beginning.
func (s *sealer) appendTime(dst []byte, at time.Time) []byte {
	if second := at.Unix(); second != s.second || len(s.clock) == 0 {
		s.second = second
		s.clock = at.UTC().AppendFormat(s.clock[:0], "2006-01-02T15:04:05.")
		s.month = string(s.clock[:len("2006-01")])
	}
	dst = append(dst, s.clock...)
	us := at.Nanosecond() / int(time.Microsecond)
	for unit := 100_000; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+us/unit%10))
	}
	return append(dst, 'Z')
}

// key returns the key of the subject of a part, in the month of the last time that
// was appended.
func (s *sealer) key(it *item, p int, tenant string) (*vault.Key, error) {
	start := it.tenant
	if p > 0 {
		start = it.parts[p-1].body
	}
	return s.vault.For(s.month, tenant, string(s.batch.text[start:it.parts[p].subject]))
}

func (s *sealer) body(it *item, p int) []byte {
	return s.batch.text[it.parts[p].subject:it.parts[p].body]
}

// seal appends a name and what the key seals, bound to the line before it and to
// the record before it.
func (s *sealer) seal(dst []byte, start int, key *vault.Key, body []byte, prev *tlog.Hash, name string) []byte {
	n := len(dst)
	dst = append(dst, prev[:]...)
	s.sealed = key.Seal(s.sealed[:0], nil, body, dst[start:]) //nolint:gosec // G407: the AEAD makes a random nonce by itself
	dst = append(dst[:n], name...)
	return encoding.AppendEncode(dst, s.sealed)
}

// stored is a stored line. What of it is readable has not been authenticated.
type stored struct {
	Index  int64       `json:"index"`
	Time   time.Time   `json:"time"`
	Event  Event       `json:"event"`
	Tenant string      `json:"tenant"`
	Key    string      `json:"key"`
	Also   [][2]string `json:"also"`
	Sealed string      `json:"sealed"`
}

var errForm = errors.New("it has not the form of a record")

func parseStored(line []byte) (*stored, error) {
	var s stored
	if err := json.Unmarshal(line, &s); err != nil || s.Key == "" || s.Sealed == "" {
		return nil, errForm
	}
	return &s, nil
}

// openSealed opens the parts of a line, the actor's first. A part whose key was
// destroyed is nil. Its error says that the line was not made for its place.
func openSealed(v *vault.Vault, line []byte, s *stored, prev tlog.Hash) ([][]byte, error) {
	at := bytes.LastIndex(line, sealedName)
	if at < 0 || string(line[at:]) != string(sealedName)+s.Sealed+`"}` {
		return nil, errForm
	}
	month := vault.Month(s.Time)
	main, err := openPart(v, month, s.Key, s.Sealed, line[:at], prev)
	if err != nil {
		return nil, err
	}
	parts := [][]byte{main}
	next := bytes.Index(line, alsoName) + len(alsoName)
	for _, part := range s.Also {
		before := bytes.Index(line[next:], []byte(`["`+part[0]+`"`))
		if before < 0 {
			return nil, errForm
		}
		next += before + len(part[0]) + len(`[""`)
		body, err := openPart(v, month, part[0], part[1], line[:next], prev)
		if err != nil {
			return nil, err
		}
		parts = append(parts, body)
	}
	return parts, nil
}

func openPart(v *vault.Vault, month, id, sealed string, before []byte, prev tlog.Hash) ([]byte, error) {
	key, err := v.Find(month, id)
	if errors.Is(err, vault.ErrDestroyed) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	data, err := encoding.DecodeString(sealed)
	if err != nil {
		return nil, errForm
	}
	body, err := key.Open(nil, nil, data, append(bytes.Clone(before), prev[:]...))
	if err != nil {
		return nil, errors.New("it does not open under the keys of the log")
	}
	return body, nil
}

// authentic returns an error unless a line was made for its place. It is what
// ledger.Config asks for.
func authentic(v *vault.Vault) func(index int64, prev tlog.Hash, line []byte) error {
	return func(index int64, prev tlog.Hash, line []byte) error {
		s, err := parseStored(line)
		if err != nil {
			return err
		}
		if s.Index != index {
			return fmt.Errorf("it says that it is record %d", s.Index)
		}
		parts, err := openSealed(v, line, s, prev)
		if err == nil && parts[0] == nil {
			err = ledger.ErrUnknown
		}
		return err
	}
}
