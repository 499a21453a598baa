package ops

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"onnxgate/internal/expression"
	"onnxgate/internal/onnx"
)

// Regular expressions come from the file and have RE2's syntax, which is that
// of Go's regexp but for \C. A search takes time in proportion to the text and
// to the expression's instructions; both are bounded.
const (
	maxPattern      = 1 << 16 // bytes of one expression
	maxInstructions = 1 << 16 // of all expressions of a model, with what reading them costs
	// directCost is up to which product of text and instructions a search is
	// not worth interrupting.
	directCost = 1 << 20
)

// Patterns is what the regular expressions of one model share: how large they
// are together. The zero value is ready to use, by one goroutine at a time.
type Patterns struct{ budget expression.Budget }

// take parses an expression, unless it would compile to too much.
func (p *Patterns) take(expr string) (*syntax.Regexp, int, error) {
	if len(expr) > maxPattern {
		return nil, 0, fmt.Errorf("the regular expression has %d bytes; at most %d are allowed", len(expr), maxPattern)
	}
	p.budget.Each, p.budget.Total = maxInstructions, maxInstructions
	re, instructions, err := p.budget.Parse(expr)
	switch {
	case errors.Is(err, expression.ErrEach), errors.Is(err, expression.ErrTotal):
		return nil, 0, errors.New("its regular expressions are too large; use shorter ones and smaller counts")
	case err != nil:
		return nil, 0, fmt.Errorf("%s is no regular expression of RE2's syntax: %s", onnx.Quote(expr), unparsed(err))
	}
	return re, instructions, nil
}

// unparsed says what is wrong with an expression, with the beginning of the part
// that is: the whole of it can be as long as the expression.
func unparsed(err error) string {
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		return fmt.Sprintf("%s: %s", e.Code, onnx.Quote(e.Expr))
	}
	return err.Error()
}

// extent is how much of a text an expression has to match.
type extent uint8

const (
	wholeText extent = iota
	anyPart
)

// pattern is a compiled regular expression.
type pattern struct {
	re           *regexp.Regexp
	instructions int
	// behind finds where a match begins that stands after one character more,
	// and there the same expression as re. They are set only for an expression
	// that looks at the character before it, such as \b.
	behind, there *regexp.Regexp
}

// expression parses a regular expression of the model.
func (n *Node) expression(expr string) (parsed *syntax.Regexp, instructions int) {
	if n.Patterns == nil {
		n.Patterns = &Patterns{}
	}
	parsed, instructions, err := n.Patterns.take(expr)
	if err != nil {
		n.Failf("%v", err)
		return nil, 0
	}
	return withoutGroups(parsed), instructions
}

// compile makes a pattern of an expression. Matches of a part of a text are the
// leftmost and of those the longest.
func compile(parsed *syntax.Regexp, instructions int, e extent) (p *pattern, err error) {
	p = &pattern{instructions: instructions}
	text := parsed.String() // unlike the expression, it can stand in a group, whatever that quotes
	if e == wholeText {
		p.re, err = regexp.Compile(`\A(?:` + text + `)\z`)
	} else {
		p.re, err = regexp.Compile(text)
	}
	if err != nil || e == wholeText {
		return p, err
	}
	p.re.Longest()
	if looksBehind(parsed) {
		err = p.compileBehind(text)
	}
	return p, err
}

func (p *pattern) compileBehind(text string) (err error) {
	if p.behind, err = regexp.Compile(`\A(?s:.)(?s:.*?)(` + text + `)`); err != nil {
		return err
	}
	if p.there, err = regexp.Compile(`\A(?s:.)(?:` + text + `)`); err != nil {
		return err
	}
	p.there.Longest()
	return nil
}

// withoutGroups returns re with groups that capture nothing: nobody asks.
func withoutGroups(re *syntax.Regexp) *syntax.Regexp {
	for i, sub := range re.Sub {
		re.Sub[i] = withoutGroups(sub)
	}
	if re.Op == syntax.OpCapture {
		return re.Sub[0]
	}
	return re
}

// looksBehind reports whether an expression depends on the character before
// its match.
func looksBehind(re *syntax.Regexp) bool {
	switch re.Op { //nolint:exhaustive // the others match characters only
	case syntax.OpBeginLine, syntax.OpBeginText, syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return true
	}
	return slices.ContainsFunc(re.Sub, looksBehind)
}

func (p *pattern) matches(ctx context.Context, text string) (bool, error) {
	if direct, err := p.direct(ctx, text); direct || err != nil {
		return err == nil && p.re.MatchString(text), err
	}
	return p.re.MatchReader(newPolled(ctx, text, p.instructions)), ctx.Err()
}

// direct reports whether a text is searched at once, without being interrupted.
func (p *pattern) direct(ctx context.Context, text string) (bool, error) {
	return len(text)*p.instructions < directCost, ctx.Err()
}

// find returns the first match in text that begins at from or later.
func (p *pattern) find(ctx context.Context, text string, from int) (match, error) {
	if p.behind == nil || from == 0 {
		at, err := p.search(ctx, p.re, text[from:])
		return matchAt(at, from), err
	}
	_, size := utf8.DecodeLastRuneInString(text[:from])
	from -= size
	at, err := p.search(ctx, p.behind, text[from:])
	if len(at) < 4 || err != nil {
		return match{}, err
	}
	begin := from + at[2]
	_, size = utf8.DecodeLastRuneInString(text[:begin])
	at, err = p.search(ctx, p.there, text[begin-size:])
	m := matchAt(at, begin-size)
	m.begin += size
	return m, err
}

// match is a part of a text.
type match struct {
	begin, end int
	found      bool
}

func matchAt(at []int, offset int) match {
	if at == nil {
		return match{}
	}
	return match{begin: offset + at[0], end: offset + at[1], found: true}
}

// search returns the places of re's groups in text.
func (p *pattern) search(ctx context.Context, re *regexp.Regexp, text string) ([]int, error) {
	if direct, err := p.direct(ctx, text); err != nil {
		return nil, err
	} else if direct {
		return re.FindStringSubmatchIndex(text), nil
	}
	at := re.FindReaderSubmatchIndex(newPolled(ctx, text, p.instructions))
	return at, ctx.Err()
}

// polled reads a text that ends when ctx is done.
type polled struct {
	*strings.Reader
	ctx         context.Context //nolint:containedctx // one search long
	left, every int
}

func newPolled(ctx context.Context, text string, instructions int) *polled {
	every := directCost/instructions + 1
	return &polled{Reader: strings.NewReader(text), ctx: ctx, left: every, every: every}
}

// ReadRune returns the next character.
func (p *polled) ReadRune() (rune, int, error) {
	if p.left--; p.left == 0 {
		if p.left = p.every; p.ctx.Err() != nil {
			return 0, 0, io.EOF
		}
	}
	return p.Reader.ReadRune()
}
