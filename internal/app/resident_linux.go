package app

import (
	"bufio"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// forgetStart takes the pages of the program's own file out of this process. The
// kernel maps generously around whatever a start touches once; what serves
// requests is a fraction of that and comes back from the page cache at the first
// use. Failure costs nothing but the pages.
func forgetStart() {
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return
	}
	defer f.Close() //nolint:errcheck // was only read
	var start, end uintptr
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		if name, kB, ok := strings.Cut(line, ":"); ok && !strings.Contains(name, " ") {
			// A page that was written to, as the linker of a dynamic program does, is
			// nowhere else: such a mapping has anonymous pages, and stays.
			if name == "Anonymous" && strings.TrimSpace(kB) == "0 kB" && end > start {
				_, _, _ = unix.Syscall(unix.SYS_MADVISE, start, end-start, unix.MADV_DONTNEED)
			}
			continue
		}
		start, end = readOnly(line, exe)
	}
}

// readOnly returns the addresses of a mapping of the file that cannot be written
// to, from the head of its entry (proc_pid_maps(5)), and zeros for any other.
func readOnly(line, file string) (start, end uintptr) {
	fields := strings.Fields(line)
	if len(fields) < 6 || strings.Contains(fields[1], "w") || !strings.HasSuffix(line, " "+file) {
		return 0, 0
	}
	low, high, _ := strings.Cut(fields[0], "-")
	from, err := strconv.ParseUint(low, 16, 64)
	to, err2 := strconv.ParseUint(high, 16, 64)
	if err != nil || err2 != nil {
		return 0, 0
	}
	return uintptr(from), uintptr(to)
}
