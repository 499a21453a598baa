package main

import (
	"encoding/binary"
	"math"
	"net/http"
	"slices"
	"strconv"
)

// binaryRefusal is a binary request that contradicts itself.
type binaryRefusal struct {
	name, what string
	choose     chooser
	make       func(*probe) (http.Header, []byte)
}

func binaryRefusals() []binaryRefusal {
	multiple := modelWith("two inputs, which a raw request does not fit", func(m *model) bool { return len(m.Inputs) > 1 })
	return []binaryRefusal{
		{"no-header", "bytes without " + headerLength, anyModel, lengthHeader(func(int, int) string { return "" })},
		{"header-beyond-body", headerLength + " beyond the body", anyModel, lengthHeader(func(_, whole int) string { return strconv.Itoa(whole + 1) })},
		{"header-huge", headerLength + " of 2⁶³", anyModel, lengthHeader(func(int, int) string { return strconv.FormatUint(1<<63, 10) })},
		{"header-too-short", headerLength + " that ends inside the JSON", anyModel, lengthHeader(func(head, _ int) string { return strconv.Itoa(head - 1) })},
		{"header-too-long", headerLength + " that ends inside the bytes", anyModel, lengthHeader(func(head, _ int) string { return strconv.Itoa(head + 1) })},
		{"header-negative", headerLength + " of -1", anyModel, lengthHeader(func(int, int) string { return "-1" })},
		{"header-text", headerLength + " that is no number", anyModel, lengthHeader(func(int, int) string { return "x" })},
		{"missing-bytes", "a body that ends inside a tensor", anyModel, changed(func(b *binaryBody) { b.tail = b.tail[:len(b.tail)-1] })},
		{"extra-bytes", "bytes behind the last tensor", anyModel, changed(func(b *binaryBody) { b.tail = append(b.tail, 0) })},
		{"size-too-small", "`binary_data_size` below what the shape takes", anyModel, sized(func(n int) any { return n - 1 })},
		{"size-too-large", "`binary_data_size` above what the shape takes, with bytes for it", anyModel, oversized},
		{"size-negative", "`binary_data_size` of -1", anyModel, sized(func(int) any { return -1 })},
		{"size-huge", "`binary_data_size` of 2⁶²", anyModel, sized(func(int) any { return int64(1) << 62 })},
		{"size-text", "text as `binary_data_size`", anyModel, sized(func(n int) any { return strconv.Itoa(n) + "x" })},
		{"shape-huge", "2⁶² as a dimension", anyModel, changed(func(b *binaryBody) { input(b.json, 0)["shape"] = []int64{1 << 62} })},
		{"data-and-bytes", "`data` beside `binary_data_size`", anyModel, changed(func(b *binaryBody) { input(b.json, 0)["data"] = []any{1} })},
		{"bytes-length", "an element of BYTES whose length goes beyond the tensor", withDatatype("BYTES"), stringLength(math.MaxUint32)},
		{"bytes-short", "an element of BYTES that leaves bytes over", withDatatype("BYTES"), stringLength(0)},
		{"raw-size", "a raw request that is no multiple of an element", rawInput, rawOddSize},
		{"raw-empty", "a raw request without bytes", rawInput, func(*probe) (http.Header, []byte) { return binaryHeader("0"), nil }},
		{"raw-two-inputs", "a raw request to a model of two inputs", multiple, func(p *probe) (http.Header, []byte) {
			return binaryHeader("0"), p.m.example(1, 0)[0].raw()
		}},
	}
}

// binaryRefusalCases are refusals of binary data.
func binaryRefusalCases() []testCase {
	var cases []testCase
	for _, r := range binaryRefusals() {
		section := "Binary Tensor Request"
		if r.name[:3] == "raw" {
			section = "Raw Binary Request"
		}
		cases = append(cases, testCase{
			"binary/refuse-" + r.name, may, binaryDoc(section),
			`an error status and {"error": text} for ` + r.what, asBinary(r.choose), r.run,
		})
	}
	return append(cases, testCase{
		"binary/refuse-client-error", may, binaryDoc("Binary Tensor Request"), "4xx for each of these requests", asBinary(anyModel), binaryClientErrors,
	})
}

func (r binaryRefusal) run(p *probe) error {
	header, body := r.make(p)
	x, err := p.do(http.MethodPost, p.m.path("/infer"), header, body)
	return first(err, func() error { return x.refused() })
}

func binaryClientErrors(p *probe) error {
	for _, r := range binaryRefusals() {
		m, err := r.choose(p.t)
		if err != nil {
			continue
		}
		p.m = m
		header, body := r.make(p)
		x, err := p.do(http.MethodPost, m.path("/infer"), header, body)
		if err := first(err, func() error { return x.clientError() }); err != nil {
			return err
		}
	}
	return nil
}

// changed is the example as bytes, with a change.
func changed(change func(*binaryBody)) func(*probe) (http.Header, []byte) {
	return func(p *probe) (http.Header, []byte) {
		b := newBinary(p.m.example(1, 0), always)
		change(b)
		return b.bytes()
	}
}

// lengthHeader is the example as bytes, with another length of its JSON.
func lengthHeader(text func(head, whole int) string) func(*probe) (http.Header, []byte) {
	return func(p *probe) (http.Header, []byte) {
		b := newBinary(p.m.example(1, 0), always)
		header, body := b.bytes()
		if wrong := text(len(body)-len(b.tail), len(body)); wrong != "" {
			header.Set(headerLength, wrong)
		} else {
			header.Del(headerLength)
		}
		return header, body
	}
}

// sized is the example as bytes, with another size of the first input.
func sized(size func(right int) any) func(*probe) (http.Header, []byte) {
	return changed(func(b *binaryBody) {
		in := input(b.json, 0)
		right := as[int](as[object](in["parameters"])["binary_data_size"])
		in["parameters"] = object{"binary_data_size": size(right)}
	})
}

// oversized gives the first input more bytes than its shape takes.
func oversized(p *probe) (http.Header, []byte) {
	return changed(func(b *binaryBody) {
		first := p.m.example(1, 0)[0].raw()
		input(b.json, 0)["parameters"] = object{"binary_data_size": len(first) + 8}
		b.tail = slices.Insert(b.tail, len(first), make([]byte, 8)...)
	})(p)
}

func rawOddSize(p *probe) (http.Header, []byte) {
	return binaryHeader("0"), append(p.m.example(1, 0)[0].raw(), 0)
}

// stringLength is the example as bytes, with another length of the first element
// of BYTES.
func stringLength(length uint32) func(*probe) (http.Header, []byte) {
	return func(p *probe) (http.Header, []byte) {
		b := newBinary(p.m.example(1, 0), always)
		at := 0
		for _, t := range p.m.example(1, 0)[:p.m.index("BYTES")] {
			at += len(t.raw())
		}
		binary.LittleEndian.PutUint32(b.tail[at:], length)
		return b.bytes()
	}
}
