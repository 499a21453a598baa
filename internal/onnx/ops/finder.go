package ops

import (
	"context"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// finder finds the first match of an expression in a text that begins at from
// or later: the leftmost, and of those the longest.
type finder func(ctx context.Context, text string, from int) (match, error)

// finder returns what finds an expression: most are a character, a run of
// characters of a class, or a word, for which no regular expression is needed.
func (n *Node) finder(expr string) finder {
	parsed, instructions := n.expression(expr)
	if n.err != nil {
		return nil
	}
	if parsed.Op == syntax.OpLiteral && parsed.Flags&syntax.FoldCase == 0 {
		return literal(parsed.Rune).find
	}
	if r, ok := runOf(parsed); ok {
		return r.find
	}
	p, err := compile(parsed, instructions, anyPart)
	if err != nil {
		n.Failf("%v", err)
		return nil
	}
	return p.find
}

type literal string

func (l literal) find(_ context.Context, text string, from int) (match, error) {
	at := strings.Index(text[from:], string(l))
	if at < 0 {
		return match{}, nil
	}
	return match{begin: from + at, end: from + at + len(l), found: true}, nil
}

// runes is a set of characters.
type runes struct {
	ascii  [utf8.RuneSelf]bool
	ranges []rune // pairs, ascending
}

func newRunes(ranges []rune) *runes {
	s := &runes{ranges: ranges}
	for i := range s.ascii {
		s.ascii[i] = s.search(rune(i))
	}
	return s
}

func (s *runes) search(r rune) bool {
	// The number of bounds up to r is odd within a range; the upper ones are
	// still part of it.
	i, exact := slices.BinarySearch(s.ranges, r)
	return exact || i%2 == 1
}

// at reports whether the character of text at i is in the set, and its size.
func (s *runes) at(text string, i int) (bool, int) {
	if b := text[i]; b < utf8.RuneSelf {
		return s.ascii[b], 1
	}
	r, size := utf8.DecodeRuneInString(text[i:])
	return s.search(r), size
}

// run finds least or more characters of a set in a row.
type run struct {
	set   *runes
	least int
	most  int // least for so many exactly, or 0 for any number
	// bounded runs begin and end where a word does; the set is the characters
	// of words.
	bounded bool
}

// runOf returns the run that an expression stands for, if it is one.
func runOf(re *syntax.Regexp) (*run, bool) {
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	r := &run{}
	if len(parts) > 2 && parts[0].Op == syntax.OpWordBoundary && parts[len(parts)-1].Op == syntax.OpWordBoundary {
		parts, r.bounded = parts[1:len(parts)-1], true
	}
	var class []rune
	open := false
	for _, p := range parts {
		ranges, least, more, ok := repeated(p)
		if !ok || class != nil && !slices.Equal(class, ranges) {
			return nil, false
		}
		class, open, r.least = ranges, open || more, r.least+least
	}
	if r.least == 0 || !open && (r.least > 1 || r.bounded) || r.bounded && !slices.Equal(class, wordRunes) {
		return nil, false
	}
	r.set = newRunes(class)
	if !open {
		r.most = r.least
	}
	return r, true
}

// wordRunes is \w.
var wordRunes = []rune{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'}

// repeated returns the class that an expression repeats, how often at least,
// and whether any number of times.
func repeated(re *syntax.Regexp) (class []rune, least int, more, ok bool) {
	least = 1
	switch re.Op { //nolint:exhaustive // the others are no repetitions
	case syntax.OpPlus:
		re, more = re.Sub[0], true
	case syntax.OpStar:
		re, least, more = re.Sub[0], 0, true
	case syntax.OpRepeat:
		if re.Max >= 0 && re.Max != re.Min {
			return nil, 0, false, false
		}
		least, more = re.Min, re.Max < 0
		re = re.Sub[0]
	}
	switch re.Op { //nolint:exhaustive // the others are no classes
	case syntax.OpCharClass:
		return re.Rune, least, more, len(re.Rune) > 0
	case syntax.OpLiteral:
		if len(re.Rune) != 1 || re.Flags&syntax.FoldCase != 0 {
			return nil, 0, false, false
		}
		return []rune{re.Rune[0], re.Rune[0]}, least, more, true
	case syntax.OpAnyChar:
		return []rune{0, unicode.MaxRune}, least, more, true
	case syntax.OpAnyCharNotNL:
		return []rune{0, '\n' - 1, '\n' + 1, unicode.MaxRune}, least, more, true
	}
	return nil, 0, false, false
}

func (r *run) find(_ context.Context, text string, from int) (match, error) {
	i := from
	if r.bounded && i > 0 {
		if in, _ := r.set.at(text, i-1); in { // within a word; words are ASCII
			i = r.skip(text, i, true)
		}
	}
	for i < len(text) {
		begin := r.skip(text, i, false)
		end, count := begin, 0
		for end < len(text) && (r.most == 0 || count < r.most) {
			in, size := r.set.at(text, end)
			if !in {
				break
			}
			end += size
			count++
		}
		if count >= r.least {
			return match{begin: begin, end: end, found: true}, nil
		}
		i = max(end, begin+1)
	}
	return match{}, nil
}

// skip returns where the characters that are in the set, or not in it, end.
func (r *run) skip(text string, i int, in bool) int {
	for i < len(text) {
		is, size := r.set.at(text, i)
		if is != in {
			break
		}
		i += size
	}
	return i
}
