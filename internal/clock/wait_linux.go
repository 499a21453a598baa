package clock

import (
	"context"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// wait returns after d, measured by the kernel's timer (timerfd_create(2)): to some
// microseconds, whenever it began. The timers of Go's runtime count whole milliseconds
// from when a thread begins to wait, and so tell when that was. It holds no thread.
func wait(ctx context.Context, d time.Duration) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return waitRoughly(ctx, d)
	}
	timer := os.NewFile(uintptr(fd), "timer")
	defer timer.Close() //nolint:errcheck // nothing is written to it
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(int64(d))}, nil); err != nil {
		return waitRoughly(ctx, d)
	}
	defer context.AfterFunc(ctx, func() { _ = timer.SetReadDeadline(time.Unix(1, 0)) })()
	var expirations [8]byte
	if _, err := timer.Read(expirations[:]); err != nil && ctx.Err() == nil {
		return waitRoughly(ctx, d)
	}
	return ctx.Err()
}
