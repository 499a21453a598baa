package argon

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// nice is the priority of the process (setpriority(2)): when all cores are taken,
// it has a tenth of the time of a process that answers requests, and gives way to
// one that wakes up; it is never without any.
const nice = 10

// apart keeps the signals of the terminal from the process: the server, which
// they are for, may still want hashes while it drains.
func apart(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// lowerPriority lowers the priority of all threads there are; those to come have
// that of the thread that makes them.
func lowerPriority() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return syscall.Setpriority(syscall.PRIO_PROCESS, 0, nice) // of this thread
	}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return err
		}
		if err := syscall.Setpriority(syscall.PRIO_PROCESS, id, nice); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}
