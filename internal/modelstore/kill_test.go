package modelstore_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/modelstore"
)

// childPushes has the test's own program push versions into the folder that is
// its value until it is killed.
const childPushes = "MODELSTORE_TEST_PUSHES"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childPushes); dir != "" {
		fmt.Fprintln(os.Stderr, pushAllTheTime(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// file is what version n holds: enough to be caught in the middle of.
func file(n int) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 64<<10) }

// pushAllTheTime pushes the versions behind those there are, and says the number
// of each when it is acknowledged.
func pushAllTheTime(dir string) error {
	s, err := modelstore.Open(modelstore.Config{Dir: dir})
	if err != nil {
		return err
	}
	present, err := filepath.Glob(filepath.Join(dir, "iris", "*"))
	if err != nil {
		return err
	}
	for n := len(present) + 1; ; n++ {
		data := file(n)
		if err := push(s, ofDefault("iris"), strconv.Itoa(n), bytes.NewReader(data), sha256.Sum256(data)); err != nil {
			return err
		}
		fmt.Println(n)
	}
}

func TestAKilledPushLeavesNoPartOfAVersion(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	dir := t.TempDir()
	draw := rand.New(rand.NewPCG(1, 2))
	acknowledged, left, within := 0, 0, 100*time.Millisecond
	for range 15 {
		cmd := exec.CommandContext(t.Context(), self)
		cmd.Env = append(os.Environ(), childPushes+"="+dir)
		var failure strings.Builder
		cmd.Stderr = &failure
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		timer := time.AfterFunc(20*time.Millisecond+time.Duration(draw.Int64N(int64(within))), func() { _ = cmd.Process.Kill() })
		for lines := bufio.NewScanner(out); lines.Scan(); {
			acknowledged, err = strconv.Atoi(lines.Text())
			must(t, err)
		}
		_ = cmd.Wait() // it was killed
		timer.Stop()
		if failure.Len() > 0 {
			t.Fatalf("the push failed: %s", &failure)
		}
		left += wantWhole(t, dir, acknowledged)
		if acknowledged == 0 {
			within *= 2 // the machine is busy: nothing would ever be acknowledged
		}
	}
	if acknowledged == 0 {
		t.Error("nothing was acknowledged before a kill")
	}
	t.Logf("%d acknowledged versions, %d left-overs", acknowledged, left)
}

// wantWhole looks at the folder after a kill, and again after the next start. It
// returns how many left-overs there were.
func wantWhole(t *testing.T, dir string, acknowledged int) int {
	t.Helper()
	versions, err := filepath.Glob(filepath.Join(dir, "iris", "*"))
	must(t, err)
	for n := range max(acknowledged, len(versions)) {
		data, err := os.ReadFile(filepath.Join(dir, "iris", strconv.Itoa(n+1), modelstore.ModelFile))
		if err != nil || !bytes.Equal(data, file(n+1)) {
			t.Errorf("version %d has %d bytes, %v", n+1, len(data), err)
		}
	}
	left, err := filepath.Glob(filepath.Join(dir, ".*"))
	must(t, err)
	open(t, dir)
	if still, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(still) > 0 {
		// One that was killed between its folder and its lock is swept later.
		for _, name := range still {
			if _, err := os.Stat(filepath.Join(name, "lock")); err == nil {
				t.Errorf("still there after a start: %s", name)
			}
		}
	}
	return len(left)
}
