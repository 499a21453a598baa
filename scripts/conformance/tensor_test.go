package main

import (
	"math"
	"slices"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestElementsComeBackAsBytesAndAsJSON(t *testing.T) {
	for _, d := range datatypes {
		t.Run(d, func(t *testing.T) {
			values := append(extremes(d), example(d, 0), example(d, 1))
			in := tensor{"x", d, []int64{int64(len(values))}, values}
			raw, err := parseRaw(d, in.shape, in.raw())
			if err != nil || !slices.Equal(raw, values) {
				t.Errorf("bytes: %v, not %v (%v)", raw, values, err)
			}
			text, err := parseJSON(d, jsontext.Value(encode(in.flat())))
			if err != nil || !slices.Equal(text, values) {
				t.Errorf("JSON: %v, not %v (%v)", text, values, err)
			}
			if d != "FP16" && !slices.Equal(elementsOf(d, in.contents()), values) {
				t.Errorf("contents: %v, not %v", elementsOf(d, in.contents()), values)
			}
		})
	}
}

func TestShapesOfNothingReasonableAreRefused(t *testing.T) {
	for _, shape := range [][]int64{{-1}, {1 << 62}, {1 << 32, 1 << 32}, {1 << 20, 1 << 20, 0}} {
		a := exchange{answer: encode(object{"outputs": []any{object{"name": "x", "datatype": "INT8", "shape": shape, "data": []int{}}}})}
		if got, err := readAnswer(&a); err == nil {
			t.Errorf("%v: %v", shape, got.outputs)
		}
	}
}

func TestEveryHalfIsReadAndWritten(t *testing.T) {
	for bits := range 1 << 16 {
		h := uint16(bits)
		v := fromHalf(h)
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue // no case sends them
		}
		if got := half(v); got != h {
			t.Fatalf("%#04x is %v, which is %#04x", h, v, got)
		}
	}
}

func TestWrongDataAreNoElements(t *testing.T) {
	for name, tt := range map[string]struct {
		datatype string
		bytes    []byte
	}{
		"a byte too few":              {"INT16", []byte{1}},
		"a byte too many":             {"INT16", []byte{1, 2, 3}},
		"a boolean of 2":              {"BOOL", []byte{2}},
		"a length beyond the bytes":   {"BYTES", []byte{2, 0, 0, 0, 'a'}},
		"bytes behind the last text":  {"BYTES", []byte{1, 0, 0, 0, 'a', 'b'}},
		"a length that is cut itself": {"BYTES", []byte{1, 0, 0}},
	} {
		if v, err := parseRaw(tt.datatype, []int64{1}, tt.bytes); err == nil {
			t.Errorf("%s: %v", name, v)
		}
	}
	for datatype, text := range map[string]string{
		"BOOL": `[1]`, "INT8": `[128]`, "UINT8": `[-1]`, "INT32": `[1.5]`, "FP32": `["1"]`, "BYTES": `[1]`, "FP64": `{}`, "INT64": `[null]`,
	} {
		if v, err := parseJSON(datatype, jsontext.Value(text)); err == nil {
			t.Errorf("%s as %s: %v", text, datatype, v)
		}
	}
}

func TestCurlLineHoldsTheWholeRequest(t *testing.T) {
	target := &target{base: "https://host", caFile: "ca.pem", header: map[string][]string{"Authorization": {"Bearer x"}}}
	for want, x := range map[string]*exchange{
		`curl -si --cacert 'ca.pem' -X POST -H "Authorization: $TOKEN" -H 'Content-Type: application/json' -d '{"a":"it'\''s"}' 'https://host/v2'`: {
			method: "POST", path: "/v2", header: jsonHeader(), body: []byte(`{"a":"it's"}`),
		},
		`base64 -d <<<AAE= | curl -si --cacert 'ca.pem' -X POST -H "Authorization: $TOKEN" --data-binary @- 'https://host/v2'`: {
			method: "POST", path: "/v2", body: []byte{0, 1},
		},
		`curl -si --cacert 'ca.pem' -I -H "Authorization: $TOKEN" 'https://host/v2'`: {method: "HEAD", path: "/v2"},
	} {
		if got := x.curl(target); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
