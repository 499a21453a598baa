package argon_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"onnxgate/internal/argon"
	"onnxgate/internal/testkit"
)

// asWorker is the argument that makes the test's own binary a Worker's process.
const asWorker = "be-the-worker"

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == asWorker {
		if err := argon.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// job and known are the cheapest of the test vectors in the reference
// implementation of argon2id: m=256, t=2, p=1.
var job = argon.Job{Password: []byte("password"), Salt: []byte("somesalt"), Time: 2, Memory: 1 << 8, Threads: 1, Size: 32}

const known = "9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe"

func newWorker(t *testing.T, override func(*argon.Config)) *argon.Worker {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := argon.Config{
		Path: path, Args: []string{path, asWorker},
		Failed: func(_ context.Context, err error) { t.Errorf("the process was of no use: %v", err) },
	}
	if override != nil {
		override(&cfg)
	}
	w := argon.NewWorker(cfg)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func wantKnown(t *testing.T, hash []byte, err error) {
	t.Helper()
	if err != nil || hex.EncodeToString(hash) != known {
		t.Errorf("hash = %x, %v, want %s", hash, err, known)
	}
}

func TestAProcessOfItsOwnComputesTheSameHash(t *testing.T) {
	here, err := argon.Here{}.Hash(t.Context(), &job)
	wantKnown(t, here, err)
	w := newWorker(t, nil)
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			hash, err := w.Hash(t.Context(), &job)
			wantKnown(t, hash, err)
		})
	}
	all.Wait()
}

func TestTheProcessEndsWithoutWorkAndStartsAgain(t *testing.T) {
	w := newWorker(t, func(c *argon.Config) { c.Idle = time.Millisecond })
	for range 3 {
		hash, err := w.Hash(t.Context(), &job)
		wantKnown(t, hash, err)
		testkit.Eventually(t, "the process without work ends", func() bool { return w.Running() == 0 })
	}
}

func TestAProcessThatWasKilledIsReplaced(t *testing.T) {
	w := newWorker(t, nil)
	_, err := w.Hash(t.Context(), &job)
	if err != nil {
		t.Fatal(err)
	}
	first := w.Running()
	process, err := os.FindProcess(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	hash, err := w.Hash(t.Context(), &job)
	wantKnown(t, hash, err)
	if next := w.Running(); next == 0 || next == first {
		t.Errorf("process %d after %d", next, first)
	}
}

func TestWithoutAProcessTheHashIsComputedHereAndToldSo(t *testing.T) {
	for name, override := range map[string]func(*argon.Config){
		"no such program":           func(c *argon.Config) { c.Path = "/no/such/program" },
		"a program that does less":  func(c *argon.Config) { c.Path, c.Args = "/bin/true", []string{"true"} },
		"a program that does other": func(c *argon.Config) { c.Path, c.Args = "/bin/echo", []string{"echo", `"AAAA"`} },
	} {
		t.Run(name, func(t *testing.T) {
			var told []error
			w := newWorker(t, func(c *argon.Config) {
				override(c)
				c.Failed = func(_ context.Context, err error) { told = append(told, err) }
			})
			hash, err := w.Hash(t.Context(), &job)
			wantKnown(t, hash, err)
			if len(told) != 1 {
				t.Errorf("told %v", told)
			}
		})
	}
}

func TestAfterTheEndNoProcessIsStarted(t *testing.T) {
	var told []error
	w := newWorker(t, func(c *argon.Config) { c.Failed = func(_ context.Context, err error) { told = append(told, err) } })
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	hash, err := w.Hash(t.Context(), &job)
	wantKnown(t, hash, err)
	if w.Running() != 0 || len(told) != 1 || !strings.Contains(told[0].Error(), "closed") {
		t.Errorf("process %d, told %v", w.Running(), told)
	}
}

func TestWhoeverWentAwayCostsNoHash(t *testing.T) {
	w := newWorker(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Hash(ctx, &job); !errors.Is(err, context.Canceled) || w.Running() != 0 {
		t.Errorf("%v, process %d", err, w.Running())
	}
}
