package ops

import (
	"context"
	"unicode/utf8"

	"onnxgate/internal/tensor"
)

// tokenizer is Tokenizer's attributes.
type tokenizer struct {
	mark  bool
	pad   string
	least int // characters of a token

	// One of the three says what a token is: a character, a match of token, or
	// what stands between matches of the separators, one after the other.
	characters bool
	token      finder
	separators []finder

	spans, counts int // scratch
}

// maxSeparators bounds the separators, which cut a text one within the other.
const maxSeparators = 1 << 10

// parseTokenizer reads Tokenizer (com.microsoft 1): the tokens of each string
// of [C] or [N, C] along a new last axis, filled up with pad_value.
func parseTokenizer(n *Node) Kernel {
	for _, name := range []string{"mark", "pad_value", "mincharnum"} {
		n.Need(name)
	}
	t := tokenizer{mark: n.Int("mark", 0) != 0, pad: n.String("pad_value", "")}
	least := n.Int("mincharnum", 1)
	if least < 1 {
		n.Failf("attribute \"mincharnum\" is %d; it must be positive", least)
	}
	t.least = int(min(max(least, 1), maxText+1)) // longer tokens there are none
	t.parseForm(n)
	if t.characters && t.least > 1 {
		n.Failf("attribute \"mincharnum\" is %d, but every token is one character", least)
	}
	n.Elem(0, tensor.String)
	if n.err != nil {
		return nil
	}
	if in := &n.In[0].Type; in.Ranked && len(in.Dims) != 1 && len(in.Dims) != 2 {
		n.Failf("its input is a %v; it takes [C] or [N, C]", in)
		return nil
	}
	n.SetOut(0, withTokens(n))
	t.spans, t.counts = n.NeedScratch(), n.NeedScratch()
	return t.run
}

// parseForm reads what a token is. Separators come before an expression of
// tokens when both are given.
func (t *tokenizer) parseForm(n *Node) {
	separators, token := n.Strings("separators"), n.String("tokenexp", "")
	switch {
	case len(separators) == 1 && separators[0] == "", !n.Given("separators") && token == ".":
		t.characters = true
	case len(separators) > maxSeparators:
		n.Failf("it has %d separators; at most %d are allowed", len(separators), maxSeparators)
	case len(separators) > 0:
		for _, s := range separators {
			t.separators = append(t.separators, n.finder(s))
		}
	case token == "" || n.Given("separators"):
		n.Failf("it needs separators, or a regular expression of tokens (tokenexp)")
	default:
		t.token = n.finder(token)
	}
}

func (t *tokenizer) run(ctx context.Context, f *Frame) error {
	shape := f.In(0).Shape()
	if len(shape) != 1 && len(shape) != 2 {
		return shapeFault("Tokenizer takes [C] or [N, C]", shape)
	}
	x := Input[string](f, 0)
	counts, err := Scratch[int64](f, t.counts, len(x))
	if err != nil {
		return err
	}
	to := spans{f: f, scratch: t.spans}
	most := 0
	for i, text := range x {
		before := to.n
		err := to.work.text(ctx, text)
		if err == nil {
			err = t.split(ctx, text, &to)
		}
		if err != nil {
			return err
		}
		counts[i] = int64(to.n - before)
		most = max(most, to.n-before)
	}
	width := most
	if t.mark && most > 0 {
		width += 2
	}
	f.dims = append(append(f.dims[:0], shape...), width)
	dst, err := Output[string](f, 0, f.dims...)
	if err != nil || width == 0 {
		return err
	}
	return t.write(ctx, dst, x, counts, to.at[:2*to.n])
}

// The characters that mark where a text begins and ends.
const (
	startOfText = "\x02"
	endOfText   = "\x03"
)

// write fills the output with parts of the texts, which cost no memory.
func (t *tokenizer) write(ctx context.Context, dst, x []string, counts, at []int64) error {
	width := len(dst) / len(x)
	for i, text := range x {
		if err := poll(ctx, i); err != nil {
			return err
		}
		row := dst[i*width : i*width : (i+1)*width]
		if t.mark {
			row = append(row, startOfText)
		}
		for range counts[i] {
			row = append(row, text[at[0]:at[1]])
			at = at[2:]
		}
		if t.mark {
			row = append(row, endOfText)
		}
		for len(row) < width {
			row = append(row, t.pad)
		}
	}
	return nil
}

// spans collects where tokens begin and end, in scratch memory that grows.
type spans struct {
	f       *Frame
	scratch int
	at      []int64
	n       int
	work    poller // of the search for them
}

func (s *spans) add(begin, end int) error {
	if 2*s.n == len(s.at) {
		had := s.at
		grown, err := Scratch[int64](s.f, s.scratch, max(64, 2*len(had)))
		if err != nil {
			return err
		}
		copy(grown, had)
		s.at = grown
	}
	s.at[2*s.n], s.at[2*s.n+1] = int64(begin), int64(end)
	s.n++
	return nil
}

// find finds a match, and counts the characters that were looked at.
func (s *spans) find(ctx context.Context, by finder, text string, from int) (match, error) {
	m, err := by(ctx, text, from)
	end := m.end
	if !m.found {
		end = len(text)
	}
	if err == nil {
		err = s.work.spend(ctx, 1+end-from)
	}
	return m, err
}

// split adds the tokens of one text.
func (t *tokenizer) split(ctx context.Context, text string, to *spans) error {
	switch {
	case t.characters:
		for i := 0; i < len(text); {
			_, size := utf8.DecodeRuneInString(text[i:])
			if err := to.add(i, i+size); err != nil {
				return err
			}
			i += size
		}
		return nil
	case t.token != nil:
		return t.matches(ctx, text, to)
	}
	return t.cut(ctx, t.separators, text, 0, to)
}

// matches adds the matches of the expression of tokens. After one that is too
// short, the search goes on one character after its begin.
func (t *tokenizer) matches(ctx context.Context, text string, to *spans) error {
	if !t.longEnough(text) {
		return nil
	}
	for from := 0; from <= len(text); {
		m, err := to.find(ctx, t.token, text, from)
		if err != nil || !m.found {
			return err
		}
		if t.longEnough(text[m.begin:m.end]) {
			if err := to.add(m.begin, m.end); err != nil {
				return err
			}
			from = m.end
			continue
		}
		_, size := utf8.DecodeRuneInString(text[m.begin:])
		from = m.begin + max(size, 1)
	}
	return nil
}

// cut adds what stands between the separators: text begins at offset of the
// whole, and what stands between matches of the first separator is cut by the
// others. A match of no character separates nothing.
func (t *tokenizer) cut(ctx context.Context, by []finder, text string, offset int, to *spans) error {
	if len(by) == 0 {
		return to.add(offset, offset+len(text))
	}
	begin := 0
	for from := 0; from <= len(text); {
		m, err := to.find(ctx, by[0], text, from)
		if err != nil {
			return err
		}
		if !m.found {
			break
		}
		if m.end == m.begin {
			_, size := utf8.DecodeRuneInString(text[m.begin:])
			from = m.begin + max(size, 1)
			continue
		}
		if err := t.piece(ctx, by[1:], text[begin:m.begin], offset+begin, to); err != nil {
			return err
		}
		begin, from = m.end, m.end
	}
	return t.piece(ctx, by[1:], text[begin:], offset+begin, to)
}

func (t *tokenizer) piece(ctx context.Context, by []finder, text string, offset int, to *spans) error {
	if !t.longEnough(text) {
		return nil
	}
	return t.cut(ctx, by, text, offset, to)
}

// longEnough reports whether a token has the characters that it needs.
func (t *tokenizer) longEnough(token string) bool {
	if t.least == 1 {
		return token != ""
	}
	return len(token) >= t.least && utf8.RuneCountInString(token) >= t.least
}
