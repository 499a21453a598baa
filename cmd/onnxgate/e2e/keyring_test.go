package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

const (
	sharedIssuer = "ONNXGATE_ISSUER=https://gate.example"
	kekSetting   = "ONNXGATE_KEK_FILE"
)

// newKEK writes a key-encryption key, as operators do.
func newKEK(t *testing.T) string {
	t.Helper()
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	file := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// publishedKeys returns the JWK Set of a server, and the names in it.
func publishedKeys(t *testing.T, s *server) (jwks string, kids []string) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/.well-known/jwks.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	var set struct{ Keys []struct{ KID string } }
	if err = errors.Join(err, resp.Body.Close(), json.Unmarshal(body, &set)); err != nil {
		t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return string(body), kids
}

// startTogether starts servers at the same moment, each with a data directory of its
// own.
func startTogether(t *testing.T, n int, settings ...string) []*server {
	t.Helper()
	servers, errs := make([]*server, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range servers {
		var err error
		if servers[i], err = newServer(t.TempDir()); err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			errs[i] = servers[i].start(context.WithoutCancel(t.Context()), slices.Concat(ratesOff, settings)...)
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, s := range servers {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	return servers
}

// TestServersThatStartAtOnceOnAnEmptyDatabaseAreOne: one schema, one administrator,
// one signing key; and one that has another key-encryption key is none of them.
func TestServersThatStartAtOnceOnAnEmptyDatabaseAreOne(t *testing.T) {
	t.Parallel()
	database := testkit.StartPostgres(t)
	url := database.Database(t)
	where := databaseURL + "=" + url
	servers := startTogether(t, 4, where, sharedIssuer, kekSetting+"="+newKEK(t))
	var first *server
	jwks, kids := publishedKeys(t, servers[0])
	for _, s := range servers {
		if _, err := os.Stat(filepath.Join(s.dir, "data", "initial-admin-password")); err == nil {
			if first != nil {
				t.Error("two servers made a password of the administrator")
			}
			first = s
		}
		if same, _ := publishedKeys(t, s); same != jwks || len(kids) != 1 {
			t.Errorf("the published keys are %s at one and %s at another", same, jwks)
		}
		if _, err := os.Stat(filepath.Join(s.dir, "data", "keys")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a folder of keys: %v", err)
		}
	}
	if first == nil {
		t.Fatal("nobody made a password of the administrator")
	}
	password := initialPassword(t, first)
	for _, s := range servers {
		token := passwordToken(t, s, "admin", password)
		for _, other := range servers {
			if status, _ := predict(t, other, token); status != http.StatusOK {
				t.Errorf("a token of one server at another: %d", status)
			}
		}
	}
	stranger, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, settings := range map[string][]string{
		"another key-encryption key": {where, sharedIssuer, kekSetting + "=" + newKEK(t)},
		"none":                       {where, sharedIssuer},
	} {
		err := stranger.start(t.Context(), slices.Concat(ratesOff, settings)...)
		if err == nil || !strings.Contains(err.Error(), kekSetting) {
			t.Errorf("a server with %s: %v", name, err)
		}
	}
	for _, made := range []string{"kek", "audit"} {
		if _, err := os.Stat(filepath.Join(stranger.dir, "data", made)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it made %s all the same", made)
		}
	}
	// As docs/backup.md says of a key that is lost.
	for _, s := range servers {
		s.terminate(t)
	}
	database.Shell(t, `PGOPTIONS='-c onnxgate.tenant=*' psql "$URL" -c 'DELETE FROM signing_keys' -c 'DELETE FROM fernet_keys'`, "URL="+url)
	stranger.startFor(t, where, sharedIssuer)
	passwordToken(t, stranger, "admin", password)
	// Its own key-encryption key, which nobody else has, it may rotate by itself.
	if out := runWith(t, stranger, []string{where}, "keys", "rotate", "--use", "kek"); !strings.Contains(out, "which is gone") {
		t.Errorf("keys rotate --use kek: %s", out)
	}
	passwordToken(t, stranger, "admin", password)
}

// TestServersFollowEachOthersSigningKeys: those of a folder are taken along to the
// database; while they are rotated no valid token is refused by any server, and one
// that is retired ends at all of them within a second.
func TestServersFollowEachOthersSigningKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	alone, err := newServer(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := alone.start(t.Context(), sharedIssuer); err != nil {
		t.Fatal(err)
	}
	_, before := publishedKeys(t, alone)
	if err := alone.stop(); err != nil {
		t.Fatal(err)
	}
	where := databaseURL + "=" + testkit.StartPostgres(t).Database(t)
	kek := kekSetting + "=" + filepath.Join(dir, "data", "kek")
	alone.startFor(t, where, sharedIssuer, kek)
	other := begin(t, where, sharedIssuer, kek)
	if _, now := publishedKeys(t, other); !slices.Equal(now, before) {
		t.Errorf("%v are published, want those of the folder, %v", now, before)
	}
	if _, err := os.Stat(filepath.Join(dir, "data", "keys")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of keys is still there: %v", err)
	}
	password := initialPassword(t, alone)
	old := passwordToken(t, alone, "admin", password)

	rotations := testkit.Number(t, "ROTATIONS", 1)
	var rotated atomic.Bool
	var used atomic.Int64
	var using sync.WaitGroup
	for _, pair := range [][2]*server{{alone, other}, {other, alone}} {
		using.Go(func() {
			for !rotated.Load() {
				token := passwordToken(t, pair[0], "admin", password)
				for _, s := range pair {
					if status, _ := predict(t, s, token); status != http.StatusOK {
						t.Errorf("a valid token was refused: %d", status)
						return
					}
					used.Add(1)
				}
			}
		})
	}
	for range rotations {
		runWith(t, other, []string{where, kek}, "keys", "rotate")
	}
	rotated.Store(true)
	using.Wait()
	jwks, kids := publishedKeys(t, alone)
	if same, _ := publishedKeys(t, other); same != jwks || len(kids) != rotations+1 {
		t.Errorf("after a rotation %s is published by one, %s by the other", jwks, same)
	}
	// The file is where the first server made it, and the other one has it too.
	rotate := exec.CommandContext(t.Context(), binary, "keys", "rotate", "--use", "kek")
	rotate.Dir, rotate.Env = dir, alone.environ(where)
	if out, err := rotate.CombinedOutput(); err == nil || !strings.Contains(string(out), "put the new one on a line before it") {
		t.Errorf("a key-encryption key that two servers have was replaced: %v\n%s", err, out)
	}
	t.Logf("in all: %d rotations, %d predictions", rotations, used.Load())
	acceptsAtOnce(t, other, func() string {
		runWith(t, alone, []string{where, kek}, "keys", "rotate")
		return passwordToken(t, alone, "admin", password)
	})
	runWith(t, alone, []string{where, kek}, "keys", "retire", before[0])
	fresh := passwordToken(t, other, "admin", password)
	for _, s := range []*server{alone, other} {
		within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, s, old) })
		if status, _ := predict(t, s, fresh); status != http.StatusOK {
			t.Errorf("a token of the key that is left: %d", status)
		}
	}
}

// acceptsAtOnce stops a server while a token is made, and fails unless the server accepts
// that when it goes on: the request is there before the server can do anything else.
func acceptsAtOnce(t *testing.T, s *server, made func() string) {
	t.Helper()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	presents(t, s, client, "x.y.z") // over the connection of which the request comes
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	token := made()
	sent := make(chan error, 1)
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{WroteRequest: func(w httptrace.WroteRequestInfo) { sent <- w.Err }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url()+"/predict", strings.NewReader(iris))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
	answered := make(chan string, 1)
	go func() {
		resp, err := client.Do(req)
		if err != nil {
			answered <- err.Error()
			return
		}
		_ = resp.Body.Close()
		answered <- resp.Status
	}()
	if err := errors.Join(<-sent, s.cmd.Process.Signal(syscall.SIGCONT)); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "200 OK" {
		t.Errorf("a server that had stood still answered to a valid token: %s", got)
	}
}
