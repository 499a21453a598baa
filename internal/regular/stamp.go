package regular

import (
	"io/fs"
	"time"
)

// Stamp tells a file from what it was without reading it. Two that are equal
// are of the same content, as long as the first was Settled. It follows what
// the file system knows: who sets a clock back, and a time of change with it,
// is not seen.
type Stamp struct {
	// Size is in bytes; Modified, and Changed where it is known, are in
	// nanoseconds of Unix time.
	Size              int64
	Mode              fs.FileMode
	Modified, Changed int64
	// Device and Inode are zero where they are not known.
	Device, Inode uint64
}

// StampOf returns the stamp of a file.
func StampOf(info fs.FileInfo) Stamp {
	s := Stamp{Size: info.Size(), Mode: info.Mode()}
	if modified := info.ModTime(); !modified.IsZero() {
		s.Modified = modified.UnixNano()
	}
	s.Changed, s.Device, s.Inode = identity(info)
	return s
}

// granularity is longer than the step in which any common file system counts
// time: FAT's is 2 s.
const granularity = 2*time.Second + 500*time.Millisecond

// Settled reports whether a change after at would have given the file another
// stamp: the last one is so long before at that the clock of the file system has
// moved on. It is never for a file whose times are not known.
func (s Stamp) Settled(at time.Time) bool {
	return s.Modified != 0 && max(s.Modified, s.Changed) < at.Add(-granularity).UnixNano()
}
