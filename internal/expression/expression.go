// Package expression bounds regular expressions that others have written, of RE2's
// syntax as package regexp has it, before they are expanded and compiled: a short
// one can stand for a program of a million instructions, and its classes can take
// seconds to read. It must not know where an expression is from, nor what it is
// matched with.
package expression

import (
	"errors"
	"regexp/syntax"
	"strings"
	"unicode/utf8"
)

// Budget bounds the expressions that belong together. It is for one goroutine at a
// time.
type Budget struct {
	// Each bounds the instructions of one expression, and Total the cost of all:
	// their instructions and what reading them takes besides.
	Each, Total int

	spent int
}

// What cannot be parsed within a budget. The syntax is the caller's to explain.
var (
	// ErrEach is of an expression that compiles to more than Each instructions.
	ErrEach = errors.New("the regular expression is too large")
	// ErrTotal is of one that goes beyond Total, together with those before it.
	ErrTotal = errors.New("the regular expressions are too large together")
)

// What an expression costs besides its instructions, of which each takes a few
// hundred nanoseconds and bytes to make.
const (
	base  = 32  // of any
	class = 700 // of a Unicode class such as \pL, which has as many ranges
	// folded is that of a range beyond ASCII whose letters stand for their other
	// case, too: the parser looks at each of up to 125,000 of them.
	folded = 20_000
)

// Parse parses an expression, and returns of how many instructions its program has
// at most. The error is ErrEach, ErrTotal or a *syntax.Error.
func (b *Budget) Parse(expr string) (*syntax.Regexp, int, error) {
	cost := reading(expr)
	if cost > b.Total-b.spent {
		return nil, 0, ErrTotal
	}
	re, err := syntax.Parse(expr, syntax.Perl)
	if err != nil {
		return nil, 0, err
	}
	n := instructions(re) + 2 // to fail, and to match
	switch {
	case n > b.Each:
		return nil, 0, ErrEach
	case cost+n > b.Total-b.spent:
		return nil, 0, ErrTotal
	}
	b.spent += cost + n
	return re, n, nil
}

// reading bounds the cost of parsing an expression.
func reading(expr string) int {
	cost := base + class*(strings.Count(expr, `\p`)+strings.Count(expr, `\P`))
	if folds(expr) {
		cost += folded * wide(expr)
	}
	return cost
}

// folds reports whether an expression may set the flag i.
func folds(expr string) bool {
	for rest := expr; ; {
		_, flags, found := strings.Cut(rest, "(?")
		if !found {
			return false
		}
		end := strings.IndexFunc(flags, func(r rune) bool { return r != '-' && (r < 'A' || r > 'z') })
		if end < 0 {
			end = len(flags)
		}
		if strings.Contains(flags[:end], "i") {
			return true
		}
		rest = flags
	}
}

// wide counts what may be a range whose end is beyond ASCII.
func wide(expr string) int {
	n := strings.Count(expr, `-\x{`)
	for i := 1; i < len(expr); i++ {
		if expr[i] >= utf8.RuneSelf && expr[i-1] == '-' {
			n++
		}
	}
	return n
}

// instructions bounds those that a part of an expression compiles to, which the
// parser has kept from being nested deep, or repeated more than 1,000 times.
func instructions(re *syntax.Regexp) int {
	n := 0
	for _, sub := range re.Sub {
		n += instructions(sub)
	}
	switch re.Op { //nolint:exhaustive // the others are one instruction each
	case syntax.OpLiteral:
		return max(1, len(re.Rune))
	case syntax.OpConcat:
		return n
	case syntax.OpAlternate:
		return n + len(re.Sub) - 1
	case syntax.OpPlus, syntax.OpQuest:
		return n + 1
	case syntax.OpCapture, syntax.OpStar:
		return n + 2
	case syntax.OpRepeat:
		if re.Max < 0 {
			return max(1, re.Min)*n + 2
		}
		return max(1, re.Max*n+re.Max-re.Min)
	}
	return 1
}
