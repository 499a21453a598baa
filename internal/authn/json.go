package authn

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// readObject reads exactly one JSON object and gives each member to the
// function, which reads its value. Names are compared as they are; a name
// that stands twice, invalid UTF-8, lone surrogates, a byte order mark and
// anything behind the object are errors (RFC 7519 section 4, RFC 8725 section
// 3.7).
func readObject(raw []byte, member func(name string, dec *jsontext.Decoder) error) error {
	dec := jsontext.NewDecoder(bytes.NewReader(raw))
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '{' {
		return errors.New("not a JSON object")
	}
	for dec.PeekKind() == '"' {
		name, err := dec.ReadToken()
		if err != nil {
			return err
		}
		if err := member(name.String(), dec); err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // the closing brace
		return err
	}
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return errors.New("there is data behind the JSON object")
	}
	return nil
}

func readString(dec *jsontext.Decoder, into *string) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '"' {
		return errors.New("not a string")
	}
	*into = token.String()
	return nil
}

func readStrings(dec *jsontext.Decoder, into *[]string) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '[' {
		return errors.New("not an array of strings")
	}
	for dec.PeekKind() != ']' {
		var s string
		if err := readString(dec, &s); err != nil {
			return err
		}
		*into = append(*into, s)
	}
	_, err = dec.ReadToken()
	return err
}
