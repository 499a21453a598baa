package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asked is one request and what must be answered while nothing can be recorded.
type asked struct{ method, url, media, body string }

// ask sends a request and returns the status, the answer and its header.
func (s *server) ask(t *testing.T, c *http.Client, token string, a asked) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), a.method, a.url, strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if a.media != "" {
		req.Header.Set("Content-Type", a.media)
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, err.Error(), nil
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error(), nil
	}
	return resp.StatusCode, string(body), resp.Header
}

// administrator returns a token of the first administrator.
func (s *server) administrator(t *testing.T, c *http.Client) string {
	t.Helper()
	password, err := os.ReadFile(filepath.Join(s.dir, "data", "initial-admin-password"))
	if err != nil {
		t.Fatal(err)
	}
	status, body, _ := s.ask(t, c, "", asked{
		http.MethodPost, s.url() + "/token", "application/x-www-form-urlencoded", "username=admin&password=" + strings.TrimSpace(string(password)),
	})
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || status != http.StatusOK {
		t.Fatal(status, body)
	}
	return answer.AccessToken
}

// limitFiles keeps the process from writing behind that many bytes of any file, as
// a disk that is full does; it may end in the middle of a line.
func (s *server) limitFiles(t *testing.T, most uint64) {
	t.Helper()
	limit := unix.Rlimit{Cur: most, Max: unix.RLIM_INFINITY}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		t.Fatal(err)
	}
}

// logSize returns how long the newest file of records is.
func (s *server) logSize(t *testing.T) uint64 {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, "data", "audit", "*.jsonl"))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no records", err)
	}
	info, err := os.Stat(files[len(files)-1])
	if err != nil {
		t.Fatal(err)
	}
	return uint64(info.Size())
}

// until repeats a request until its status is the wanted one.
func (s *server) until(t *testing.T, c *http.Client, token string, a asked, want int) {
	t.Helper()
	deadline := time.Now().Add(startTimeout)
	for {
		status, body, _ := s.ask(t, c, token, a)
		if status == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s %s: %d, never %d: %s", a.method, a.url, status, want, body)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestAFullDiskStopsWhatMustBeOnRecord: in strict mode everything but health, in
// best-effort mode what signs in or changes something; and all goes on by itself
// once there is room.
func TestAFullDiskStopsWhatMustBeOnRecord(t *testing.T) {
	for mode, open := range map[string]bool{"strict": false, "best-effort": true} {
		t.Run(mode, func(t *testing.T) {
			s, err := newServer(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := s.start(t.Context(), "ONNXGATE_RATE_PREDICT=off", "ONNXGATE_RATE_TOKEN=off", "ONNXGATE_AUDIT="+mode); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := s.stop(); err != nil {
					t.Error(err)
				}
			}()
			client := s.clientFor(t)
			defer client.CloseIdleConnections()
			token := s.administrator(t, client)
			admin := "https://" + s.admin
			predict := asked{http.MethodPost, s.url() + "/predict", "application/json", iris}
			look := asked{http.MethodGet, s.url() + "/models", "", ""}
			change := asked{http.MethodPost, admin + "/admin/v1/tenants", "application/json", `{"name":"acme"}`}
			login := asked{http.MethodPost, s.url() + "/token", "application/x-www-form-urlencoded", "username=admin&password=wrong"}
			ready, live := asked{http.MethodGet, s.url() + "/readyz", "", ""}, asked{http.MethodGet, s.url() + "/livez", "", ""}

			s.limitFiles(t, s.logSize(t)+10)
			s.until(t, client, token, change, http.StatusServiceUnavailable)
			if open { // where the database may be full before the log has been written
				s.untilLost(t, client, token, look, asked{http.MethodGet, admin + "/metrics", "", ""})
			}
			for name, c := range map[string]struct {
				asked
				open bool
			}{
				"a prediction": {predict, open}, "a look": {look, open}, "a change": {change, false}, "readiness": {ready, open},
				"the process": {live, true}, "readiness there, too": {asked{http.MethodGet, admin + "/readyz", "", ""}, open},
				"metrics": {asked{http.MethodGet, admin + "/metrics", "", ""}, true},
			} {
				status, body, header := s.ask(t, client, token, c.asked)
				want := http.StatusServiceUnavailable
				if c.open {
					want = http.StatusOK
				}
				if status != want || status == http.StatusServiceUnavailable && header.Get("Retry-After") == "" {
					t.Errorf("%s: %d, want %d with Retry-After unless it is served: %s", name, status, want, body)
				}
			}
			if status, body, _ := s.ask(t, client, "", login); !open && status != http.StatusServiceUnavailable {
				t.Errorf("a sign-in: %d %s", status, body)
			}

			s.limitFiles(t, unix.RLIM_INFINITY)
			s.until(t, client, token, ready, http.StatusOK)
			s.until(t, client, token, change, http.StatusCreated)
			s.until(t, client, token, predict, http.StatusOK)
			status, body, _ := s.ask(t, client, token, asked{http.MethodGet, admin + "/admin/v1/audit", "", ""})
			if status != http.StatusOK || !strings.Contains(body, `"event":"tenant.create"`) || !strings.Contains(body, `"event":"audit.gap"`) {
				t.Errorf("%d %s", status, body)
			}
		})
	}
}

// untilLost repeats a request until its record is lost.
func (s *server) untilLost(t *testing.T, c *http.Client, token string, a, metrics asked) {
	t.Helper()
	lost := regexp.MustCompile(`(?m)^onnxgate_audit_lost_records_total [1-9]`)
	for deadline := time.Now().Add(startTimeout); ; {
		s.ask(t, c, token, a)
		_, text, _ := s.ask(t, c, token, metrics)
		if lost.MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no record is lost")
		}
	}
}

// TestNoAcknowledgedChangeIsMissingAfterAKill ends a server in the middle of
// changes: those that were answered are on record.
func TestNoAcknowledgedChangeIsMissingAfterAKill(t *testing.T) {
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	settings := []string{"ONNXGATE_RATE_PREDICT=off", "ONNXGATE_RATE_TOKEN=off"}
	acknowledged := map[string]bool{}
	var token string
	for round := range 3 {
		if err := s.start(t.Context(), settings...); err != nil {
			t.Fatal(err)
		}
		client, err := s.client()
		if err != nil {
			t.Fatal(err)
		}
		if token == "" {
			token = s.administrator(t, client)
		}
		var mu sync.Mutex
		var changes sync.WaitGroup
		for worker := range 4 {
			changes.Go(func() {
				for i := 0; ; i++ {
					name := fmt.Sprintf("t-%d-%d-%d", round, worker, i)
					status, _, _ := s.ask(t, client, token, asked{http.MethodPost, "https://" + s.admin + "/admin/v1/tenants", "application/json", `{"name":"` + name + `"}`})
					if status != http.StatusCreated {
						return
					}
					mu.Lock()
					acknowledged[name] = true
					enough := len(acknowledged) >= 40*(round+1)
					mu.Unlock()
					if enough {
						_ = s.cmd.Process.Kill() // in the middle of what the others do
						return
					}
				}
			})
		}
		changes.Wait()
		<-s.done
		client.CloseIdleConnections()
	}
	if err := s.start(t.Context(), settings...); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	client := s.clientFor(t)
	defer client.CloseIdleConnections()
	status, body, _ := s.ask(t, client, token, asked{http.MethodGet, "https://" + s.admin + "/admin/v1/audit", "", ""})
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	lines := bufio.NewScanner(bytes.NewReader([]byte(body)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct{ Event, Object string }
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Event == "tenant.create" {
			delete(acknowledged, r.Object)
		}
	}
	if len(acknowledged) > 0 {
		t.Errorf("%d changes were acknowledged and are not on record, %v among them", len(acknowledged), acknowledged)
	}
}
