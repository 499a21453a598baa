package main

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// compressionCases are about content codings, which a server is free not to have:
// a request answered with 415 says so, and an answer may always be uncompressed.
func compressionCases() []testCase {
	const coding, accept = "8.4 Content-Encoding", "12.5.3 Accept-Encoding"
	return []testCase{
		{"compression/gzip-request", may, rfc9110(coding), "a gzip body is answered as the same plain body is", anyModel, compressed("gzip")},
		{"compression/deflate-request", may, rfc9110(coding), "a deflate body (zlib) is answered as the same plain body is", anyModel, compressed("deflate")},
		{"compression/broken-gzip", may, rfc9110(coding), "4xx to a body that is no gzip", anyModel, codedAs("gzip", "not gzip")},
		{"compression/cut-gzip", may, rfc9110(coding), "4xx to a gzip body that breaks off", anyModel, cutGzip},
		{"compression/unknown-coding", may, rfc9110(coding), "4xx to a coding that nobody has", anyModel, codedAs("x-none", "{}")},
		{"compression/gzip-answer", may, rfc9110(accept), "with Accept-Encoding: gzip, gzip or plain, as Content-Encoding says", anyModel, acceptsCoding("gzip")},
		{"compression/deflate-answer", may, rfc9110(accept), "with Accept-Encoding: deflate, zlib or plain, as Content-Encoding says", anyModel, acceptsCoding("deflate")},
		{"compression/not-asked", must, rfc9110(accept), "a plain answer with Accept-Encoding: identity", anyModel, acceptsCoding("identity")},
		{"compression/errors-readable", may, rfc9110(accept), "an error with Accept-Encoding: gzip is readable as Content-Encoding says", anyModel, readableError},
		{"compression/binary", may, binaryDoc("Binary Tensor Request"), "binary inputs in a gzip body", asBinary(anyModel), gzipBinary},
	}
}

// pack compresses by a content coding.
func pack(coding string, b []byte) []byte {
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if coding == "deflate" {
		w = zlib.NewWriter(&out)
	}
	if _, err := w.Write(b); err != nil {
		panic(err) // a buffer takes everything
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// unpack undoes the coding that the answer names.
func (x *exchange) unpack() error {
	var r io.ReadCloser
	var err error
	switch coding := x.answerHeader.Get("Content-Encoding"); coding {
	case "", "identity":
		return nil
	case "gzip":
		r, err = gzip.NewReader(bytes.NewReader(x.answer))
	case "deflate":
		r, err = zlib.NewReader(bytes.NewReader(x.answer))
	default:
		return fmt.Errorf("Content-Encoding: %s", coding)
	}
	if err == nil {
		x.answer, err = io.ReadAll(io.LimitReader(r, maxAnswer))
	}
	if err != nil {
		err = fmt.Errorf("an answer that is no %s: %w", x.answerHeader.Get("Content-Encoding"), err)
	}
	return err
}

// sendPacked sends a compressed body, and says when the server does not take it.
func (p *probe) sendPacked(coding string, header http.Header, body []byte) (*exchange, error) {
	header.Set("Content-Encoding", coding)
	x, err := p.do(http.MethodPost, p.m.path("/infer"), header, body)
	if err == nil && x.status == http.StatusUnsupportedMediaType {
		err = missing("the server takes no %s bodies (415)", coding)
	}
	return x, err
}

func compressed(coding string) func(*probe) error {
	return func(p *probe) error {
		want, err := p.baseline()
		if err != nil {
			return err
		}
		x, err := p.sendPacked(coding, jsonHeader(), pack(coding, encode(p.valid())))
		return p.answersAs(x, err, want)
	}
}

// answersAs holds an exchange to the outputs of another.
func (p *probe) answersAs(x *exchange, err error, want *answer) error {
	if err != nil {
		return err
	}
	if err := x.ok(); err != nil {
		return err
	}
	a, err := readAnswer(x)
	if err != nil {
		return err
	}
	return differentOutputs(a.outputs, want.outputs, 0)
}

func codedAs(coding, body string) func(*probe) error {
	return func(p *probe) error {
		header := jsonHeader()
		header.Set("Content-Encoding", coding)
		x, err := p.do(http.MethodPost, p.m.path("/infer"), header, []byte(body))
		return first(err, func() error { return x.clientError() })
	}
}

func cutGzip(p *probe) error {
	whole := pack("gzip", encode(p.valid()))
	return codedAs("gzip", string(whole[:len(whole)-10]))(p)
}

func acceptsCoding(coding string) func(*probe) error {
	return func(p *probe) error {
		want, err := p.baseline()
		if err != nil {
			return err
		}
		header := jsonHeader()
		header.Set("Accept-Encoding", coding)
		x, err := p.do(http.MethodPost, p.m.path("/infer"), header, encode(p.valid()))
		if err != nil {
			return err
		}
		if got := x.answerHeader.Get("Content-Encoding"); got != "" && got != coding {
			return fmt.Errorf("Content-Encoding: %s", got)
		}
		return p.answersAs(x, x.unpack(), want)
	}
}

func readableError(p *probe) error {
	header := jsonHeader()
	header.Set("Accept-Encoding", "gzip")
	x, err := p.do(http.MethodPost, p.m.path("/infer"), header, []byte(`{"inputs":"`+strings.Repeat("x", 5000)+`"}`))
	if err != nil {
		return err
	}
	return first(x.unpack(), x.refused)
}

func gzipBinary(p *probe) error {
	want, err := p.baseline()
	if err != nil {
		return err
	}
	header, body := newBinary(p.m.example(1, 0), always).bytes()
	x, err := p.sendPacked("gzip", header, pack("gzip", body))
	return p.answersAs(x, err, want)
}
