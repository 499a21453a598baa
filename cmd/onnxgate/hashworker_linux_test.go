package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// children returns the command lines of the processes that the process started,
// by their ids.
func (p *process) children(t *testing.T) map[string]string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.cmd.Process.Pid))
	if err != nil || len(lists) == 0 {
		t.Fatalf("the children of a process are not listed: %v", err)
	}
	all := map[string]string{}
	for _, list := range lists {
		ids, _ := os.ReadFile(list) // a thread may have ended
		for id := range strings.FieldsSeq(string(ids)) {
			line, _ := os.ReadFile("/proc/" + id + "/cmdline")
			all[id] = strings.ReplaceAll(string(line), "\x00", " ")
		}
	}
	return all
}

func TestPasswordsAreHashedBesideTheServerWhichTakesThatProcessWithIt(t *testing.T) {
	p := startProcess(t) // the first start hashes the administrator's password
	children := p.children(t)
	if len(children) != 1 {
		t.Fatalf("the processes of the server: %v", children)
	}
	for id, line := range children {
		if line != "onnxgate hash-worker " {
			t.Errorf("process %s is %q", id, line)
		}
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("the stop: %v", err)
	}
	for id := range children {
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if _, err := os.Stat("/proc/" + id); os.IsNotExist(err) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("process %s is still there", id)
			}
		}
	}
}
