package regular

import (
	"fmt"
	"io/fs"
)

// The permission bits of other users, on files that hold secrets and on their
// folders. Those of the group are left alone: volume managers set them for a group
// that the server alone is in.
const (
	OthersWrite  fs.FileMode = 0o002
	OthersAccess fs.FileMode = 0o007
)

// ModeError is the reason for refusing a file or a folder that other users may
// change, or also read.
type ModeError struct {
	Path string
	Mode fs.FileMode
	// Read says that reading alone is too much.
	Read bool
}

// Error says what others may do, and how to stop them.
func (e *ModeError) Error() string {
	may, want := "lets other users change it", 0o600
	if e.Read {
		may = "gives other users access"
	}
	if e.Mode.IsDir() {
		want = 0o700
	}
	return fmt.Sprintf("its mode %04o %s: run chmod %o %s", e.Mode.Perm(), may, want, e.Path)
}

// CheckMode refuses a mode that has one of the forbidden bits, which are OthersWrite
// or OthersAccess. Its errors are of type *ModeError.
func CheckMode(path string, mode, forbidden fs.FileMode) error {
	if mode.Perm()&forbidden == 0 {
		return nil
	}
	return &ModeError{Path: path, Mode: mode, Read: forbidden == OthersAccess}
}
