package main

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"onnxgate/internal/testkit"
)

func TestMain(m *testing.M) { testscript.Main(m, map[string]func(){"onnxgate": main}) }

func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("ROOT", root)
			env.Setenv("ADDR", freeAddr(t))
			env.Setenv("ONNXGATE_ADMIN_ADDR", "off")
			env.Setenv("ONNXGATE_GRPC_ADDR", "off")
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits":      exits,
			"eventually": eventually,
		},
	})
}

// exits CODE PROGRAM ARG… runs a program that must end with the code, and must
// say on one line of standard error why, unless the code is 0.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
	if lines := strings.Count(ts.ReadFile("stderr"), "\n"); want != 0 && lines != 1 {
		ts.Fatalf("%d lines on standard error, want one:\n%s", lines, ts.ReadFile("stderr"))
	}
}

// eventually PROGRAM ARG… runs a program until it succeeds.
func eventually(ts *testscript.TestScript, _ bool, args []string) {
	deadline := time.Now().Add(20 * time.Second)
	for ts.Exec(args[0], args[1:]...) != nil {
		if time.Now().After(deadline) {
			ts.Fatalf("%s did not succeed in time", args)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// freeAddr returns an address on loopback that nobody listens on.
func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := testkit.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// serve runs the binary in dir as `make run` does and returns what it printed
// for pasting.
func serve(t *testing.T, dir, addr string) (pasted string, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "onnxgate", "serve", "--print-examples", "--addr", addr)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ONNXGATE_DOCS=on", "ONNXGATE_ADMIN_ADDR=off", "ONNXGATE_GRPC_ADDR=off")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	log := &strings.Builder{}
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	predictions := 0 // the second one is the last of the lines
	for s := bufio.NewScanner(out); s.Scan(); {
		line := s.Text()
		lines = append(lines, line)
		if strings.HasPrefix(line, "curl ") {
			predictions++
		}
		if predictions == 2 && !strings.HasSuffix(line, `\`) {
			break
		}
	}
	return strings.Join(lines, "\n"), func() {
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("serve: %v\n%s", err, log)
		}
	}
}

// commands keeps the lines that are to be pasted: those that begin with curl,
// NAME= or the binary (which is not in bin here), each with the lines that
// continue it.
func commands(printed string) string {
	var b strings.Builder
	continued := false
	for line := range strings.SplitSeq(printed, "\n") {
		name, _, assigned := strings.Cut(line, "=")
		isName := assigned && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == ""
		if continued || isName || strings.HasPrefix(line, "curl ") || strings.HasPrefix(line, "onnxgate ") {
			b.WriteString(line + "\n")
			continued = strings.HasSuffix(line, `\`)
		}
	}
	return b.String()
}

func TestPrintedLinesCanBePastedOnTheFirstDayAndTheSecond(t *testing.T) {
	for tool, debianPackage := range map[string]string{"bash": "bash", "curl": "curl", "sed": "sed", "base64": "coreutils"} {
		testkit.Tool(t, tool, debianPackage)
	}
	dir := t.TempDir()
	addr := freeAddr(t)
	for day := range 2 {
		printed, stop := serve(t, dir, addr)
		script := commands(printed)
		cmd := exec.CommandContext(t.Context(), "bash", "-eu", "-o", "pipefail")
		cmd.Dir = dir
		cmd.Stdin = strings.NewReader(script)
		out, err := cmd.CombinedOutput()
		stop()
		if err != nil {
			t.Fatalf("day %d: %v\n%s\n%s", day, err, script, out)
		}
		for _, want := range []string{`{"prediction":0,"label":"setosa",`, `"status":403`, "Operation not permitted"} {
			if strings.Count(string(out), want) != 1 {
				t.Errorf("day %d: not once in what the lines print: %s\n%s\n%s", day, want, script, out)
			}
		}
		for _, forbidden := range []string{" -k", "--insecure"} {
			if strings.Contains(script, forbidden) {
				t.Errorf("day %d: %q in\n%s", day, forbidden, script)
			}
		}
		password, err := os.ReadFile(filepath.Join(dir, "data", "initial-admin-password"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(printed, strings.TrimSpace(string(password))) {
			t.Errorf("day %d: the password is printed", day)
		}
	}
}
