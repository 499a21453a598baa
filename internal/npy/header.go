package npy

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// header is what the literal of a Python dictionary in front of the elements
// says.
type header struct {
	descr   string
	fortran bool
	shape   []int
}

// maxAxes is how many axes NumPy's own arrays may have.
const maxAxes = 64

// parseHeader reads {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }.
func parseHeader(text []byte) (*header, error) {
	p := &literal{rest: strings.TrimRight(string(text), " \n")}
	h := &header{}
	members := map[string]func() error{
		"descr":         func() (err error) { h.descr, err = p.descr(); return err },
		"fortran_order": func() (err error) { h.fortran, err = p.boolean(); return err },
		"shape":         func() (err error) { h.shape, err = p.tuple(); return err },
	}
	if err := p.expect("{"); err != nil {
		return nil, err
	}
	for !p.take("}") {
		name, err := p.quoted()
		if err != nil {
			return nil, err
		}
		read := members[name]
		if read == nil {
			return nil, fmt.Errorf("it has %q, or has it twice", name)
		}
		delete(members, name)
		if err := p.expect(":"); err != nil {
			return nil, err
		}
		if err := read(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if !p.take(",") && !strings.HasPrefix(p.rest, "}") {
			return nil, fmt.Errorf("it goes on with %.10q", p.rest)
		}
	}
	switch {
	case len(members) > 0:
		return nil, errors.New("it needs descr, fortran_order and shape")
	case p.rest != "":
		return nil, fmt.Errorf("something follows it: %.10q", p.rest)
	}
	return h, nil
}

// literal reads Python's literals from the front of what is left.
type literal struct{ rest string }

// take drops a token, and blanks around it, when it is next.
func (p *literal) take(token string) bool {
	rest, ok := strings.CutPrefix(strings.TrimLeft(p.rest, " "), token)
	if ok {
		p.rest = strings.TrimLeft(rest, " ")
	}
	return ok
}

func (p *literal) expect(token string) error {
	if !p.take(token) {
		return fmt.Errorf("there should be %q, not %.10q", token, p.rest)
	}
	return nil
}

func (p *literal) quoted() (string, error) {
	for _, quote := range []string{"'", `"`} {
		if !p.take(quote) {
			continue
		}
		text, rest, ok := strings.Cut(p.rest, quote)
		if !ok {
			break
		}
		p.rest = strings.TrimLeft(rest, " ")
		return text, nil
	}
	return "", fmt.Errorf("there should be a text, not %.10q", p.rest)
}

// descr reads the type: a text, or a list for an array of records, of which
// nothing but that is told.
func (p *literal) descr() (string, error) {
	if !strings.HasPrefix(p.rest, "[") {
		return p.quoted()
	}
	depth := 0
	for i, c := range p.rest {
		switch c {
		case '[':
			depth++
		case ']':
			depth--
		}
		if depth == 0 {
			p.rest = strings.TrimLeft(p.rest[i+1:], " ")
			return "[…]", nil
		}
	}
	return "", errors.New("the list does not end")
}

func (p *literal) boolean() (bool, error) {
	switch {
	case p.take("True"):
		return true, nil
	case p.take("False"):
		return false, nil
	}
	return false, fmt.Errorf("there should be True or False, not %.10q", p.rest)
}

func (p *literal) tuple() ([]int, error) {
	if err := p.expect("("); err != nil {
		return nil, err
	}
	shape := []int{}
	for !p.take(")") {
		digits := p.rest[:len(p.rest)-len(strings.TrimLeft(p.rest, "0123456789"))]
		n, err := strconv.ParseUint(digits, 10, 62)
		if err != nil {
			return nil, fmt.Errorf("there should be a whole number, not %.10q", p.rest)
		}
		p.rest = p.rest[len(digits):]
		p.take("L") // what Python 2 writes behind long integers
		if shape = append(shape, int(n)); len(shape) > maxAxes {
			return nil, fmt.Errorf("more than %d axes", maxAxes)
		}
		if !p.take(",") && !strings.HasPrefix(p.rest, ")") {
			return nil, fmt.Errorf("it goes on with %.10q", p.rest)
		}
	}
	return shape, nil
}
