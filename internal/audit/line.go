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
// where "sealed" is what the key K of the tenant seals: a nonce, the ciphertext of a
// JSON array (generalPart) and its tag, in base64url. "also" holds what the keys of
// persons seal, a JSON object each: the actor, who the record is about, further
// credentials. The associated data of each is the line before it and the hash of the
// record before this one: nothing opens in another place, and "sealed", the last,
// vouches for the whole line.
//
// Lines of before have the same form, but K is the actor's key there, and what it
// seals is an object with everything that concerns no further person.

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

// Tag is what finds the record again by its request id.
func (s *sealer) Tag(i int) uint64 { return s.batch.items[i].tag }

// Append appends the line of a record.
func (s *sealer) Append(dst []byte, i int, index int64, prev tlog.Hash) ([]byte, error) {
	it := &s.batch.items[i]
	text := s.batch.text
	start := len(dst)
	dst = append(dst, `{"index":`...)
	dst = strconv.AppendInt(dst, index, 10)
	dst = s.appendTime(append(dst, `,"time":"`...), it.at)
	dst = append(dst, `","event":`...)
	dst = appendText(dst, text[it.start:it.event])
	tenant := text[it.event:it.tenant]
	dst = append(dst, `,"tenant":`...)
	dst = appendText(dst, tenant)
	dst = append(dst, text[it.tenant:it.readable]...)

	main, err := s.vault.For(s.month, tenant, ownerOfAll)
	if err != nil {
		return dst, err
	}
	dst = append(dst, `,"key":"`...)
	dst = append(append(dst, main.ID...), '"')
	for p, from := 0, it.general; p < int(it.count); p++ {
		part := it.parts[p]
		key, err := s.vault.For(s.month, tenant, text[from:part.owner])
		if err != nil {
			return dst, err
		}
		dst = s.appendAlso(dst, start, p, key, text[part.owner:part.body], &prev)
		from = part.body
	}
	if it.count > 0 {
		dst = append(dst, ']')
	}
	dst = s.seal(dst, start, main, text[it.readable:it.general], &prev, string(sealedName))
	return append(dst, '"', '}'), nil
}

// appendAlso appends what a person's key seals.
func (s *sealer) appendAlso(dst []byte, start, p int, key *vault.Key, body []byte, prev *tlog.Hash) []byte {
	if p == 0 {
		dst = append(dst, alsoName...)
	} else {
		dst = append(dst, ',')
	}
	dst = append(dst, '[', '"')
	dst = append(append(dst, key.ID...), '"')
	dst = s.seal(dst, start, key, body, prev, `,"`)
	return append(dst, '"', ']')
}

// appendTime appends a time in UTC, given in microseconds since 1970. All that is
// in one second has the same beginning.
func (s *sealer) appendTime(dst []byte, at int64) []byte {
	const second = int64(time.Second / time.Microsecond)
	us := at % second
	if us < 0 {
		us += second
	}
	if whole := (at - us) / second; whole != s.second || len(s.clock) == 0 {
		s.second = whole
		s.clock = time.Unix(whole, 0).UTC().AppendFormat(s.clock[:0], "2006-01-02T15:04:05.")
		s.month = string(s.clock[:len("2006-01")])
	}
	dst = append(dst, s.clock...)
	for unit := second / 10; unit > 0; unit /= 10 {
		dst = append(dst, byte('0'+us/unit%10))
	}
	return append(dst, 'Z')
}

// seal appends a name and what the key seals, bound to the line before it and to
// the record before it.
func (s *sealer) seal(dst []byte, start int, key *vault.Key, body []byte, prev *tlog.Hash, name string) []byte {
	n := len(dst)
	dst = append(dst, prev[:]...)
	s.sealed = s.vault.Seal(s.sealed[:0], key, body, dst[start:])
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

// openSealed opens the parts of a line, the one that vouches for it first. A part whose key was
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
	body, err := key.Open(nil, data, append(bytes.Clone(before), prev[:]...))
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
