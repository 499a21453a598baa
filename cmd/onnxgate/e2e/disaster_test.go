package e2e

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/testkit"
)

// disaster is a server, and the blocks of docs/disaster-recovery.md that are about its
// database.
type disaster struct {
	*server
	settings []string
	blocks   map[string][]string // by heading
	first    string              // what the page says before any block
	postgres bool
}

var (
	pageHeading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	shellBlock  = regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
)

// pageBlocks returns the blocks of shell of a page of the documentation, by the
// heading that they stand under.
func pageBlocks(t *testing.T, page string) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(source(t, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string][]string{}
	heads := pageHeading.FindAllSubmatchIndex(text, -1)
	for i, head := range heads {
		end := len(text)
		if i+1 < len(heads) {
			end = heads[i+1][0]
		}
		for _, found := range shellBlock.FindAllSubmatch(text[head[1]:end], -1) {
			name := string(text[head[2]:head[3]])
			blocks[name] = append(blocks[name], string(found[1]))
		}
	}
	return blocks
}

// paste runs a block in the server's folder, that of its database where there are
// two, and returns what it prints.
func (d *disaster) paste(t *testing.T, heading string, replace ...string) string {
	t.Helper()
	blocks := d.blocks[heading]
	if len(blocks) == 0 {
		t.Fatalf("nothing to paste under %q", heading)
	}
	block := blocks[0]
	if d.postgres && len(blocks) > 1 {
		block = blocks[1]
	}
	return d.run(t, strings.NewReplacer(replace...).Replace(block))
}

func (d *disaster) run(t *testing.T, lines string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail")
	cmd.Dir, cmd.Env, cmd.Stdin = d.dir, d.environ(d.settings...), strings.NewReader(d.first+lines)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\nfrom\n%s", err, out, lines)
	}
	return string(out)
}

func (d *disaster) begin(t *testing.T) {
	t.Helper()
	if err := d.start(t.Context(), d.settings...); err != nil {
		t.Fatal(err)
	}
}

// answers asks the server once.
func (d *disaster) answers(t *testing.T, path, token, body string, want int) string {
	t.Helper()
	client, err := d.client()
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, d.url()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header(token)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	var text json.RawMessage
	err = json.NewDecoder(resp.Body).Decode(&text)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != want {
		t.Errorf("%s: %s %s (%v), want %d", path, resp.Status, text, err, want)
	}
	return string(text)
}

// TestDisasterRecoveryGoesAsItsPageSays pastes every block of the page, over one
// server's life and death on each database.
func TestDisasterRecoveryGoesAsItsPageSays(t *testing.T) {
	t.Parallel()
	testkit.Tool(t, "bash", "bash")
	testkit.Tool(t, "sqlite3", "sqlite3")
	for _, postgres := range []bool{false, true} {
		name, database := "SQLite", ""
		if postgres {
			name, database = "PostgreSQL", testkit.StartPostgres(t).Database(t)
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDisaster(t, database)
			t.Cleanup(func() { _ = d.end() })
			sealed := d.isRestored(t)
			d.losesKeys(t, sealed)
			d.leaks(t)
		})
	}
}

// newDisaster returns a server in a folder, or, with a database, one whose settings
// are files, as on the machines of docs/replicas.md.
func newDisaster(t *testing.T, database string) *disaster {
	t.Helper()
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(s.dir, "new-password"), "harbor-Violet-58-comet")
	program := filepath.Join(s.dir, "bin", "onnxgate")
	if err := errors.Join(os.Mkdir(filepath.Dir(program), 0o700), os.Symlink(binary, program)); err != nil {
		t.Fatal(err)
	}
	d := &disaster{server: s, settings: append([]string{"ONNXGATE_REVOCATION_MAX_AGE=2s"}, ratesOff...), blocks: pageBlocks(t, "disaster-recovery.md"), postgres: database != ""}
	if !d.postgres {
		put(t, filepath.Join(s.dir, "password"), adminPassword)
		d.settings = append(d.settings, "ONNXGATE_ADMIN_PASSWORD_FILE=password")
		d.first = d.blocks["Before any block"][0]
		return d
	}
	etc := filepath.Join(s.dir, "etc")
	here := strings.NewReplacer("/etc/onnxgate", etc, "/var/lib/onnxgate", filepath.Join(s.dir, "data"), "/usr/local/bin/onnxgate", program)
	var settings strings.Builder
	for line := range strings.Lines(deployed(t, "onnxgate.env")) {
		name, _, _ := strings.Cut(line, "=")
		switch name {
		case "ONNXGATE_DATA_DIR", "ONNXGATE_DATABASE_URL_FILE", "ONNXGATE_KEK_FILE", "ONNXGATE_ADMIN_PASSWORD_FILE":
			settings.WriteString(line)
		}
	}
	kek := make([]byte, 32)
	_, _ = rand.Read(kek) // never fails
	for name, text := range map[string]string{
		".env": here.Replace(settings.String()), "database-url": database, "admin-password": adminPassword,
		"kek": base64.StdEncoding.EncodeToString(kek),
	} {
		put(t, filepath.Join(etc, name), text)
	}
	d.command = []string{binary, "serve", "--env-file", filepath.Join(etc, ".env")}
	d.first = here.Replace(d.blocks["Before any block"][1])
	return d
}

// isRestored backs a busy server up, loses it and restores it. It returns a sealed
// text.
func (d *disaster) isRestored(t *testing.T) (sealed string) {
	t.Helper()
	d.begin(t)
	token := passwordToken(t, d.server, "admin", adminPassword)
	sealed = d.answers(t, "/encrypt", token, `{"plaintext":"the patient is 42"}`, http.StatusOK)
	d.run(t, "onnxgate user add ann --role user --password-stdin < new-password")
	load := beginTraffic(t, time.Millisecond, sending(t, d.server, "/predict", header(token), iris), sending(t, d.server, "/predict", header(token), iris))
	d.paste(t, "Back up")
	d.run(t, "mv backups/* backups/2001-01-01T000000Z") // and on the next day again
	d.paste(t, "Back up")
	load.stop()
	d.run(t, d.blocks["Back up"][2]) // the key-encryption key
	d.run(t, "onnxgate user disable ann")
	d.terminate(t)
	d.run(t, `mkdir lost && mv "$data"/* lost/`)
	if out := d.paste(t, "Restore"); !strings.Contains(out, "consistent with the checkpoint") {
		t.Errorf("the restored log: %s", out)
	}
	d.begin(t)
	d.answers(t, "/predict", token, iris, http.StatusOK)
	d.answers(t, "/decrypt", token, sealed, http.StatusOK)
	passwordToken(t, d.server, "ann", "harbor-Violet-58-comet") // enabled, as at the time of the backup
	if out := d.paste(t, "What happened since"); !strings.Contains(out, `"event":"user.disable"`) {
		t.Errorf("the lost log does not say that ann was disabled: %s", out)
	}
	return sealed
}

// losesKeys loses the key-encryption key, and then those that sign tokens.
func (d *disaster) losesKeys(t *testing.T, sealed string) {
	t.Helper()
	token := passwordToken(t, d.server, "admin", adminPassword)
	d.terminate(t)
	d.run(t, `rm "$kek"; if onnxgate serve 2> refused; then exit 1; fi; grep -E 'key-encryption key|ONNXGATE_KEK_FILE' refused`)
	blocks := d.blocks["The key-encryption key"] // SQLite, PostgreSQL, the log that was, and two for when it leaked
	d.paste(t, "The key-encryption key")
	d.run(t, blocks[2])
	d.begin(t)
	want := map[bool]int{false: http.StatusOK, true: http.StatusUnauthorized}[d.postgres]
	d.answers(t, "/predict", token, iris, want)
	token = passwordToken(t, d.server, "admin", adminPassword)
	d.answers(t, "/decrypt", token, sealed, http.StatusBadRequest)
	d.answers(t, "/decrypt", token, d.answers(t, "/encrypt", token, `{"plaintext":"x"}`, http.StatusOK), http.StatusOK)
	if d.postgres {
		return
	}
	d.terminate(t)
	d.run(t, "rm -r data/keys")
	d.begin(t)
	d.answers(t, "/predict", token, iris, http.StatusUnauthorized)
	d.answers(t, "/predict", passwordToken(t, d.server, "admin", adminPassword), iris, http.StatusOK)
}

// leaks a key that signs tokens, and everything after it.
func (d *disaster) leaks(t *testing.T) {
	t.Helper()
	forged := passwordToken(t, d.server, "admin", adminPassword)
	rotated, rest, _ := strings.Cut(d.blocks["A key that signs tokens"][0], "\n")
	var keys []struct{ KID, State string }
	if err := json.Unmarshal([]byte(d.run(t, "onnxgate keys list --use token --json")), &keys); err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	d.run(t, rotated)
	d.run(t, strings.ReplaceAll(rest, "KID", keys[0].KID))
	within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, d.server, forged) })
	token := passwordToken(t, d.server, "admin", adminPassword)
	d.answers(t, "/predict", token, iris, http.StatusOK)
	// One for the server's own key, and one for that of a file that settings name. The
	// server that was lost is in the backup, and counts as one that has a copy of the
	// key until its time has run out.
	block := d.blocks["The key-encryption key"][map[bool]int{false: 3, true: 4}[d.postgres]]
	const rotate = "onnxgate keys rotate --use kek\n"
	before, after, ok := strings.Cut(block, rotate)
	if !ok {
		t.Fatalf("no rotation in\n%s", block)
	}
	d.run(t, before+"for i in {1..100}; do if "+strings.TrimSpace(rotate)+" 2> refused; then break; fi; if test $i = 100; then cat refused; exit 1; fi; sleep 0.1; done\n"+after)
	d.answers(t, "/predict", token, iris, http.StatusOK)
	d.paste(t, "The database", "NAME", "ann")
	var made struct {
		ID, Key string
		Client  string `json:"client_id"`
	}
	for _, what := range []string{"apikey create k", "client create c"} {
		if err := json.Unmarshal([]byte(d.run(t, "onnxgate "+what+" --role user --json")), &made); err != nil {
			t.Fatal(err)
		}
	}
	d.paste(t, "A password, a token, an API key, a client's secret", "NAME", "ann", "CLIENT_ID", made.Client, " ID", " "+made.ID)
	within(t, time.Second, http.StatusUnauthorized, func() (int, string) { return predict(t, d.server, made.Key) })
	d.terminate(t)
	d.run(t, "onnxgate audit verify")
}
