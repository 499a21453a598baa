package sqlstore_test

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/accounts"
	"onnxgate/internal/sqlstore"
)

// writeAllTheTime adds users until the process is killed, and says the name of
// each when it is acknowledged.
func writeAllTheTime(ctx context.Context, s *sqlstore.Store) error {
	for i := 0; ; i++ {
		name := fmt.Sprint(os.Getenv(childWrites), "-", i)
		if err := s.Update(ctx, func(tx *accounts.Tx) error { return tx.Users.Insert(record(name, "user")) }); err != nil {
			return err
		}
		fmt.Println(name)
	}
}

// kills is how often a process is killed: 20 times, or as KILLS says.
func kills(t *testing.T) int {
	t.Helper()
	text := os.Getenv("KILLS")
	if text == "" {
		return 20
	}
	n, err := strconv.Atoi(text)
	must(t, err)
	return n
}

// TestAKilledWriterLosesNothingThatItAcknowledged kills at random moments,
// while the schema is made too, and opens the database again.
func TestAKilledWriterLosesNothingThatItAcknowledged(t *testing.T) {
	eachBackend(t, func(t *testing.T, b backend) {
		t.Helper()
		const eachDatabase = 5
		draw := rand.New(rand.NewPCG(1, 2))
		acknowledged, total, within := map[string]bool{}, 0, 120*time.Millisecond
		var cfg sqlstore.Config
		for round := range kills(t) {
			if round%eachDatabase == 0 {
				cfg, acknowledged = b.fresh(t), map[string]bool{}
			}
			for _, name := range writeAndKill(t, cfg, fmt.Sprint("round-", round), time.Duration(draw.Int64N(int64(within)))) {
				acknowledged[name] = true
				total++
			}
			wantAll(t, cfg, acknowledged)
			if total == 0 {
				within *= 2 // the machine is busy: nothing would ever be acknowledged
			}
		}
		if total == 0 {
			t.Error("nothing was acknowledged before a kill")
		}
		t.Logf("in all: %d kills, %d acknowledged records", kills(t), total)
	})
}

// writeAndKill returns the names that a writer acknowledged before it was
// killed.
func writeAndKill(t *testing.T, cfg sqlstore.Config, prefix string, after time.Duration) []string {
	t.Helper()
	names := childOutput(t, startChild(t, cfg, childWrites+"="+prefix), after)
	return slices.DeleteFunc(names, func(line string) bool { return line == "open" })
}

// childOutput returns the lines of a child that is killed after so long.
func childOutput(t *testing.T, cmd *exec.Cmd, after time.Duration) []string {
	t.Helper()
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var said []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said = append(said, lines.Text())
	}
	_ = cmd.Wait() // it was killed
	if failure.Len() > 0 {
		t.Fatalf("the child failed: %s", &failure)
	}
	return said
}

// wantAll opens the database, as the next start does, and looks for the users.
func wantAll(t *testing.T, cfg sqlstore.Config, names map[string]bool) {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	users, err := list(context.WithoutCancel(t.Context()), s)
	must(t, err)
	found := map[string]bool{}
	for i := range users {
		found[users[i].Name] = true
	}
	for name := range names {
		if !found[name] {
			t.Errorf("%s was acknowledged and is gone", name)
		}
	}
	must(t, s.Close())
}
