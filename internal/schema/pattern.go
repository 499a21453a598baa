package schema

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"onnxgate/internal/expression"
)

const (
	// maxInstructions bounds the program of one pattern, and maxPatterns those of
	// all features together, with what reading them costs.
	maxInstructions = 2000
	maxPatterns     = 1 << 17
	// maxMatch bounds the work of one match: all instructions may look at each
	// character, for some 30 ns. It makes the length that a text may have where its
	// owner bounds none.
	maxMatch = 1 << 20
)

func newPatternBudget() *expression.Budget {
	return &expression.Budget{Each: maxInstructions, Total: maxPatterns}
}

// compilePattern compiles the pattern, and bounds the length of the text so that no
// match takes long.
func (c *fieldCompiler) compilePattern() {
	_, n, err := newPatternBudget().Parse(c.Pattern)
	if err != nil {
		c.report("Pattern", "%s", patternProblem(err))
		return
	}
	most := maxMatch / n
	switch {
	case c.MaxLength == 0:
		c.MaxLength = most
	case c.MaxLength > most:
		c.report("MaxLength", "max_length is %d, but a pattern of this size (%s) may look at %s at most: lower max_length, or write a pattern with smaller counts",
			c.MaxLength, count(n, "instruction"), count(most, "character"))
		return
	}
	if c.pattern, err = regexp.Compile(c.Pattern); err != nil {
		c.report("Pattern", "%s", patternProblem(err))
		return
	}
	c.instructions = n
}

// patternProblem says what is wrong with a pattern, and what to write instead.
func patternProblem(err error) string {
	switch {
	case errors.Is(err, expression.ErrEach):
		return fmt.Sprintf("pattern is too large: it may have %d instructions, of which each character has one, and again for each time that a count such as {1,64} repeats it; "+
			"write smaller counts, such as [a-z]+ with a max_length instead of [a-z]{1,1000}", maxInstructions)
	case errors.Is(err, expression.ErrTotal):
		return "the patterns of the features are too large together; write fewer, or with smaller counts and fewer classes such as \\pL"
	}
	return "pattern is no RE2 expression: " + strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// patterns refuses patterns that would be too much together, before any is compiled.
func (p *parser) patterns(m *Manifest) {
	budget := newPatternBudget()
	for i := range m.Features {
		f := &m.Features[i]
		if f.Pattern == "" {
			continue
		}
		path := fmt.Sprintf("Features[%d]", i)
		_, n, err := budget.Parse(f.Pattern)
		if m.instructions += n; err != nil {
			p.add(m.located(path, []ruleProblem{{part: "Pattern", reason: patternProblem(err)}}))
			f.Pattern = "" // said once, and compiled never
		}
	}
}
