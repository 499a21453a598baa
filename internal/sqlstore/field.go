package sqlstore

import (
	"database/sql/driver"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode/utf8"

	"onnxgate/internal/fault"
)

// A field is one column of one record: it is written from the record and read
// into it by the same value.
type field interface {
	Scan(src any) error
	Value() (driver.Value, error)
}

// errNoText is what a column of text cannot hold in every database.
var errNoText = fault.New(fault.Content, "a text must be valid UTF-8 without the character U+0000")

// storable reports whether a column can hold each text. No record is found by
// one that it cannot.
func storable(texts ...string) bool {
	for _, s := range texts {
		if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
			return false
		}
	}
	return true
}

// text is a column of text.
type text struct{ to *string }

func (f text) Value() (driver.Value, error) {
	if !storable(*f.to) {
		return nil, errNoText
	}
	return *f.to, nil
}

func (f text) Scan(src any) error {
	s, err := asText(src)
	*f.to = s
	return err
}

// optional is a column of text whose NULL is the empty text.
type optional struct{ to *string }

func (f optional) Value() (driver.Value, error) {
	if *f.to == "" {
		return nil, nil //nolint:nilnil // SQL's NULL
	}
	return text(f).Value()
}

func (f optional) Scan(src any) error {
	if src == nil {
		*f.to = ""
		return nil
	}
	return text(f).Scan(src)
}

// flag is a column of yes or no.
type flag struct{ to *bool }

func (f flag) Value() (driver.Value, error) { return *f.to, nil }
func (f flag) Scan(src any) error {
	switch v := src.(type) {
	case bool:
		*f.to = v
	case int64:
		*f.to = v != 0
	default:
		return fmt.Errorf("sqlstore: a %T is no flag", src)
	}
	return nil
}

// number is a column of a whole number.
type number struct{ to *int64 }

func (f number) Value() (driver.Value, error) { return *f.to, nil }
func (f number) Scan(src any) error {
	v, ok := src.(int64)
	if !ok {
		return fmt.Errorf("sqlstore: a %T is no number", src)
	}
	*f.to = v
	return nil
}

// instant is a column of seconds since 1970, 0 for the zero time.
type instant struct{ to *time.Time }

func (f instant) Value() (driver.Value, error) {
	if f.to.IsZero() {
		return int64(0), nil
	}
	return f.to.Unix(), nil
}

func (f instant) Scan(src any) error {
	var seconds int64
	err := number{&seconds}.Scan(src)
	*f.to = time.Time{}
	if seconds != 0 {
		*f.to = time.Unix(seconds, 0).UTC()
	}
	return err
}

// words is a column of words without blanks, with blanks between; nil is NULL.
type words struct{ to *[]string }

func (f words) Value() (driver.Value, error) {
	if *f.to == nil {
		return nil, nil //nolint:nilnil // SQL's NULL
	}
	joined := strings.Join(*f.to, " ")
	return text{&joined}.Value()
}

func (f words) Scan(src any) error {
	if src == nil {
		*f.to = nil
		return nil
	}
	s, err := asText(src)
	*f.to = append([]string{}, strings.Fields(s)...)
	return err
}

// networks is a column of networks in CIDR notation, as words.
type networks struct{ to *[]netip.Prefix }

func (f networks) Value() (driver.Value, error) {
	var all []string
	for _, n := range *f.to {
		all = append(all, n.String())
	}
	return words{&all}.Value()
}

func (f networks) Scan(src any) error {
	var all []string
	if err := (words{&all}).Scan(src); err != nil {
		return err
	}
	*f.to = nil
	for _, s := range all {
		n, err := netip.ParsePrefix(s)
		if err != nil {
			return err
		}
		*f.to = append(*f.to, n)
	}
	return nil
}

func asText(src any) (string, error) {
	switch v := src.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	}
	return "", fmt.Errorf("sqlstore: a %T is no text", src)
}
