package ledger

import (
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
)

// Beside the lines of a segment stand their tags, of eight bytes each and in the order
// of the lines, so that one line is found without a look at all of them. They prove
// nothing: whoever finds a line by its tag looks at what it says.

// Tagged calls do with the lines that have a tag, the newest first, until it returns
// an error. Lines whose tag was not written are not among them.
func (v *View) Tagged(ctx context.Context, tag uint64, do func(index int64) error) error {
	for _, first := range slices.Backward(v.firsts) {
		if err := ctx.Err(); err != nil {
			return err
		}
		tags, err := os.ReadFile(tagsPath(v.dir, first))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for at := len(tags)/tagSize - 1; at >= 0; at-- {
			if binary.LittleEndian.Uint64(tags[at*tagSize:]) != tag {
				continue
			}
			if err := do(first + int64(at)); err != nil {
				return err
			}
		}
	}
	return nil
}
