package app_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/app"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/seal"
	"onnxgate/internal/testkit"
)

// childRotates makes the test binary a process that rotates the key-encryption key
// of this data directory all the time.
const childRotates = "ONNXGATE_TEST_ROTATES"

func rotateAllTheTime(dir string) error {
	for {
		if err := rotate(context.Background(), &config.Config{DataDir: dir, Audit: string(audit.Strict)}); err != nil {
			return err
		}
		fmt.Println("rotated")
	}
}

// rotate does what `onnxgate keys rotate --use kek` does.
func rotate(ctx context.Context, cfg *config.Config) error {
	service, done, err := app.OpenSealing(ctx, cfg)
	if err != nil {
		return err
	}
	_, err = service.RotateKEK(ctx, "admin", cfg.KEKFile == "")
	return errors.Join(err, done())
}

// killedRotations returns how many rotations a process ended before it was killed.
func killedRotations(t *testing.T, dir string, after time.Duration) (count int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childRotates+"="+dir)
	var failure strings.Builder
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	for lines := bufio.NewScanner(out); lines.Scan(); {
		count++
	}
	_ = cmd.Wait() // it was killed
	if failure.Len() > 0 {
		t.Fatalf("the rotation failed: %s", &failure)
	}
	return count
}

// kekLines returns the keys of the file of a data directory.
func kekLines(t *testing.T, dir string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(data))
}

// wantWholeLog reads the audit log of a data directory as commands do.
func wantWholeLog(t *testing.T, dir string) (records int) {
	t.Helper()
	r, err := app.AuditReader(&config.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if report, err := r.Verify(t.Context(), nil); err != nil || !report.OK {
		t.Fatalf("%+v, %v", report, err)
	}
	var last *audit.Entry
	_, err = r.Read(t.Context(), audit.Query{Tenant: audit.AnyTenant}, func(e *audit.Entry) error {
		if e.Missing != "" || e.Actor == "" {
			return fmt.Errorf("%+v", e)
		}
		last = e
		records++
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found, err := r.At(t.Context(), last.Index); err != nil || found == nil {
		t.Fatalf("%+v, %v", found, err)
	}
	return records
}

// wantOpensNothing looks for keys in a data directory that a leaked key opens.
func wantOpensNothing(t *testing.T, dir, leaked string) {
	t.Helper()
	secret, err := base64.StdEncoding.DecodeString(leaked)
	if err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKEK(secret)
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(filepath.Join(dir, "audit", "keys"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if key.Wrapped(seal.Binding{Use: "audit log"}, data) {
			t.Errorf("a key that was rotated away opens %s", path)
		}
		for line := range bytes.Lines(data) {
			var one struct {
				Tenant string
				Key    []byte
			}
			if json.Unmarshal(line, &one) == nil && key.Wrapped(seal.Binding{Use: "audit tenant", Tenant: one.Tenant}, one.Key) {
				t.Errorf("a key that was rotated away opens that of %s in %s", one.Tenant, path)
			}
		}
		return err
	})
	file := filepath.Join(t.TempDir(), "leaked")
	if err = errors.Join(err, os.WriteFile(file, []byte(leaked+"\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := app.OpenSealing(t.Context(), &config.Config{DataDir: dir, KEKFile: file, Audit: string(audit.Strict)}); !errors.Is(err, seal.ErrNotOpened) {
		t.Errorf("a key that was rotated away opens those that seal text: %v", err)
	}
}

// writers are a server and another process that write one log.
type writers struct {
	*server

	token string
	log   *audit.Log
	round int
}

func startWriters(t *testing.T) *writers {
	t.Helper()
	s := start(t, t.TempDir(), nil)
	l, err := app.OpenAuditLog(&config.Config{DataDir: s.dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return &writers{server: s, token: s.token(t), log: l}
}

// write has both put something on record, the one of a tenant that had nothing yet.
func (w *writers) write(t *testing.T) {
	t.Helper()
	w.round++
	if status, body := w.call(t, http.MethodPost, "https://"+w.Addr()+"/encrypt", w.token, "application/json", `{"plaintext":"text"}`); status != http.StatusOK {
		t.Fatal(status, body)
	}
	rec := &audit.Record{Event: audit.UserAdd, Actor: "ann", Tenant: "tenant-" + strconv.Itoa(w.round), Outcome: audit.OK}
	if err := w.log.Record(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
}

func TestServersWriteTheAuditLogWhileTheKeyEncryptionKeyIsRotated(t *testing.T) {
	w := startWriters(t)
	w.write(t)
	leaked := kekLines(t, w.dir)
	ended := make(chan error, 1)
	go func() {
		for range 10 {
			if err := rotate(context.WithoutCancel(t.Context()), &config.Config{DataDir: w.dir, Audit: string(audit.Strict)}); err != nil {
				ended <- err
				return
			}
		}
		ended <- nil
	}()
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatal(err)
			}
			running = false
		default:
			leaked = append(leaked, kekLines(t, w.dir)...)
			w.write(t)
		}
	}
	w.wantRotated(t, leaked)
}

// TestAKilledRotationLosesNothingOfTheAuditLog kills at random moments a process
// that rotates, beside processes that write.
func TestAKilledRotationLosesNothingOfTheAuditLog(t *testing.T) {
	rounds := 10
	if text := os.Getenv("KILLS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	w := startWriters(t)
	draw := rand.New(rand.NewPCG(5, 6))
	rotations := 0
	var leaked []string
	for range rounds {
		leaked = append(leaked, kekLines(t, w.dir)...)
		rotations += killedRotations(t, w.dir, time.Duration(50+draw.IntN(300))*time.Millisecond)
		w.write(t)
		wantWholeLog(t, w.dir)
	}
	leaked = append(leaked, kekLines(t, w.dir)...)
	for range 2 { // the first ends what was begun
		if err := rotate(t.Context(), &config.Config{DataDir: w.dir, Audit: string(audit.Strict)}); err != nil {
			t.Fatal(err)
		}
	}
	w.wantRotated(t, leaked)
	t.Logf("in all: %d kills, %d rotations that ended", rounds, rotations)
}

// wantRotated stops the writers and looks at what they left behind.
func (w *writers) wantRotated(t *testing.T, leaked []string) {
	t.Helper()
	w.write(t)
	if err := w.log.Close(); err != nil {
		t.Error(err)
	}
	w.again(t)
	now := kekLines(t, w.dir)
	if len(now) != 1 {
		t.Errorf("the file holds %d keys after a rotation that ended", len(now))
	}
	if n := wantWholeLog(t, w.dir); n < 2*w.round {
		t.Errorf("%d records of %d rounds", n, w.round)
	}
	seen := map[string]bool{now[0]: true}
	for _, key := range leaked {
		if !seen[key] {
			wantOpensNothing(t, w.dir, key)
		}
		seen[key] = true
	}
	if len(seen) < 2 {
		t.Error("nothing was rotated")
	}
}

// The operator's file is the operator's to change; what the command wrapped needs
// the former line no more.
func TestAnOperatorRotatesTheKeyOfAnAuditedServer(t *testing.T) {
	const old, fresh = "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9LpNaQdRfGsEo=\n", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
	file := filepath.Join(t.TempDir(), "kek")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(old)
	vars := map[string]string{"KEK_FILE": file}
	s := start(t, t.TempDir(), vars)
	write(old + fresh)
	s.stop(t)
	s = start(t, s.dir, vars) // which knows both, the former one first
	token := s.token(t)
	write(fresh + old)
	cfg := &config.Config{DataDir: s.dir, KEKFile: file, Audit: string(audit.Strict)}
	if err := rotate(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	write(fresh)
	if status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/encrypt", token, "application/json", `{"plaintext":"text"}`); status != http.StatusOK {
		t.Error(status, body)
	}
	s.stop(t)
	wantOpensNothing(t, s.dir, strings.TrimSpace(old))
	start(t, s.dir, vars).stop(t)
}

// TestKeysThatMoveIntoTheDatabaseAreOnRecord, each once.
func TestKeysThatMoveIntoTheDatabaseAreOnRecord(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	s.stop(t)
	files, err := filepath.Glob(filepath.Join(s.dir, "keys", "*.pem"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	kid := strings.TrimSuffix(filepath.Base(files[0]), ".pem")
	vars := map[string]string{"DATABASE_URL": testkit.StartPostgres(t).Database(t)}
	for range 2 { // the second finds nothing to move
		s = start(t, s.dir, vars)
		s.stop(t)
	}
	s = start(t, s.dir, vars)
	all, _ := s.records(t, s.token(t))
	var moved []record
	for _, r := range all {
		if r.Event == string(audit.KeyMove) {
			moved = append(moved, r)
		}
	}
	if len(moved) != 1 || moved[0].Object != kid || moved[0].Actor != audit.Server || moved[0].Tenant != "default" || moved[0].Outcome != audit.OK {
		t.Errorf("%+v, want one of %s", moved, kid)
	}
	if _, err := os.Stat(files[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file of the key: %v", err)
	}
}

// TestWhatARotationDidIsInTheAuditLog, in both modes: that it began and how it ended.
func TestWhatARotationDidIsInTheAuditLog(t *testing.T) {
	for _, mode := range []audit.Mode{audit.Strict, audit.BestEffort} {
		t.Run(string(mode), func(t *testing.T) {
			vars := map[string]string{"AUDIT": string(mode)}
			s := start(t, t.TempDir(), vars)
			s.stop(t)
			cfg := &config.Config{DataDir: s.dir, Audit: string(mode)}
			if err := rotate(t.Context(), cfg); err != nil {
				t.Fatal(err)
			}
			r, err := app.AuditReader(cfg)
			if err != nil {
				t.Fatal(err)
			}
			var outcomes []string
			_, err = r.Read(t.Context(), audit.Query{Tenant: audit.AnyTenant}, func(e *audit.Entry) error {
				if e.Event == audit.KeyRotate && e.Object == "kek" && e.Actor == "admin" {
					outcomes = append(outcomes, e.Outcome)
				}
				return nil
			})
			if diff := cmp.Diff([]string{audit.Begun, audit.OK}, outcomes); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}
