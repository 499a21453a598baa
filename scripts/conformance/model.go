package main

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// spec is a tensor as a model's metadata describe it; -1 in its shape is a
// dimension of any size (inference_rest.md, Model Metadata Response JSON Object).
type spec struct {
	Name     string  `json:"name"`
	Datatype string  `json:"datatype"`
	Shape    []int64 `json:"shape"`
}

// model is a model as its metadata describe it.
type model struct {
	Name     string   `json:"name"`
	Versions []string `json:"versions"`
	Platform string   `json:"platform"`
	Inputs   []spec   `json:"inputs"`
	Outputs  []spec   `json:"outputs"`

	given []tensor // what requests are made of; nil makes them up
}

// path is the address of one of the model's endpoints.
func (m *model) path(endpoint string) string {
	return "/v2/models/" + url.PathEscape(m.Name) + endpoint
}

// versionPath is path for one version.
func (m *model) versionPath(version, endpoint string) string {
	return m.path("/versions/" + url.PathEscape(version) + endpoint)
}

// usable says why no request can be made from the model's metadata.
func (m *model) usable() error {
	if len(m.Inputs) == 0 {
		return fmt.Errorf("the metadata of %s list no inputs", m.Name)
	}
	for _, in := range m.Inputs {
		_, known := sizes[in.Datatype]
		if !known || in.Name == "" || len(in.Shape) == 0 || !sane(oneRow(in.Shape)) || elements(oneRow(in.Shape)) > maxExample {
			return fmt.Errorf("no request can be made for the input %q of %s: %s %v", in.Name, m.Name, in.Datatype, in.Shape)
		}
	}
	return nil
}

// maxExample bounds the elements of one row.
const maxExample = 1 << 20

// oneRow is a described shape with 1 for each dimension of any size.
func oneRow(described []int64) []int64 {
	shape := slices.Clone(described)
	for i, d := range shape {
		if d == -1 {
			shape[i] = 1
		}
	}
	return shape
}

// batched says whether the first dimension of every tensor counts rows.
func (m *model) batched() bool {
	return !slices.ContainsFunc(slices.Concat(m.Inputs, m.Outputs), func(s spec) bool {
		return len(s.Shape) == 0 || s.Shape[0] != -1
	})
}

// example makes valid inputs of so many rows. Inputs made with another start hold
// other values. A dimension of any size that counts no rows is 1.
func (m *model) example(rows, start int) []tensor {
	if m.given != nil {
		return m.repeated(rows, start)
	}
	inputs := make([]tensor, len(m.Inputs))
	for i, in := range m.Inputs {
		t := tensor{name: in.Name, datatype: in.Datatype, shape: oneRow(in.Shape)}
		if m.batched() {
			t.shape[0] = int64(rows)
		}
		for k := range elements(t.shape) {
			t.values = append(t.values, example(in.Datatype, start+i+k))
		}
		inputs[i] = t
	}
	return inputs
}

// isSimple recognizes the model of Triton's examples: two inputs of 16 integers,
// whose sum and difference it answers.
func (m *model) isSimple() bool {
	ok := func(specs []spec, names ...string) bool {
		return len(specs) == 2 && !slices.ContainsFunc(specs, func(s spec) bool {
			return !slices.Contains(names, s.Name) || s.Datatype != "INT32" || !slices.Equal(s.Shape, []int64{-1, 16})
		})
	}
	return m.Name == "simple" && ok(m.Inputs, "INPUT0", "INPUT1") && ok(m.Outputs, "OUTPUT0", "OUTPUT1")
}

// isIris recognizes a classifier of irises: four measures in centimetres.
func (m *model) isIris() bool {
	return strings.Contains(m.Name, "iris") && len(m.Inputs) == 1 && m.Inputs[0].Datatype == "FP32" &&
		slices.Equal(m.Inputs[0].Shape, []int64{-1, 4})
}

// isIdentity recognizes a model whose n-th output is its n-th input.
func (m *model) isIdentity() bool {
	return strings.HasPrefix(m.Name, "identity") && slices.EqualFunc(m.Inputs, m.Outputs, func(a, b spec) bool {
		return a.Datatype == b.Datatype && slices.Equal(a.Shape, b.Shape)
	})
}

// index is the place of the first input of a datatype, or -1.
func (m *model) index(datatype string) int {
	return slices.IndexFunc(m.Inputs, func(s spec) bool { return s.Datatype == datatype })
}

// indexOf is the place of the first input whose datatype is of one of the classes,
// or -1.
func (m *model) indexOf(classes ...string) int {
	return slices.IndexFunc(m.Inputs, func(s spec) bool { return slices.Contains(classes, class(s.Datatype)) })
}
