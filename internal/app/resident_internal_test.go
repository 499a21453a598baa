//go:build linux

package app

import "testing"

func TestOnlyReadOnlyMappingsOfTheProgramAreForgotten(t *testing.T) {
	const program = "/opt/on x/onnxgate"
	for name, c := range map[string]struct {
		line       string
		start, end uintptr
	}{
		"code":             {"00400000-0152a000 r-xp 00000000 fe:00 10846339                           " + program, 0x400000, 0x152a000},
		"data":             {"027a1000-028a7000 rw-p 023a1000 fe:00 10846339                           " + program, 0, 0},
		"another file":     {"7fbcc1074000-7fbcc107c000 r--s 00000000 fe:00 10865432                   /data/onnxgate.db-shm", 0, 0},
		"no file":          {"7ffd0a1e2000-7ffd0a1e6000 r--p 00000000 00:00 0                          [vvar]", 0, 0},
		"no address":       {"zz-0152a000 r-xp 00000000 fe:00 10846339 " + program, 0, 0},
		"replaced by now":  {"00400000-0152a000 r-xp 00000000 fe:00 10846339 " + program + " (deleted)", 0, 0},
		"a field is short": {"00400000-0152a000 r-xp", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			if start, end := readOnly(c.line, program); start != c.start || end != c.end {
				t.Errorf("got %x-%x, want %x-%x", start, end, c.start, c.end)
			}
		})
	}
}
