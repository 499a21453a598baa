package gunzip_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"onnxgate/internal/gunzip"
)

// member returns a text as one member.
func member(tb testing.TB, text string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, text); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestMembersAreReadOneAfterAnother(t *testing.T) {
	one, empty := member(t, "one "), member(t, "")
	var r gunzip.Reader
	for name, tc := range map[string]struct {
		file []byte
		want string
		err  error
	}{
		"one":                  {one, "one ", nil},
		"several":              {bytes.Join([][]byte{one, empty, member(t, "two"), empty}, nil), "one two", nil},
		"as many as there may": {bytes.Repeat(one, gunzip.MaxMembers), strings.Repeat("one ", gunzip.MaxMembers), nil},
		"one more":             {bytes.Repeat(empty, gunzip.MaxMembers+1), "", gunzip.ErrMembers},
		"350,000":              {bytes.Repeat(empty, 350_000), "", gunzip.ErrMembers},
		"nothing":              {nil, "", io.ErrUnexpectedEOF},
		"cut off in its head":  {one[:5], "", io.ErrUnexpectedEOF},
		"cut off":              {one[:len(one)-3], "one ", io.ErrUnexpectedEOF},
		"the next one cut off": {append(bytes.Clone(one), one[:5]...), "one ", io.ErrUnexpectedEOF},
		"something behind":     {append(bytes.Clone(one), "0123456789"...), "one ", gzip.ErrHeader},
		"another checksum":     {append(bytes.Clone(one[:len(one)-8]), make([]byte, 8)...), "one ", gzip.ErrChecksum},
	} {
		t.Run(name, func(t *testing.T) {
			src := bytes.NewReader(tc.file)
			err := r.Reset(src)
			var got []byte
			if err == nil {
				got, err = io.ReadAll(iotest.OneByteReader(&r))
			}
			if string(got) != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("%.40q, %v, want %.40q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}
