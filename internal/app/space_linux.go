//go:build linux

package app

import "golang.org/x/sys/unix"

// freeSpace returns how many bytes this user may still write to a file system.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // G115: a size of blocks is above 0
}
