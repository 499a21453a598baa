package linalg

import "context"

const (
	// panelWidth is the number of columns that are computed side by side.
	panelWidth = 16
	// tileRows is the number of rows that are computed at once.
	tileRows = 4
	// edgeRows is how many rows of a panel that is not filled are computed before
	// they are copied.
	edgeRows = 32
	// blockDepth and blockRows keep a panel of B and a block of A in the
	// caches while they are multiplied.
	blockDepth = 256
	blockRows  = 128
)

// Panels is a matrix in the order in which Gemm reads it: panels of 16 columns,
// each row by row, the last filled up with zeros.
type Panels[T Number] struct {
	data       []T
	rows, cols int
}

// Len returns the number of elements that the panels hold, padding included.
func (p Panels[T]) Len() int { return len(p.data) }

// PanelLen returns the length of the slice that Pack needs.
func PanelLen(rows, cols int) int {
	return (cols + panelWidth - 1) / panelWidth * panelWidth * rows
}

// Pack writes b into dst, which is as long as PanelLen says, and returns it as
// panels.
func Pack[T Number](dst []T, b Matrix[T]) Panels[T] {
	at := 0
	for j := 0; j < b.Cols; j += panelWidth {
		width := min(panelWidth, b.Cols-j)
		for k := range b.Rows {
			row := dst[at : at+panelWidth]
			at += panelWidth
			from := b.Data[k*b.RowStride+j*b.ColStride:]
			if b.ColStride == 1 {
				copy(row, from[:width])
			} else {
				for c := range width {
					row[c] = from[c*b.ColStride]
				}
			}
			clear(row[width:])
		}
	}
	return Panels[T]{dst[:at], b.Rows, b.Cols}
}

// GemmPacked is Gemm for a constant matrix that was packed before. Of float32 a
// sum is made of 256 products at a time, as ONNX Runtime makes it then.
func GemmPacked[T Number](ctx context.Context, dst []T, a Matrix[T], b Panels[T]) error {
	return multiplyPanels(ctx, dst, a, b, constantDepth(a, b.rows, b.cols))
}

// constantDepth is depthAtOnce for a B that ONNX Runtime packs as well.
func constantDepth[T Number](a Matrix[T], rows, cols int) int {
	if _, double := any(a.Data).([]float64); double {
		return depthAtOnce(a, rows, cols)
	}
	return blockDepth
}

// multiplyPanels makes sums of depth products at a time, each in their order.
func multiplyPanels[T Number](ctx context.Context, dst []T, a Matrix[T], b Panels[T], atOnce int) error {
	if b.rows == 0 {
		clear(dst)
	}
	if x, ok := any(a.Data).([]float32); ok && vectorUnit && a.Rows == 1 && a.ColStride == 1 {
		to, _ := any(dst).([]float32)
		panels, _ := any(b.data).([]float32)
		return multiplyRow(ctx, to, x, Panels[float32]{panels, b.rows, b.cols}, atOnce)
	}
	var w Work
	for k := 0; k < b.rows; k += atOnce {
		depth := min(atOnce, b.rows-k)
		for i := 0; i < a.Rows; i += blockRows {
			rows := min(blockRows, a.Rows-i)
			for j := 0; j < b.cols; j += panelWidth {
				if err := w.add(ctx, depth*rows*panelWidth); err != nil {
					return err
				}
				panelBlock(dst, a, b, span{i, rows}, j, span{k, depth})
			}
		}
	}
	return nil
}

// multiplyRow is multiplyPanels of one row, for several panels side by side.
func multiplyRow(ctx context.Context, dst, x []float32, b Panels[float32], atOnce int) error {
	var w Work
	for k := 0; k < b.rows; k += atOnce {
		depth := min(atOnce, b.rows-k)
		for j := 0; j < b.cols; j += abreast * panelWidth {
			width := min(abreast*panelWidth, b.cols-j)
			if err := w.add(ctx, depth*width); err != nil {
				return err
			}
			var sums [abreast * panelWidth]float32
			addPanelParts(sums[:], x[k:k+depth], 0, b.data[j*b.rows+k*panelWidth:], b.rows*panelWidth, depth, (width+panelWidth-1)/panelWidth)
			put(dst[j:], sums[:width], k > 0)
		}
	}
	return nil
}

// span is a range of rows, columns or both.
type span struct{ from, n int }

// panelBlock multiplies a block of a by a part of the panel that begins at
// column j.
func panelBlock[T Number](dst []T, a Matrix[T], b Panels[T], rows span, j int, depth span) {
	panel := b.data[j*b.rows+depth.from*panelWidth:][:depth.n*panelWidth]
	width := min(panelWidth, b.cols-j)
	if width == panelWidth {
		tile(target[T]{dst[rows.from*b.cols+j:], b.cols, rows.n, panelWidth, depth.from > 0},
			a.from(rows.from, depth.from), panel, panelWidth, depth.n)
		return
	}
	var edge [edgeRows * panelWidth]T
	for i := 0; i < rows.n; i += edgeRows {
		at, height := rows.from+i, min(edgeRows, rows.n-i)
		tile(target[T]{edge[:], panelWidth, height, width, false}, a.from(at, depth.from), panel, panelWidth, depth.n)
		for r := range height {
			put(dst[(at+r)*b.cols+j:], edge[r*panelWidth:][:width], depth.from > 0)
		}
	}
}

// from returns the view that begins at (i, k).
func (m Matrix[T]) from(i, k int) Matrix[T] {
	m.Data = m.Data[i*m.RowStride+k*m.ColStride:]
	return m
}

// target is where a tile goes: rows of 16 elements at a stride. Only columns of
// the elements matter. With add they are added to, else set.
type target[T Number] struct {
	data          []T
	stride        int
	rows, columns int
	add           bool
}

// tile computes rows of a by 16 columns of b, over depth.
func tile[T Number](c target[T], a Matrix[T], b []T, stride, depth int) {
	switch data := any(c.data).(type) {
	case []float32:
		fa, _ := any(a.Data).([]float32)
		fb, _ := any(b).([]float32)
		if tileFloat32(target[float32]{data, c.stride, c.rows, c.columns, c.add},
			Matrix[float32]{fa, a.Rows, a.Cols, a.RowStride, a.ColStride}, fb, stride, depth) {
			return
		}
	case []float64:
		fa, _ := any(a.Data).([]float64)
		fb, _ := any(b).([]float64)
		if tileFloat64(target[float64]{data, c.stride, c.rows, c.columns, c.add},
			Matrix[float64]{fa, a.Rows, a.Cols, a.RowStride, a.ColStride}, fb, stride, depth) {
			return
		}
	}
	tileGo(c, a, b, stride, depth)
}

// tileGo computes two rows by four columns at a time, which is what the
// registers hold.
func tileGo[T Number](c target[T], a Matrix[T], b []T, stride, depth int) {
	for i := 0; i < c.rows; i += 2 {
		second := min(i+1, c.rows-1) // an odd last row is computed twice
		x, y := a.Data[i*a.RowStride:], a.Data[second*a.RowStride:]
		for j := 0; j < c.columns; j += 4 {
			s := quad(x, y, a.ColStride, b[j:], stride, depth)
			put(c.data[i*c.stride+j:], s[:4], c.add)
			if second > i {
				put(c.data[second*c.stride+j:], s[4:], c.add)
			}
		}
	}
}

func put[T Number](dst, s []T, add bool) {
	dst = dst[:len(s)]
	for i, v := range s {
		if add {
			v += dst[i]
		}
		dst[i] = v
	}
}

// quad returns the products of two rows with four columns.
func quad[T Number](x, y []T, step int, b []T, stride, depth int) [8]T {
	var s0, s1, s2, s3, t0, t1, t2, t3 T
	at, from := 0, 0
	for range depth {
		p, q := x[at], y[at]
		v := b[from : from+4 : from+4]
		s0 += p * v[0]
		s1 += p * v[1]
		s2 += p * v[2]
		s3 += p * v[3]
		t0 += q * v[0]
		t1 += q * v[1]
		t2 += q * v[2]
		t3 += q * v[3]
		at += step
		from += stride
	}
	return [8]T{s0, s1, s2, s3, t0, t1, t2, t3}
}
