package argon_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTheProcessGivesWayToTheServer(t *testing.T) {
	w := newWorker(t, nil)
	if _, err := w.Hash(t.Context(), &job); err != nil {
		t.Fatal(err)
	}
	tasks := fmt.Sprintf("/proc/%d/task", w.Running())
	threads, err := os.ReadDir(tasks)
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads %v, %v", threads, err)
	}
	for _, thread := range threads {
		text, err := os.ReadFile(tasks + "/" + thread.Name() + "/stat")
		if os.IsNotExist(err) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		// The 19th field of all; two stand before the end of the brackets (proc(5)).
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if fields[16] != "10" {
			t.Errorf("thread %s has nice value %s", thread.Name(), fields[16])
		}
	}
	environ, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", w.Running()))
	if err != nil || string(environ) != "GOMAXPROCS=1\x00" {
		t.Errorf("its environment is %q, %v", environ, err)
	}
}
