package audit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"onnxgate/internal/audit"
	"onnxgate/internal/fault"
)

// children are what this program is when a test runs it as a process of its own.
var children = map[string]func(dir string) error{"records": recordForEver, "may not write": recordUntilFull}

func TestMain(m *testing.M) {
	run := children[os.Getenv("AUDIT_CHILD")]
	if run == nil {
		os.Exit(m.Run())
	}
	if err := run(os.Getenv("AUDIT_DIR")); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func child(t *testing.T, name, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "AUDIT_CHILD="+name, "AUDIT_DIR="+dir)
	return cmd
}

func childConfig(dir string) (audit.Config, error) {
	key, err := testKEK(1)
	return audit.Config{Dir: dir, Mode: audit.Strict, KEK: key, Now: time.Now, Within: time.Millisecond, Retry: time.Millisecond, SegmentBits: 6}, err
}

// U04, C02: a process that is killed at any moment loses nothing that it
// acknowledged, and its log verifies before and after the next start.
func TestAKilledProcessLosesNothingThatItAcknowledged(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.SegmentBits = 6
	acknowledged := map[string]bool{}
	for round := range amount(t, "KILLS", 10) {
		for name := range killedWriter(t, cfg.Dir, round) {
			acknowledged[name] = true
		}
		if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
			t.Fatalf("round %d, before a start: %s", round, show(report))
		}
	}
	if err := open(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	if report := verify(t, audit.NewReader(cfg), nil); !report.OK {
		t.Errorf("after a start: %s", show(report))
	}
	recorded := map[string]int{}
	for _, e := range entries(t, cfg, "acme") {
		recorded[e.Object]++
		if want := (audit.Changes{{What: audit.PropertyRoles, Old: "user", New: "admin"}}); e.Event.Changes() && !slices.Equal(e.Changes, want) {
			t.Errorf("of %s there is on record that %v", e.Object, e.Changes)
		}
	}
	for name := range acknowledged {
		if recorded[name] != 1 {
			t.Errorf("%s is on record %d times", name, recorded[name])
		}
	}
	t.Logf("in all: %d records acknowledged", len(acknowledged))
}

// killedWriter returns what a process acknowledged before it was killed.
func killedWriter(t *testing.T, dir string, round int) map[string]bool {
	t.Helper()
	cmd := child(t, "records", dir)
	cmd.Env = append(cmd.Env, "AUDIT_ROUND="+strconv.Itoa(round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "kept "); ok {
			names[name] = true
		}
		if len(names) == 20+7*(round%40) { // and then goes on until it is dead
			_ = cmd.Process.Kill()
		}
	}
	_ = cmd.Wait() // it was killed
	return names
}

func recordForEver(dir string) error {
	cfg, err := childConfig(dir)
	if err != nil {
		return err
	}
	l, err := audit.Open(cfg)
	for i := 0; err == nil; i++ {
		rec := change(i)
		rec.Object = fmt.Sprintf("round-%s-%d", os.Getenv("AUDIT_ROUND"), i)
		rec.Changes.List(audit.PropertyRoles, []string{"user"}, []string{"admin"})
		if err = l.Record(context.Background(), rec); err == nil {
			fmt.Println("kept " + rec.Object)
			err = l.Record(context.Background(), prediction("ann"))
		}
	}
	return err
}

// U05 for real: the kernel refuses to make a file larger, and then does it again.
func TestAFileThatMayNotGrowRefusesAndRecovers(t *testing.T) {
	cfg := config(t, t.TempDir())
	cfg.SegmentBits = 6
	out, err := child(t, "may not write", cfg.Dir).Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	report := verify(t, audit.NewReader(cfg), nil)
	all := entries(t, cfg, audit.AnyTenant)
	if !report.OK || len(all) < 2 || all[len(all)-1].Object != "user-1000000" {
		t.Errorf("%s", show(report))
	}
}

func recordUntilFull(dir string) error {
	cfg, err := childConfig(dir)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	l, err := audit.Open(cfg)
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 10_001, Max: before.Max}); err != nil {
		return err
	}
	for i := 0; err == nil; i++ {
		err = l.Record(context.Background(), change(i))
	}
	if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("refused by %w", err)
	}
	if report, err := audit.NewReader(cfg).Verify(context.Background(), nil); err != nil || !report.OK {
		return fmt.Errorf("%+v, %w", report, err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); l.Err() != nil && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return errors.Join(l.Record(context.Background(), change(1_000_000)), l.Close())
}

// Whoever verifies beside a process that writes sees a log that is whole.
func TestALogVerifiesWhileItIsWritten(t *testing.T) {
	cfg := config(t, t.TempDir())
	l := open(t, cfg)
	appendPredictions(t, l, 1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				if err := l.Record(t.Context(), change(i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	}()
	bare := cfg
	bare.KEK = nil
	var checkpoint []byte
	for i := range 50 {
		if report := verify(t, audit.NewReader(bare), checkpoint); !report.OK {
			t.Errorf("look %d: %s", i, show(report))
		}
		var err error
		if checkpoint, err = audit.NewReader(bare).Checkpoint(); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	<-stopped
}
