package ops

import (
	"context"
	"slices"

	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/onnx/tree"
	"onnxgate/internal/tensor"
)

// svmOps is support vector machines (ai.onnx.ml).
var svmOps = []Operator{
	{ML, "SVMRegressor", 1, one, one, parseSVMRegressor},
	{ML, "SVMClassifier", 1, one, two, parseSVMClassifier},
}

// svm is what SVMRegressor and SVMClassifier share: vectors that each row is
// compared with. A model without support vectors is linear, and its vectors
// are its coefficients.
type svm struct {
	likeness
	coefficients []float32
	rho          []float32
	transform    tree.Transform
	supports     int
	linear       bool
}

// parseSVM reads the attributes. supports is the number of support vectors;
// outputs is the number of rows of coefficients of a model that has none.
func parseSVM(n *Node, supports, outputs int) *svm {
	n.Need("rho")
	n.Need("coefficients")
	s := &svm{coefficients: n.Floats("coefficients"), rho: n.Floats("rho"), supports: supports, linear: supports == 0}
	var err error
	if s.transform, err = tree.ParseTransform(n.String("post_transform", "NONE")); err != nil {
		n.Failf("%v", err)
	}
	kernel := parseVectorKernel(n)
	data, count := n.Floats("support_vectors"), supports
	if s.linear {
		data, count = s.coefficients, outputs
	}
	if len(s.rho) == 0 || len(data) == 0 || len(data)%count != 0 {
		n.Failf("its %d numbers do not make %d vectors, or rho is empty", len(data), count)
	}
	switch {
	case n.err != nil:
	case s.linear:
		s.likeness = newLikeness(n, linalg.NewLinear(data, slices.Repeat(s.rho[:1], count)))
	default:
		s.likeness = newLikeness(n, linalg.NewVectors(kernel, data, count))
	}
	return s
}

// parseSVMRegressor reads SVMRegressor (ai.onnx.ml 1). As in ONNX Runtime,
// post_transform has no effect: there is a single target. With one_class the
// result is 1 for what the model takes for usual, else -1.
func parseSVMRegressor(n *Node) Kernel {
	supports := n.Int("n_supports", 0)
	if supports < 0 || supports > tensor.MaxElements {
		n.Failf("attribute \"n_supports\" is %d", supports)
		supports = 0
	}
	oneClass := n.Int("one_class", 0) != 0
	s := parseSVM(n, int(supports), 1)
	if len(s.coefficients) < int(supports) {
		n.Failf("it has %d coefficients for %d support vectors", len(s.coefficients), supports)
	}
	if n.err != nil {
		return nil
	}
	rows, _ := n.matrixType()
	n.SetOut(0, onnx.TensorOf(tensor.Float32, rows, tensor.Dim{Size: 1}))
	return func(ctx context.Context, f *Frame) error {
		rows, err := s.rows(f.In(0).Shape())
		if err != nil {
			return err
		}
		dst, err := Output[float32](f, 0, rows, 1)
		if err != nil {
			return err
		}
		if err := s.targets(ctx, f, dst); err != nil {
			return err
		}
		if oneClass {
			for i, v := range dst {
				dst[i] = sign(v)
			}
		}
		return nil
	}
}

// targets sets dst to the values of a regressor, one for each row.
func (s *svm) targets(ctx context.Context, f *Frame, dst []float32) error {
	weights, width := s.coefficients[:s.supports], s.vectors.Width()
	if len(dst) == 1 && !s.linear {
		var err error
		dst[0], err = s.weighed(ctx, f, s.rho[0], weights)
		return err
	}
	return s.groups(ctx, f, len(dst), func(from, n int, kernels []float32) error {
		some := dst[from : from+n]
		for i := range some {
			if some[i] = s.rho[0]; s.linear {
				some[i] = kernels[i*width]
			}
		}
		return linalg.WeighRows(ctx, some, weights, kernels, width)
	})
}

func sign(v float32) float32 {
	if v > 0 {
		return 1
	}
	return -1
}

// parseVectorKernel reads kernel_type and kernel_params.
func parseVectorKernel(n *Node) linalg.Kernel {
	var k linalg.Kernel
	switch name := n.String("kernel_type", "LINEAR"); name {
	case "LINEAR":
		k.Kind = linalg.Linear
	case "POLY":
		k.Kind = linalg.Poly
	case "RBF":
		k.Kind = linalg.RBF
	case "SIGMOID":
		k.Kind = linalg.Sigmoid
	default:
		n.Failf("attribute \"kernel_type\" is %s; it must be LINEAR, POLY, RBF or SIGMOID", onnx.Quote(name))
	}
	switch p := n.Floats("kernel_params"); len(p) {
	case 0: // all zero
	case 3:
		k.Gamma, k.Coef0, k.Degree = p[0], p[1], p[2]
	default:
		n.Failf("attribute \"kernel_params\" has %d entries; it needs gamma, coef0 and degree", len(p))
	}
	return k
}
