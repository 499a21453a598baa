package ops

import (
	"context"

	"onnxgate/internal/fault"
	"onnxgate/internal/onnx"
	"onnxgate/internal/onnx/linalg"
	"onnxgate/internal/tensor"
)

// likeness compares each row of input 0 with vectors that a model holds.
type likeness struct {
	vectors *linalg.Vectors
	read    reader[float32]
	values  int // scratch: how some rows compare
}

// newLikeness returns the likeness to vectors.
func newLikeness(n *Node, vectors *linalg.Vectors) likeness {
	c := likeness{vectors: vectors, read: floats[float32](n, 0)}
	if n.err != nil {
		return c
	}
	if _, columns := n.matrixType(); columns.Size >= 0 && columns.Size != c.vectors.Features() {
		n.Failf("it has coefficients or vectors for %d features, but its input has %d", c.vectors.Features(), columns.Size)
	}
	c.values = n.NeedScratch()
	return c
}

// rows returns how many rows an input has.
func (c *likeness) rows(shape tensor.Shape) (int, error) {
	if len(shape) != 1 && len(shape) != 2 {
		return 0, matrixFault(shape)
	}
	rows, columns := matrix(shape)
	if columns != c.vectors.Features() {
		return 0, fault.Newf(fault.Content, "an input of shape %s does not have the %d features of the model",
			onnx.FormatShape(shape), c.vectors.Features())
	}
	return rows, nil
}

// each calls row with how every row of input 0 compares: a value for each
// vector, and some more without a meaning.
func (c *likeness) each(ctx context.Context, f *Frame, rows int, row func(r int, values []float32) error) error {
	width := c.vectors.Width()
	return c.groups(ctx, f, rows, func(from, n int, values []float32) error {
		for r := range n {
			if err := row(from+r, values[r*width:(r+1)*width]); err != nil {
				return err
			}
		}
		return nil
	})
}

// groups is each for the n rows from one on together, whose values begin a width of
// the vectors apart.
func (c *likeness) groups(ctx context.Context, f *Frame, rows int, group func(from, n int, values []float32) error) error {
	x, err := c.read(f)
	if err != nil || rows == 0 {
		return err
	}
	atOnce, width, features := min(c.vectors.Group(), rows), c.vectors.Width(), c.vectors.Features()
	values, err := Scratch[float32](f, c.values, atOnce*width)
	if err != nil {
		return err
	}
	for from := 0; from < rows; from += atOnce {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(atOnce, rows-from)
		if err := c.vectors.Run(ctx, values, x[from*features:(from+n)*features], n); err != nil {
			return err
		}
		if err := group(from, n, values); err != nil {
			return err
		}
	}
	return nil
}

// weighed returns sum and the weights' products with how the one row of input 0
// compares.
func (c *likeness) weighed(ctx context.Context, f *Frame, sum float32, weights []float32) (float32, error) {
	x, err := c.read(f)
	if err != nil {
		return 0, err
	}
	values, err := Scratch[float32](f, c.values, c.vectors.Width())
	if err != nil {
		return 0, err
	}
	return c.vectors.Weighed(ctx, sum, weights, values, x)
}
