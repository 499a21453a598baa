// Package forged makes access tokens that must be refused. Each begins as one that is
// accepted, and is then made false in one way or in several, so that nothing but its
// falsehood can be why it is refused.
package forged

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Object is a JSON object: a header, or claims.
type Object map[string]any

// absent as a value leaves a member out.
type absent struct{}

// Issuer is one whose tokens are accepted.
type Issuer struct {
	Name string // the iss of its tokens
	Key  *Key
}

// Genuine says what a token looks like that is accepted.
type Genuine struct {
	Key            *Key
	Header, Claims Object
	// Own says that the server itself issues the tokens, of which it demands more than
	// of those from outside.
	Own bool
	// Now is when they are accepted, and Slack more than clocks may differ by.
	Now   time.Time
	Slack time.Duration
	// Rivals are the other issuers whose tokens the same server accepts.
	Rivals []Issuer
	// Weak are keys that the issuer publishes, and that nobody may accept.
	Weak []*Key
	// Others are whole tokens that are no access tokens, or none any more.
	Others []string
	// At is a URL at which nobody must call.
	At string
}

// Token is one that must be refused.
type Token struct {
	Text string
	// Ways names all in which it is false.
	Ways []string
	// Known says that its signature is good, or that it was given out: who has such a one
	// may be told more.
	Known bool
}

// Forger makes them.
type Forger struct {
	Genuine

	stranger *Key
	ways     []way
	rand     *rand.Rand
	made     map[string]bool
}

// way is one in which a token can be false.
type way struct {
	name  string
	forge func(*draft)
}

// MaxBytes is what a token has at most, so that it fits into a header.
const MaxBytes = 15 << 10

// New returns a forger, whose choices follow from the seed.
func New(tb testing.TB, seed uint64, g Genuine) *Forger {
	tb.Helper()
	stranger, err := NewKey(g.Key.ID, strangers(g.Key))
	if err != nil {
		tb.Fatal(err)
	}
	f := &Forger{Genuine: g, stranger: stranger, made: map[string]bool{}, rand: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // the same tokens again
	f.ways = slices.Concat(f.inTheHeader(), f.inTheClaims(), f.inTheSignature(), f.inTheText())
	return f
}

// Accepted returns a token that is not forged.
func (f *Forger) Accepted() string { return f.draft().text() }

// Make returns that many forged tokens, each another one: the first are false in one way
// each, until all had their turn, and the others in some.
func (f *Forger) Make(n int) []Token {
	tokens := make([]Token, n)
	for i := range tokens {
		draw := f.some
		if i < len(f.ways) {
			draw = func() []way { return f.ways[i : i+1] }
		}
		tokens[i] = f.forge(draw)
	}
	return tokens
}

func (f *Forger) some() []way {
	ways := make([]way, 1+f.rand.IntN(3))
	for i := range ways {
		ways[i] = f.ways[f.rand.IntN(len(f.ways))]
	}
	return ways
}

// forge draws ways until they make another token that is forged.
func (f *Forger) forge(draw func() []way) Token {
	for {
		d := f.draft()
		var names []string
		for _, w := range draw() {
			w.forge(d)
			names = append(names, w.name)
			if d.replaced {
				names = []string{w.name}
				break
			}
		}
		token := Token{Text: d.text(), Ways: names}
		token.Known = d.good && d.by == f.Key || slices.Contains(f.Others, token.Text)
		if !d.same && len(token.Text) <= MaxBytes && !f.isOf(d) && !f.made[token.Text] {
			f.made[token.Text] = true
			return token
		}
	}
}

// isOf reports whether a draft became the good token of a rival.
func (f *Forger) isOf(d *draft) bool {
	return slices.ContainsFunc(f.Rivals, func(r Issuer) bool { return d.by == r.Key && d.claims["iss"] == r.Name })
}

// draft is a token before it is written. The changes apply in the order of the
// fields; those that are nil change nothing.
type draft struct {
	header, claims     Object
	inHeader, inClaims func(json []byte) []byte
	spelled            func(input string) string
	by                 *Key
	inSignature        func(signature []byte) []byte
	written            func(token string) string
	good, same         bool // its signature is good; a change has changed nothing
	replaced           bool // nothing of it is left
}

func (f *Forger) draft() *draft {
	return &draft{header: maps.Clone(f.Header), claims: maps.Clone(f.Claims), by: f.Key}
}

// text writes the token.
func (d *draft) text() string {
	input := b64(edited(d, encode(d.header), d.inHeader)) + "." + b64(edited(d, encode(d.claims), d.inClaims))
	if d.spelled != nil {
		before := input
		input = d.spelled(input)
		d.same = d.same || input == before
	}
	signature := d.by.Sign(input)
	good := signature
	if d.inSignature != nil {
		signature = d.inSignature(slices.Clone(signature))
		d.same = d.same || bytes.Equal(signature, good)
	}
	token := input + "." + b64(signature)
	d.good = d.inSignature == nil && d.written == nil
	if d.written != nil {
		before := token
		token = d.written(token)
		d.same = d.same || token == before
	}
	return token
}

func edited(d *draft, before []byte, change func([]byte) []byte) []byte {
	if change == nil {
		return before
	}
	after := change(bytes.Clone(before))
	d.same = d.same || bytes.Equal(before, after)
	return after
}

func encode(o Object) []byte {
	o = maps.Clone(o)
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == absent{} })
	data, err := json.Marshal(o)
	if err != nil {
		panic(err) // of what this package wrote itself
	}
	return data
}

func b64(data []byte) string { return base64.RawURLEncoding.EncodeToString(data) }
