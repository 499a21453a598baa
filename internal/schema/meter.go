package schema

import (
	"context"

	"onnxgate/internal/fault"
)

// meter counts the work of reading one request, so that one whose deadline has
// passed, or whose client is gone, ends soon.
type meter struct {
	ctx  context.Context //nolint:containedctx // one request long
	left int
}

const (
	// meterEvery is after how much work the context is looked at: some
	// milliseconds of reading, or one pattern held against one text.
	meterEvery = 1 << 20
	// plainWork is that of one character that is read, in instructions of a
	// pattern, and valueWork that of any value.
	plainWork, valueWork = 4, 64
	// stepWork is that of one character for each step of cleaning, which may be
	// taken several times.
	stepWork = 16
)

func newMeter(ctx context.Context) meter { return meter{ctx, meterEvery} }

// spend counts work. Its error is a fault once the context is done.
func (m *meter) spend(work int) error {
	if m.left -= work; m.left > 0 {
		return nil
	}
	m.left = meterEvery
	if err := m.ctx.Err(); err != nil {
		return fault.OfContext(err)
	}
	return nil
}

// work bounds the work of reading and checking a value of so many bytes.
func (f *field) work(size int) int { return valueWork + size*f.perByte }

// workPerByte is that of a text or a number of the feature.
func (f *field) workPerByte() int { return plainWork + stepWork*len(f.Sanitize) + f.instructions }
