package regular

import (
	"io/fs"
	"syscall"
)

// identity returns what only the operating system knows. The time of change tells
// of a new content under an old time of modification.
func identity(info fs.FileInfo) (changed int64, device, inode uint64) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, 0
	}
	return stat.Ctim.Nano(), stat.Dev, stat.Ino
}
