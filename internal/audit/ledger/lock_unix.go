//go:build unix

package ledger

import (
	"errors"
	"os"
	"syscall"
)

// hold waits until no other process holds the lock, or only shares it, and holds
// it. The kernel gives it up when the process ends, however it ends.
func hold(f *os.File, shared bool) error {
	how := syscall.LOCK_EX
	if shared {
		how = syscall.LOCK_SH
	}
	for {
		err := syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// release gives the lock up.
func release(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
