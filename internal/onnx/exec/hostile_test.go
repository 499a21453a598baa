package exec_test

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode"

	"google.golang.org/protobuf/encoding/protowire"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/exec"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // the models below read as what they are
	"onnxgate/internal/tensor"
)

// identity is a valid model to spoil.
func identity() *onnx.Model { return Model(Node("Identity", Names("x"), Names("y"))) }

func spoiled(spoil func(*onnx.Model)) []byte {
	m := identity()
	spoil(m)
	return Encode(m)
}

func nodes(list ...*onnx.Node) []byte { return Encode(Model(list...)) }

// field wraps bytes as a length-delimited field.
func field(num protowire.Number, b ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func varint(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func concat(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

// withInitializer is a model with a TensorProto as it is given.
func withInitializer(proto []byte) []byte { return field(7, field(5, proto...)...) }

func chain(n int, closed bool) []*onnx.Node {
	list := make([]*onnx.Node, n)
	for i := range list {
		list[i] = Node("Identity", Names(fmt.Sprint("v", i)), Names(fmt.Sprint("v", i+1)))
		list[i].Name = ""
	}
	list[0].Inputs[0] = "x"
	if closed {
		list[0].Inputs[0] = fmt.Sprint("v", n)
	}
	list[n-1].Outputs = append(list[n-1].Outputs, "y")
	return list
}

// nested is a graph in an If in a graph, and so on.
func nested(depth int) []byte {
	g := &onnx.Graph{Outputs: []*onnx.ValueInfo{{Name: "x"}}}
	for range depth {
		g = &onnx.Graph{
			Nodes:   []*onnx.Node{Node("If", Names("x"), Names("y"), Graph("then_branch", g))},
			Outputs: []*onnx.ValueInfo{{Name: "y"}},
		}
	}
	return Encode(&onnx.Model{IRVersion: 9, Graph: g, Opsets: []onnx.Opset{{Version: 21}}})
}

func nestedBytes(depth int) []byte {
	var b []byte
	for range depth {
		b = concat([]byte{10}, protowire.AppendVarint(nil, uint64(len(b))), b) // sequence_type.elem_type…
		b = field(4, b...)
	}
	return field(7, field(11, concat(field(1, 'x'), field(2, b...))...)...)
}

func callers(pairs ...string) func(*onnx.Model) {
	return func(m *onnx.Model) {
		for _, p := range pairs {
			m.Functions = append(m.Functions, &onnx.Function{
				Name: p[:1], Domain: "own", Inputs: Names("a"), Outputs: Names("b"),
				Nodes: []*onnx.Node{{Op: p[1:], Domain: "own", Inputs: Names("a"), Outputs: Names("b")}},
			})
		}
	}
}

// hostile are files that must be refused, by what is wrong with them.
func hostile() []hostileCase {
	big := func(dims ...uint64) []byte {
		var b []byte
		for _, d := range dims {
			b = append(b, varint(1, d)...)
		}
		return concat(b, varint(2, 1))
	}
	return slices.Concat(hostileFunctions(), hostileSubgraphs(), []hostileCase{
		{"an empty file", nil, "empty file"},
		{"a pickle", []byte("\x80\x04\x95"), "skl2onnx"},
		{"a ZIP archive", []byte("PK\x03\x04"), "ZIP"},
		{"an HTML page", []byte("\n<!DOCTYPE html>"), "HTML"},
		{"a truncated varint", []byte{8, 0x80}, "damaged field 1"},
		{"a varint of eleven bytes", append([]byte{8}, bytes.Repeat([]byte{0xff}, 11)...), "damaged field 1"},
		{"a length beyond the file", []byte{0x3a, 0x7f, 1}, "damaged field 7: it ends too early; copy the file again"},
		{"a text", []byte("# onnxgate\n\nServes models."), "not an ONNX file but text"},
		{"a long text, cut within a character", []byte("#" + strings.Repeat("é", 500)), "not an ONNX file but text"},
		{"a group", []byte{8, 4, 0x3b, 0x3c}, "group"},
		{"field number 0", []byte{0x02, 0}, "damaged field tag"},
		{"a wire type that is not", []byte{0x3f, 0}, "unknown wire type"},
		{"a graph that is a number", varint(7, 1), "wire type 0, not 2"},
		{"two graphs", concat(field(7), field(7)), "field 7 is there twice"},
		{"a name that is no UTF-8", field(2, 0xff), "UTF-8"},
		{"no graph", varint(1, 9), "no graph"},
		{"graphs 1,000 deep", nested(1000), "nests more than 32 deep"},
		{"types 1,000 deep", nestedBytes(1000), "nests more than 32 deep"},

		{"extents whose product overflows", withInitializer(big(1<<31, 1<<31, 1<<31)), "too many elements"},
		{"a negative extent", withInitializer(big(1<<64 - 5)), "extent -5 of axis 0 is out of range"},
		{"a huge extent without data", withInitializer(big(1 << 30)), "at most 268435456"},
		{"extents that the data does not fill", withInitializer(concat(big(4), field(9, 0, 0, 0, 0))), "holds 4 elements, but the file has 1"},
		{"raw data of a broken length", withInitializer(concat(big(1), field(9, 0, 0, 0))), "3 raw bytes"},
		{"integers for floats", withInitializer(concat(big(1), varint(7, 1))), "field 7, which is not for float32"},
		{"an element that does not fit", withInitializer(concat(varint(1, 1), varint(2, 3), varint(5, 300))), "300 does not fit int8"},
		{"more axes than allowed", withInitializer(big(make([]uint64, 40)...)), "40 axes"},
		{"a type of 4 bits", withInitializer(varint(2, 22)), "int4 is not supported"},
		{"data in another file", withInitializer(concat(big(1), varint(14, 1))), "another file"},
		{"a path to another file", withInitializer(concat(big(1), field(13, field(1, []byte("location")...)...))), "another file"},
		{"a sparse initializer", field(7, field(15)...), "sparse"},
		{"an attribute of two types", field(7, field(1, field(5, concat(field(1, 'a'), varint(20, 2), varint(3, 1), field(4, 'b'))...)...)...), "value of another type"},
		{"an attribute without a type", field(7, field(1, field(5, concat(field(1, 'a'), varint(3, 1))...)...)...), "attribute type 0"},
		{"strings of nothing by the million", field(7, field(1, field(5, concat(field(1, 'a'), varint(20, 8), bytes.Repeat([]byte{0x4a, 0}, 16<<20))...)...)...), "more memory than a file of its size"},

		{"an old format", spoiled(func(m *onnx.Model) { m.IRVersion = 2 }), "ir_version) is 2; 3 to 14"},
		{"a format of the future", spoiled(func(m *onnx.Model) { m.IRVersion = 15 }), "ir_version) is 15; 3 to 14"},
		{"no operator set", spoiled(func(m *onnx.Model) { m.Opsets = nil }), "no operator set"},
		{"two operator sets", spoiled(func(m *onnx.Model) { m.Opsets[1] = onnx.Opset{Version: 9} }), "versions 21 and 9"},
		{"an operator set of the future", spoiled(func(m *onnx.Model) { m.Opsets[0].Version = 29 }), "versions up to 28"},
		{"an operator set of no version", spoiled(func(m *onnx.Model) { m.Opsets[0].Version = 0 }), "version 0"},
		{"no output", spoiled(func(m *onnx.Model) { m.Graph.Outputs = nil }), "no output"},
		{"an output that nothing makes", spoiled(func(m *onnx.Model) { m.Graph.Outputs[0].Name = "z" }), `output "z" is made by no node`},
		{"an output twice", spoiled(func(m *onnx.Model) { m.Graph.Outputs = append(m.Graph.Outputs, m.Graph.Outputs[0]) }), `output "y" is listed twice`},
		{"an input without a type", spoiled(func(m *onnx.Model) { m.Graph.Inputs[0].Type = nil }), `input "x" has no type`},
		{"an input that is a map of maps", spoiled(func(m *onnx.Model) {
			inner := onnx.MapOf(tensor.Int64, tensor.Float32)
			*m.Graph.Inputs[0].Type = onnx.Type{Of: onnx.MapType, Elem: tensor.Int64, Inner: &inner}
		}), "cannot be given"},
		{"an input that is a sequence of nothing", spoiled(func(m *onnx.Model) { *m.Graph.Inputs[0].Type = onnx.Type{Of: onnx.SequenceType} }), "cannot be given"},
		{"a missing input", nodes(Node("Identity", Names("gone"), Names("y"))), `input "gone" is not made by any`},
		{"a node that reads itself", nodes(Node("Identity", Names("y"), Names("y"))), "closes a cycle"},
		{"a cycle of two", nodes(Node("Identity", Names("b"), Names("a")), Node("Identity", Names("a"), Names("b"), Int("z", 1))), "closes a cycle"},
		{"a cycle of 20,000", nodes(chain(20_000, true)...), "closes a cycle"},
		{"nodes by the hundred thousand", nodes(chain(100_000, false)...), "more memory than a file of its size may"},
		{"graphs by the ten thousand", field(7, field(1, field(5, concat(field(1, 'a'), varint(20, 10), bytes.Repeat(field(11), 20_000))...)...)...), "more memory than a file of its size may"},
		{"initializers by the hundred thousand", field(7, bytes.Repeat(field(5, concat(varint(2, 1), varint(1, 0), field(8, 'w'))...), 100_000)...), "more memory than a file of its size may"},
		{"operators that are not known, by the hundred", nodes(unknown(100)...), "ai.onnx.Unknown26 (version 21) and 80 more"},
		{"an operator that clears the screen", nodes(Node("\x1b[2J", Names("gone"), Names("y"))), `(\x1b[2J)`},
		{"a regular expression of brackets", nodes(Node("Cast", Names("x"), Names("s"), Int("to", 8)), Node("RegexFullMatch", Names("s"), Names("y"), String("pattern", strings.Repeat("(", 5000)))), "missing closing )"},
		{"nodes in the wrong order", nodes(Node("Identity", Names("a"), Names("y")), Node("Cast", Names("x"), Names("a"))), "topological order"},
		{"a value made twice", nodes(Node("Identity", Names("x"), Names("y")), Node("Identity", Names("x"), Names("y"))), `output "y": the name is already taken`},
		{"an attribute twice", nodes(Node("Cast", Names("x"), Names("y"), Int("to", 1), Int("to", 7))), `attribute "to" is unnamed or there twice`},
		{"a cycle through a subgraph", nodes(Node("If", Names("x"), Names("y"), Graph("then_branch", &onnx.Graph{
			Nodes: []*onnx.Node{Node("Identity", Names("y"), Names("z"))}, Outputs: []*onnx.ValueInfo{{Name: "z"}},
		}))), `attribute "then_branch"`},
		{"a function that calls itself", spoiled(callers("FF")), `function "F" calls itself`},
		{"functions that call each other", spoiled(callers("FG", "GH", "HF")), "calls itself"},
		{"a function twice", spoiled(callers("Fx", "Fx")), `function "F" is unnamed or there twice`},
		{"a function of an operator that is not known", spoiled(func(m *onnx.Model) {
			callers("Fx")(m)
			m.Functions[0].Opsets = []onnx.Opset{{Domain: "own", Version: 1}}
			m.Graph.Nodes[0].Op, m.Graph.Nodes[0].Domain = "F", "own"
		}), `own.x (operator domain "own" is not supported)`},
		{"operators that are not known", nodes(Node("Foo", Names("x"), Names("a")), ML("Bar", Names("a"), Names("y"))), "not supported: ai.onnx.Foo (version 21), ai.onnx.ml.Bar (version 3)"},
		{"an operator older than its meaning", spoiled(func(m *onnx.Model) {
			m.Opsets[0].Version = 9
			m.Graph.Nodes[0] = Node("Mod", Names("x", "x"), Names("y"))
		}), "ai.onnx.Mod (version 9)"},
		{"a domain that is not imported", nodes(&onnx.Node{Op: "Foo", Domain: "com.example", Inputs: Names("x"), Outputs: Names("y")}), "imports no operator set"},
		{"a domain that is not known", spoiled(func(m *onnx.Model) {
			m.Opsets = append(m.Opsets, onnx.Opset{Domain: "com.example", Version: 1})
			m.Graph.Nodes[0].Domain = "com.example"
		}), `operator domain "com.example" is not supported`},
		{"a declared type that is wrong", spoiled(func(m *onnx.Model) {
			wrong := onnx.UnrankedTensor(tensor.Int64)
			m.Graph.Outputs[0].Type = &wrong
		}), "but the model declares tensor(int64)"},
		{"an export of float64", spoiled(func(m *onnx.Model) {
			wide := onnx.UnrankedTensor(tensor.Float64)
			m.Graph.Outputs[0].Type = &wide
		}), "declares tensor(float64); export the model with columns of float32, in Python X.astype(np.float32)"},
		{"an export that is float64 at its end", spoiled(func(m *onnx.Model) {
			m.Graph.Nodes[0] = Node("Cast", Names("x"), Names("y"), Int("to", 11))
			narrow := onnx.UnrankedTensor(tensor.Float32)
			m.Graph.Outputs[0].Type = &narrow
		}), "declares tensor(float32); export the model with columns of float32"},
		{"a declared shape that is wrong inside", spoiled(func(m *onnx.Model) {
			wrong := onnx.TensorOf(tensor.Float32, tensor.Dim{Size: 7})
			m.Graph.Nodes = append(m.Graph.Nodes, Node("Identity", Names("y"), Names("z")))
			m.Graph.Values = []*onnx.ValueInfo{{Name: "y", Type: &wrong}}
			m.Graph.Outputs[0].Name = "z"
		}), "but the model declares tensor(float32)[7]"},

		{"a tree that is its own child", nodes(With(Stump(), Ints("nodes_truenodeids", 0, 0, 0))), "TreeEnsembleRegressor"},
		{"a child that is not there", nodes(With(Stump(), Ints("nodes_truenodeids", 7, 0, 0))), "TreeEnsembleRegressor"},
		{"a negative child", nodes(With(Stump(), Ints("nodes_truenodeids", -1, 0, 0))), "TreeEnsembleRegressor"},
		{"a child of two parents", nodes(With(Stump(), Ints("nodes_truenodeids", 2, 0, 0))), "TreeEnsembleRegressor"},
		{"tree arrays of different lengths", nodes(With(Stump(), Ints("nodes_featureids", 0, 0))), "TreeEnsembleRegressor"},
		{"a vote for a target that is not there", nodes(With(Stump(), Ints("target_ids", 0, 9))), "TreeEnsembleRegressor"},
		{"a vote of a node that is not there", nodes(With(Stump(), Ints("target_nodeids", 1, 9))), "TreeEnsembleRegressor"},
		{"a negative feature", nodes(With(Stump(), Ints("nodes_featureids", -1, 0, 0))), "TreeEnsembleRegressor"},
		{"a feature beyond the input", nodes(With(Stump(), Ints("nodes_featureids", 2, 0, 0))), "3 features, but its input has 2"},
		{"a mode that is not known", nodes(With(Stump(), Strings("nodes_modes", "BRANCH_X", "LEAF", "LEAF"))), "BRANCH_X"},
		{"targets by the billion", nodes(With(Stump(), Int("n_targets", 1<<40))), "TreeEnsembleRegressor"},
		{"no target", nodes(With(Stump(), Int("n_targets", 0))), "TreeEnsembleRegressor"},

		{"coefficients that do not fit", nodes(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients", 1, 2, 3), Int("targets", 2))), "3 coefficients do not make 2 rows"},
		{"coefficients for other features", nodes(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients", 1, 2, 3))), "3 features, but its input has 2"},
		{"no coefficients", nodes(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients"))), "0 coefficients"},
		{"negative targets", nodes(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients", 1, 2), Int("targets", -1))), "must be 1 or more"},
		{"labels that do not fit", nodes(ML("LinearClassifier", Names("x"), Names("y", "z"), Floats("coefficients", 1, 2, 3, 4), Floats("intercepts", 0, 0), Ints("classlabels_ints", 1, 2, 3))), "3 labels for 2"},
		{"labels of both kinds", nodes(ML("LinearClassifier", Names("x"), Names("y", "z"), Floats("coefficients", 1, 2), Ints("classlabels_ints", 1), Strings("classlabels_strings", "a"))), "and not both"},
		{
			"scores of float64", nodes(Node("Cast", Names("x"), Names("w"), Int("to", 11)), ML("ZipMap", Names("w"), Names("y"), Ints("classlabels_int64s", 1, 2))),
			`float32 alone; export columns of float32 (df.astype(numpy.float32)), or with options={"zipmap": False}`,
		},
		{"no labels", nodes(ML("ZipMap", Names("x"), Names("y"))), `names no classes, as exports of several targets do not; export the model with options={"zipmap": False}`},
		{"labels of maps of both kinds", nodes(ML("ZipMap", Names("x"), Names("y"), Ints("classlabels_int64s", 1, 2), Strings("classlabels_strings", "a", "b"))), "and not both"},
		{"labels that are equal", nodes(ML("ZipMap", Names("x"), Names("y"), Ints("classlabels_int64s", 1, 1))), "there twice"},
		{"labels for other columns", nodes(ML("ZipMap", Names("x"), Names("y"), Ints("classlabels_int64s", 1, 2, 3))), "3 classes for 2 columns"},
		{"scales that do not fit", nodes(ML("Scaler", Names("x"), Names("y"), Floats("scale", 1, 2, 3), Floats("offset", 1, 2))), "scale has 3"},
		{"scales for other features", nodes(ML("Scaler", Names("x"), Names("y"), Floats("scale", 1, 2, 3))), "scales 3 features, but its input has 2"},
		{"a norm that is not known", nodes(ML("Normalizer", Names("x"), Names("y"), String("norm", "L9"))), `"L9"`},
		{"a transform that is not known", nodes(ML("LinearRegressor", Names("x"), Names("y"), Floats("coefficients", 1, 2), String("post_transform", "X"))), "post_transform"},
		{"an axis out of range", nodes(Node("ArgMax", Names("x"), Names("y"), Int("axis", 2))), "axis 2 is out of range for 2 axes"},
		{"an axis at the end of numbers", nodes(Node("Concat", Names("x", "x"), Names("y"), Int("axis", -1<<63))), "out of range"},
		{"an attribute that is missing", nodes(Node("Concat", Names("x"), Names("y"))), `attribute "axis" is missing`},
		{"an attribute that is not defined", nodes(Node("Identity", Names("x"), Names("y"), Int("speed", 9))), `attribute "speed" is not defined`},
		{"an attribute newer than its operator set", spoiled(func(m *onnx.Model) {
			m.Opsets[0].Version = 11
			m.Graph.Nodes[0] = Node("ArgMax", Names("x"), Names("y"), Int("select_last_index", 1))
		}), `attribute "select_last_index" is not defined`},
		{"an attribute of the wrong type", nodes(Node("ArgMax", Names("x"), Names("y"), String("axis", "1"))), `attribute "axis" is of type string`},
		{"a graph where none belongs", nodes(Node("Identity", Names("x"), Names("y"), Graph("body", &onnx.Graph{}))), `attribute "body" is not defined`},
		{"too few inputs", nodes(Node("Add", Names("x"), Names("y"))), "1 inputs; it needs 2"},
		{"an input left out", nodes(Node("Add", Names("x", ""), Names("y"))), "input 1 is missing"},
		{"inputs of two types", nodes(Node("Cast", Names("x"), Names("i"), Int("to", 7)), Node("Add", Names("x", "i"), Names("y"))), "they must agree"},
		{"a cast to nothing", nodes(Node("Cast", Names("x"), Names("y"), Int("to", 99))), "not supported"},
		{"strings to add", nodes(Node("Cast", Names("x"), Names("s"), Int("to", 8)), Node("Add", Names("s", "s"), Names("y"))), "elements of type string"},
		{"a shape with two open extents", spoiled(func(m *onnx.Model) {
			m.Graph.Initializers = []onnx.Initializer{Tensor64("s", tensor.Shape{2}, -1, -1)}
			m.Graph.Nodes[0] = Node("Reshape", Names("x", "s"), Names("y"))
		}), "is not valid"},
		{"a constant that folds to too much", spoiled(func(m *onnx.Model) {
			m.Graph.Initializers = []onnx.Initializer{
				Tensor64("a", tensor.Shape{20_000, 1}, make([]int64, 20_000)...),
				Tensor64("b", tensor.Shape{20_000}, make([]int64, 20_000)...),
			}
			m.Graph.Nodes[0] = Node("Add", Names("a", "b"), Names("y"))
		}), "more memory than one prediction may take"},
		{"a constant division by zero", spoiled(func(m *onnx.Model) {
			m.Graph.Initializers = []onnx.Initializer{Tensor64("a", tensor.Shape{1}, 0)}
			m.Graph.Nodes[0] = Node("Div", Names("a", "a"), Names("y"))
		}), "divided by zero"},
		{"a constant without the element that is asked for", spoiled(func(m *onnx.Model) {
			m.Graph.Initializers = []onnx.Initializer{{Name: "r", Tensor: blankTensor(tensor.Float32, nil)}, {Name: "t", Tensor: blankTensor(tensor.Float32, tensor.Shape{1})}}
			m.Graph.Nodes[0] = Node("Dropout", Names("x", "r", "t"), Names("y"))
		}), "input 2 has elements of type float32"},
		{"axes by the thousand", spoiled(func(m *onnx.Model) {
			m.Graph.Initializers = []onnx.Initializer{Tensor64("a", tensor.Shape{5000}, make([]int64, 5000)...)}
			m.Graph.Nodes[0] = Node("ReduceSum", Names("x", "a"), Names("y"))
		}), "out of range for 2 axes"},
		{"attributes by the thousand", func() []byte {
			n := Node("Identity", Names("x"), Names("y"))
			for i := range 1025 {
				n.Attributes = append(n.Attributes, Int(fmt.Sprint("a", i), 1))
			}
			return nodes(n)
		}(), "more than 1024 attributes"},
		{"inputs by the hundred thousand", nodes(Node("Concat", slices.Repeat(Names("x"), 150_000), Names("y"), Int("axis", 0))), "at most 131072 of each"},
		{"a name of a megabyte", nodes(Node("Identity", Names(strings.Repeat("x", 1<<20)), Names("y"))), "…"},
	})
}

// unknown returns nodes of operators that there are not.
func unknown(n int) []*onnx.Node {
	list := make([]*onnx.Node, n)
	for i := range list {
		list[i] = Node(fmt.Sprint("Unknown", i), Names("x"), Names(fmt.Sprint("u", i)))
	}
	list[0].Outputs = Names("y")
	return list
}

func TestHostileModelsAreRefused(t *testing.T) {
	for _, c := range hostile() {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := exec.Load(c.data, onnx.Limits{})
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatal("the model was loaded")
			}
			if kind := fault.KindOf(err); kind != fault.Content {
				t.Errorf("kind %v", kind)
			}
			msg := fault.As(err).Msg
			if !strings.Contains(msg, c.want) {
				t.Errorf("message %q does not say %q", msg, c.want)
			}
			if len(msg) > 1000 || strings.ContainsFunc(msg, unicode.IsControl) {
				t.Errorf("a message of %d bytes: %.100q", len(msg), msg)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20+8*uint64(len(c.data)) {
				t.Errorf("%d MiB allocated for a file of %d bytes", took>>20, len(c.data))
			}
		})
	}
}

func TestLimitsAreKept(t *testing.T) {
	m := identity()
	m.Graph.Nodes = chain(5, false)
	m.Graph.Nodes[4].Outputs = Names("y")
	m.Graph.Initializers = []onnx.Initializer{Tensor64("a", tensor.Shape{3}, 1, 2, 3), Tensor64("b", tensor.Shape{1}, 1)}
	data := Encode(m)
	list := nodes(ML("ZipMap", Names("x"), Names("y"), Ints("classlabels_int64s", 1, 2)))
	text := nodes(ML("Normalizer", Names("x"), Names("y"), String("norm", "L1")))
	for _, c := range []struct {
		name   string
		data   []byte
		limits onnx.Limits
		want   string
	}{
		{"bytes", data, onnx.Limits{Bytes: 10}, "at most 10 are allowed"},
		{"nodes", data, onnx.Limits{Nodes: 4}, "more than 4 nodes"},
		{"initializers", data, onnx.Limits{Initializers: 1}, "more than 1 initializers"},
		{"elements", data, onnx.Limits{Elements: 2}, "at most 2 are allowed"},
		{"attribute list", list, onnx.Limits{AttributeLength: 1}, "2 entries; at most 1"},
		{"attribute string", text, onnx.Limits{AttributeLength: 1}, "2 bytes; at most 1"},
		{"depth", nested(3), onnx.Limits{Depth: 2}, "nests more than 2 deep"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := exec.Load(c.data, c.limits); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
	if _, err := exec.Load(data, onnx.Limits{Nodes: 5, Initializers: 2, Elements: 3}); err != nil {
		t.Errorf("a model at its limits: %v", err)
	}
}
