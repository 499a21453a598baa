package cli

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"

	"onnxgate/internal/schema"
)

// loading is what it takes to load the model.
type loading struct {
	Engine        string  `json:"engine"`
	Milliseconds  float64 `json:"load_ms"`
	FileBytes     int64   `json:"file_bytes"`
	ResidentBytes int64   `json:"resident_bytes"` // that the loaded model adds
}

func (l *loading) String() string {
	const mega = 1e6
	return fmt.Sprintf("%s: loaded in %.0f ms; %.1f MB resident for a file of %.1f MB",
		l.Engine, l.Milliseconds, float64(l.ResidentBytes)/mega, float64(l.FileBytes)/mega)
}

// measureLoad measures one load of the file.
func (p *Process) measureLoad(file string, engine schema.Engine, load func() error) (loading, error) {
	before := resident()
	start := p.Now()
	if err := load(); err != nil {
		return loading{}, err
	}
	took := p.Now().Sub(start)
	info, err := os.Stat(file)
	if err != nil {
		return loading{}, err
	}
	return loading{
		Engine: string(engine), Milliseconds: took.Seconds() * 1e3,
		FileBytes: info.Size(), ResidentBytes: max(resident()-before, 0),
	}, nil
}

// resident returns the memory that the process has when it has given back what
// it can: that of C libraries is counted where the system tells it, as Linux.
func resident() int64 {
	debug.FreeOSMemory()
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		if fields := bytes.Fields(statm); len(fields) > 1 {
			if pages, err := strconv.ParseInt(string(fields[1]), 10, 64); err == nil {
				return pages * int64(os.Getpagesize())
			}
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased) //nolint:gosec // G115: memory of one process
}
