package e2e

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/testkit"
)

// What is asked of a server in every outage: the columns of the table in
// docs/outages.md.
const (
	signIn     = "login"
	byToken    = "predict with a token"
	byKey      = "predict with an API key"
	byOtherKey = "predict with an API key it has not seen"
	adminWrite = "administration write"
	readiness  = "readiness"
)

var outageColumns = []string{signIn, byToken, byKey, byOtherKey, adminWrite, readiness}

// What the answer to one of them can be.
const (
	open     = "open"           // 200, or 201
	closed   = "closed"         // 503 with Retry-After
	unknown  = "401"            // the credential cannot be checked, and is refused
	ready    = "200 ok"         // of readiness
	degraded = "200 degraded"   // some requests are refused
	notReady = "503"            // requests should go elsewhere
	none     = "not applicable" // nothing is asked
)

// answers is what an outage asks for in each column. What is missing is open, and
// readiness is ready.
type answers map[string]string

func (a answers) of(column string) string {
	switch want := a[column]; {
	case want != "":
		return want
	case column == readiness:
		return ready
	}
	return open
}

// outage is one row of the table.
type outage struct {
	name string
	// begin starts what is needed and returns how the dependency goes and comes back.
	begin func(t *testing.T) *stage
	want  answers
	// later is what is asked for when the outage has lasted for longer than the bound
	// of a second server; nil where time changes nothing.
	later answers
}

// stage is a server, and the dependency that it loses.
type stage struct {
	*callers

	// impatient is another server of the same dependency, with a shorter bound; nil
	// where there is none.
	impatient  *callers
	gone, back func(t *testing.T)
	// more are further columns of this row alone.
	more map[string]func(t *testing.T) got
	// shown is checked during the outage, and with over after it: metrics and log.
	shown func(t *testing.T, over bool)
}

// callers are those who ask a server.
type callers struct {
	*server

	client        *http.Client
	root, token   string // of the administrator, and of who predicts
	known, unseen string // API keys
	tenants       atomic.Int64
}

// newCallers signs in at a server, and makes two API keys there with the
// administration API. The server has met the token and the first of the keys.
func newCallers(t *testing.T, s *server) *callers {
	t.Helper()
	client := s.clientFor(t)
	t.Cleanup(client.CloseIdleConnections)
	c := &callers{server: s, client: client}
	c.root = s.administrator(t, client)
	c.token = c.root
	s.keep(c.token)
	c.known, c.unseen = c.newKey(t, "known"), c.newKey(t, "unseen")
	return c
}

func (c *callers) newKey(t *testing.T, name string, more ...string) string {
	t.Helper()
	var made struct{ Key string }
	out := runWith(t, c.server, c.settings, append([]string{"apikey", "create", name, "--role", "admin", "--json"}, more...)...)
	if err := json.Unmarshal([]byte(out), &made); err != nil || made.Key == "" {
		t.Fatalf("%v: %s", err, out)
	}
	c.keep(made.Key)
	return made.Key
}

// got is one answer, as the table has it.
type got struct {
	verdict, body string
	took          time.Duration
}

// ask asks for what a column names.
func (c *callers) ask(t *testing.T, column string) got {
	t.Helper()
	method, at, media, body := http.MethodPost, c.url()+"/predict", "application/json", iris
	header := http.Header{}
	switch column {
	case signIn:
		form := url.Values{"username": {"admin"}, "password": {initialPassword(t, c.server)}}
		at, media, body = c.url()+"/token", "application/x-www-form-urlencoded", form.Encode()
	case byToken:
		header.Set("Authorization", "Bearer "+c.token)
	case byKey:
		header.Set("X-API-Key", c.known)
	case byOtherKey:
		header.Set("X-API-Key", c.unseen)
	case adminWrite:
		at, body = c.scheme+"://"+c.admin+"/admin/v1/tenants", fmt.Sprintf(`{"name":"tenant-%d"}`, c.tenants.Add(1))
		header.Set("Authorization", "Bearer "+c.root)
	case readiness:
		method, at, media, body = http.MethodGet, c.url()+"/readyz", "", ""
	}
	if media != "" {
		header.Set("Content-Type", media)
	}
	began := time.Now()
	status, answer, wait := c.do(t, method, at, header, body)
	return got{verdict(column, status, answer, wait), fmt.Sprint(status, " ", answer), time.Since(began)}
}

// do sends one request. An error of the connection is a status of 0.
func (c *callers) do(t *testing.T, method, at string, header http.Header, body string) (status int, answer, wait string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, at, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := c.client.Do(req)
	if err != nil {
		return 0, err.Error(), ""
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error(), ""
	}
	return resp.StatusCode, string(data), resp.Header.Get("Retry-After")
}

// verdict names an answer. A 503 that does not say when to come again has no name.
func verdict(column string, status int, answer, wait string) string {
	switch {
	case column == readiness && status == http.StatusServiceUnavailable:
		return notReady
	case column == readiness && status == http.StatusOK:
		return "200 " + strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(answer), `{"status":"`), `"}`)
	case status == http.StatusOK, status == http.StatusCreated:
		return open
	case status == http.StatusServiceUnavailable && wait != "":
		return closed
	case status == http.StatusUnauthorized:
		return unknown
	}
	return fmt.Sprint("unexpected ", status)
}

// askAll asks for every column at the same time, so that none waits for another.
func (s *stage) askAll(t *testing.T, columns []string) map[string]got {
	t.Helper()
	var mu sync.Mutex
	var all sync.WaitGroup
	answers := map[string]got{}
	for _, column := range columns {
		all.Go(func() {
			answer := s.ask(t, column)
			mu.Lock()
			defer mu.Unlock()
			answers[column] = answer
		})
	}
	all.Wait()
	return answers
}

// ask asks for what a column of the table, or one of the row's own, names.
func (s *stage) ask(t *testing.T, column string) got {
	t.Helper()
	if own := s.more[column]; own != nil {
		return own(t)
	}
	return s.callers.ask(t, column)
}

// settles repeats a question until the answer is the wanted one, and returns the
// last answer.
func settles(want string, ask func() got) got {
	for deadline := time.Now().Add(startTimeout); ; time.Sleep(50 * time.Millisecond) {
		answer := ask()
		if answer.verdict == want || time.Now().After(deadline) {
			return answer
		}
	}
}

// longestAnswer is what no answer takes during an outage, whatever hangs: what
// docs/outages.md promises, and some for a busy machine.
const longestAnswer = 11*time.Second + someSlack

// TestOutage takes away what the server depends on, and gives it back: every cell
// of the table in docs/outages.md is a test of its own, such as
// "TestOutage/postgresql hung/login". What is wanted is checked during the outage,
// and that everything is served after it, by the same process.
func TestOutage(t *testing.T) {
	t.Parallel()
	for _, row := range outages() {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.run(t)
		})
	}
}

func (o *outage) run(t *testing.T) {
	t.Helper()
	s := o.begin(t)
	columns := slices.Concat(outageColumns, slices.Sorted(maps.Keys(s.more)))
	// The server knows a credential that it has looked up since the last change.
	for _, column := range []string{adminWrite, byToken, byKey, readiness} {
		if a := s.ask(t, column); a.verdict != (answers{}).of(column) {
			t.Fatalf("before the outage: %s: %s", column, a.body)
		}
	}
	if s.impatient != nil {
		s.impatient.ask(t, byToken)
		s.impatient.ask(t, byKey)
	}
	s.gone(t)
	settles(o.want.of(readiness), func() got { return s.ask(t, readiness) })
	during := s.askAll(t, columns)
	later := map[string]got{}
	for column, want := range o.later {
		later[column] = settles(want, func() got { return s.impatient.ask(t, column) })
	}
	if s.shown != nil {
		s.shown(t, false)
	}
	s.back(t)
	for _, column := range columns {
		served := (answers{}).of(column)
		after := settles(served, func() got { return s.ask(t, column) })
		t.Run(column, func(t *testing.T) {
			if a, want := during[column], o.want.of(column); a.verdict != want || a.took > longestAnswer {
				t.Errorf("during the outage it is %s after %v, want %s: %s", a.verdict, a.took, want, a.body)
			}
			if want, asked := o.later[column]; asked && later[column].verdict != want {
				t.Errorf("beyond the bound it is %s, want %s: %s", later[column].verdict, want, later[column].body)
			}
			if after.verdict != served {
				t.Errorf("after the outage it is %s: %s", after.verdict, after.body)
			}
			t.Logf("%s in %v; afterwards %s", during[column].verdict, during[column].took.Round(time.Millisecond), after.verdict)
		})
	}
	if s.shown != nil {
		s.shown(t, true)
	}
}

// metricIs waits until a metric, with its labels, has a value.
func (c *callers) metricIs(t *testing.T, name, value string) {
	t.Helper()
	testkit.Eventually(t, name+" is "+value, func() bool { return c.shows(t, name, value) })
}

func (c *callers) shows(t *testing.T, metric, value string) bool {
	t.Helper()
	_, text, _ := c.do(t, http.MethodGet, c.scheme+"://"+c.admin+"/metrics", http.Header{}, "")
	return strings.Contains("\n"+text, "\n"+metric+" "+value+"\n")
}

// stand starts a server in a directory of the test, and those who ask it.
func stand(t *testing.T, settings ...string) *callers {
	t.Helper()
	return newCallers(t, begin(t, settings...))
}

// second starts another server over the data of the first one, which takes the same
// credentials.
func (c *callers) second(t *testing.T, settings ...string) *callers {
	t.Helper()
	s, err := newServer(c.dir)
	if err != nil {
		t.Fatal(err)
	}
	s.startFor(t, settings...)
	return &callers{server: s, client: c.client, root: c.root, token: c.token, known: c.known, unseen: c.unseen}
}

// moveAway takes a file away and returns how to put it back.
func moveAway(t *testing.T, file string) (back func(t *testing.T)) {
	t.Helper()
	away := filepath.Join(t.TempDir(), filepath.Base(file))
	if err := os.Rename(file, away); err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T) {
		t.Helper()
		if err := os.Rename(away, file); err != nil {
			t.Fatal(err)
		}
	}
}

var update = flag.Bool("update", false, "rewrite the table of docs/outages.md")

// TestThePageOnOutagesShowsWhatIsTested: the table in docs/outages.md is that of
// TestOutage.
func TestThePageOnOutagesShowsWhatIsTested(t *testing.T) {
	t.Parallel()
	const begin, end = "<!-- begin outages -->\n", "<!-- end outages -->"
	page := source(t, "docs", "outages.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), begin)
	table, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q or %q", page, begin, end)
	}
	want := outageTable()
	if *update {
		if err := os.WriteFile(page, []byte(head+begin+want+end+tail), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, table); diff != "" {
		t.Errorf("run go test ./cmd/onnxgate/e2e -run PageOnOutages -update (-tests +page):\n%s", diff)
	}
}

func outageTable() string {
	var b strings.Builder
	b.WriteString("| gone, or hung |")
	for _, column := range outageColumns {
		b.WriteString(" " + column + " |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(outageColumns)+1) + "\n")
	for _, row := range outages() {
		b.WriteString("| " + row.name + " |")
		for _, column := range outageColumns {
			b.WriteString(" " + row.cell(column) + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// cell is what the page says of a cell.
func (o *outage) cell(column string) string {
	want := map[string]string{ready: "ok", degraded: "degraded", notReady: "not ready"}
	text := o.want.of(column)
	if shown, ok := want[text]; ok {
		text = shown
	}
	if later := o.later[column]; later != "" && later != o.want.of(column) {
		text += " to whom is known; " + later + " beyond the bound"
	}
	return text
}
