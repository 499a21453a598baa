package app_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/app"
	"onnxgate/internal/audit"
	"onnxgate/internal/config"
	"onnxgate/internal/onnx"
	. "onnxgate/internal/onnx/onnxtest" //nolint:revive // as above
	"onnxgate/internal/tensor"
	"onnxgate/internal/testkit"
)

// record is a line of GET /admin/v1/audit.
type record struct {
	Event, Actor, Tenant, Method, Address, Model, Version, Digest string

	Decision, Outcome, Object string
	ActorTenant               string `json:"actor_tenant"`
	Changes                   []struct{ What, Old, New string }
	Rule                      *int
	Rows, Count               int64
	RequestID                 string `json:"request_id"`
	Beside                    []struct{ Actor, Method string }
	Input, Token              string
}

// each exports what a credential may see, record by record.
func (s *server) each(t *testing.T, token string, do func(line string, r *record)) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.AdminAddr()+"/admin/v1/audit", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	if resp.StatusCode != http.StatusOK {
		t.Fatal(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		do(lines.Text(), &r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// records returns all of them, and their text.
func (s *server) records(t *testing.T, token string) (all []record, text string) {
	t.Helper()
	var b strings.Builder
	s.each(t, token, func(line string, r *record) {
		all = append(all, *r)
		b.WriteString(line + "\n")
	})
	return all, b.String()
}

// again stops a server, so that everything is on record, and starts another in its
// place.
func (s *server) again(t *testing.T) (next *server, token string) {
	t.Helper()
	s.stop(t)
	next = start(t, s.dir, nil)
	return next, next.token(t)
}

// canary is the value of a feature: no time, no id and no address looks like it.
const canary = "5.123456789"

// want is what a request of a kind leaves: an event and an outcome.
type want struct{ Event, Outcome string }

// auditKinds are requests of every kind, over every protocol, with what each leaves
// on record.
func auditKinds(t *testing.T, s *server, token, weak, key string) map[string]struct {
	want
	send func()
} {
	t.Helper()
	post := func(path, credential, media, body string) func() {
		return func() { s.call(t, http.MethodPost, "https://"+s.Addr()+path, credential, media, body) }
	}
	get := func(target, credential string) func() {
		return func() { s.call(t, http.MethodGet, target, credential, "", "") }
	}
	form := func(values ...string) string {
		v := url.Values{}
		for i := 0; i < len(values); i += 2 {
			v.Set(values[i], values[i+1])
		}
		return v.Encode()
	}
	public, admin := "https://"+s.Addr(), "https://"+s.AdminAddr()
	const forms, tensors = "application/x-www-form-urlencoded", `{"inputs":[{"name":"input-0","shape":[1,4],"datatype":"FP32","data":[5.1,3.5,1.4,0.2]}]}`
	client := s.dialGRPC(t)
	infer := func(ctx context.Context, req *pb.ModelInferRequest) func() {
		return func() { _, _ = client.ModelInfer(ctx, req) }
	}
	stream := func(req *pb.ModelInferRequest) func() {
		return func() {
			ctx, end := context.WithCancel(withToken(t.Context(), token))
			defer end()
			c, err := client.ModelStreamInfer(ctx)
			if err != nil || c.Send(req) != nil {
				t.Error("no stream", err)
				return
			}
			if _, err := c.Recv(); err != nil {
				t.Error(err)
			}
			_ = c.CloseSend()
			_, _ = c.Recv() // until it has ended
		}
	}
	flower, unknown := flowers(false, 5.1, 3.5, 1.4, .2), flowers(false, 5.1, 3.5, 1.4, .2)
	unknown.ModelName = "nothing"
	type kind = struct {
		want
		send func()
	}
	n := 0
	return map[string]kind{
		"a prediction":                   {want{"predict", "ok"}, post("/predict", token, "application/json", strings.Replace(row, "5.1", canary, 1))},
		"a prediction with a key":        {want{"predict", "ok"}, post("/predict", key, "application/json", row)},
		"a table":                        {want{"predict", "ok"}, post("/predict", token, "text/csv", "sepal_length,sepal_width,petal_length,petal_width\r\n5.1,3.5,1.4,0.2\r\n")},
		"tensors":                        {want{"predict", "ok"}, post("/v2/models/iris/infer", token, "application/json", tensors)},
		"instances":                      {want{"predict", "ok"}, post("/v1/models/iris:predict", token, "application/json", `{"instances":[[5.1,3.5,1.4,0.2]]}`)},
		"tensors over gRPC":              {want{"predict", "ok"}, infer(withToken(t.Context(), token), flower)},
		"a message of a stream":          {want{"predict", "ok"}, stream(flower)},
		"content out of range":           {want{"refused", "content"}, post("/predict", token, "application/json", strings.Replace(row, "5.1", "5000", 1))},
		"broken syntax":                  {want{"refused", "syntax"}, post("/predict", token, "application/json", "{")},
		"another type":                   {want{"refused", "unsupported media type"}, post("/predict", token, "text/plain", "x")},
		"an unknown model":               {want{"refused", "not found"}, post("/models/nothing/predict", token, "application/json", row)},
		"an unknown model over gRPC":     {want{"refused", "not found"}, infer(withToken(t.Context(), token), unknown)},
		"an unknown model in a stream":   {want{"refused", "not found"}, stream(unknown)},
		"a rule":                         {want{"refused", "forbidden"}, post("/predict", weak, "application/json", row)},
		"a rule over gRPC":               {want{"refused", "forbidden"}, infer(withToken(t.Context(), weak), flower)},
		"a missing permission":           {want{"refused", "forbidden"}, get(admin+"/admin/v1/users", weak)},
		"a missing permission over gRPC": {want{"refused", "forbidden"}, func() { _, _ = client.ModelReady(withToken(t.Context(), weak), &pb.ModelReadyRequest{Name: "iris"}) }},
		"a look":                         {want{"model.read", "ok"}, get(public+"/models", token)},
		"a look over gRPC":               {want{"model.read", "ok"}, func() { _, _ = client.ServerMetadata(withToken(t.Context(), token), &pb.ServerMetadataRequest{}) }},
		"a look at users":                {want{"user.read", "ok"}, get(admin+"/admin/v1/users", token)},
		"a sign-in":                      {want{"login", "ok"}, post("/token", "", forms, form("username", "admin", "password", s.password(t)))},
		"a wrong password of somebody":   {want{"refused", "unauthenticated"}, post("/token", "", forms, form("username", "weak", "password", "not this one, and long"))},
		"a scope beyond what there is":   {want{"refused.sum", "bad request"}, post("/token", "", forms, form("username", "admin", "password", s.password(t), "scope", "nothing"))},
		"a wrong password of nobody":     {want{"refused.sum", "unauthenticated"}, post("/token", "", forms, form("username", "nobody", "password", "not this one, and long"))},
		"no credential":                  {want{"refused.sum", "unauthenticated"}, post("/predict", "", "application/json", row)},
		"no credential over gRPC":        {want{"refused.sum", "unauthenticated"}, infer(t.Context(), flower)},
		"a forged token":                 {want{"refused.sum", "unauthenticated"}, post("/predict", token[:len(token)-4]+"AAAA", "application/json", row)},
		"an unknown path":                {want{"refused.sum", "not found"}, get(public+"/nothing", "")},
		"an unknown method of a path":    {want{"refused.sum", "method not allowed"}, get(public+"/predict", "")},
		"a change": {want{"tenant.create", "ok"}, func() {
			n++
			s.call(t, http.MethodPost, admin+"/admin/v1/tenants", token, "application/json", `{"name":"t`+strconv.Itoa(n)+`"}`)
		}},
		"a change that cannot be made": {want{"refused", "conflict"}, func() {
			s.call(t, http.MethodPost, admin+"/admin/v1/tenants", token, "application/json", `{"name":"default"}`)
		}},
		"text that is sealed":        {want{"key.encrypt", "ok"}, post("/encrypt", token, "application/json", `{"plaintext":"hello"}`)},
		"a token that does not open": {want{"key.decrypt", "undecryptable"}, post("/decrypt", token, "application/json", `{"ciphertext":"hello"}`)},
	}
}

// TestEveryRequestIsOnRecordOnce sends requests of all kinds over all protocols in
// an order of chance, and compares what they were with what is on record: as many,
// and the same.
func TestEveryRequestIsOnRecordOnce(t *testing.T) {
	requests := 1500
	if text := os.Getenv("REQUESTS"); text != "" {
		var err error
		if requests, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	s := start(t, t.TempDir(), map[string]string{"TOKEN_TTL": "24h"})
	token, key := s.token(t), s.key(t)
	const weakPassword = "lamp-violet-orbit-42"
	if status, body := s.call(t, http.MethodPost, "https://"+s.AdminAddr()+"/admin/v1/users", token, "application/json",
		`{"name":"weak","roles":["nothing"],"password":"`+weakPassword+`"}`); status != http.StatusCreated {
		t.Fatal(status, body)
	}
	status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
		url.Values{"username": {"weak"}, "password": {weakPassword}}.Encode())
	var answer struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(status, body)
	}
	kinds := auditKinds(t, s, token, answer.AccessToken, key)
	names := slices.Sorted(maps.Keys(kinds))
	sent, draw := map[want]int64{}, rand.New(rand.NewPCG(7, 7))
	slow := map[string]int{}
	for i := range requests {
		name := names[i%len(names)]
		if i >= len(names) {
			name = names[draw.IntN(len(names))]
		}
		if strings.Contains(name, "sign-in") || strings.Contains(name, "password") || strings.Contains(name, "scope") {
			if slow[name]++; slow[name] > 8 { // hashing takes its time, and a wrong password slows its name down
				continue
			}
		}
		kind := kinds[name]
		kind.send()
		sent[kind.want]++
	}
	// What was sent before: two sign-ins, an API key and a user; what the server does
	// by itself, and what the export below leaves, is counted apart.
	sent[want{"login", "ok"}] += 2
	sent[want{"apikey.create", "ok"}]++
	sent[want{"user.add", "ok"}] += 2 // the first administrator, too
	sent[want{"key.create", "ok"}]++  // with the first text that is sealed
	secrets := []string{s.password(t), weakPassword, token, key, "not this one", canary, "hello"}
	got, lines, vague := map[want]int64{}, 0, []string{}
	next, reader := s.again(t)
	next.each(t, reader, func(line string, r *record) {
		lines++
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("%q is in %s", secret, line)
			}
		}
		if r.Event == "predict" && (r.Digest == "" || r.Model != "iris" || r.Version != "1" || r.Rows != 1 || r.Rule == nil || r.RequestID == "" ||
			r.Address == "" || r.Actor == "" || r.Decision != "allow") {
			vague = append(vague, line)
		}
		if !strings.HasPrefix(r.Event, "server.") && r.Event != "model.load" && r.Event != "audit.export" {
			got[want{r.Event, r.Outcome}] += max(r.Count, 1)
		}
	})
	got[want{"login", "ok"}]-- // of the export
	if diff := gocmp.Diff(sent, got); diff != "" {
		t.Errorf("records (-sent +kept):\n%s", diff)
	}
	if len(vague) > 0 {
		t.Errorf("%d predictions are not told in full, such as %s", len(vague), vague[0])
	}
	_, metrics := next.call(t, http.MethodGet, "https://"+next.AdminAddr()+"/metrics", "", "", "")
	for _, secret := range secrets {
		if strings.Contains(s.log.String(), secret) || strings.Contains(metrics, secret) {
			t.Errorf("%q is in the log, or in the metrics", secret)
		}
	}
	total := int64(0)
	for _, n := range sent {
		total += n
	}
	t.Logf("in all: %d requests of %d kinds, %d lines", total, len(names), lines)
}

// TestNoClientWritesIntoALine sends what breaks lines, terminals and JSON in every
// place that a client can name.
func TestNoClientWritesIntoALine(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	token := s.token(t)
	hostile := []string{
		"a\r\nb", "\x1b[2Jx", "\u202eevil", "a\x00b", "\u2028", `","outcome":"ok`, strings.Repeat("A", 200_000), "\xff\xfe",
	}
	for _, text := range hostile {
		s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
			url.Values{"username": {text}, "password": {text}, "client_id": {text}}.Encode())
		s.call(t, http.MethodPost, "https://"+s.Addr()+"/models/"+url.PathEscape(text[:min(len(text), 1000)])+"/predict", token, "application/json", row)
		name, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		s.call(t, http.MethodPost, "https://"+s.AdminAddr()+"/admin/v1/users", token, "application/json", `{"name":`+string(name)+`,"password":`+string(name)+`,"roles":["user"]}`)
	}
	next, reader := s.again(t)
	all, text := next.records(t, reader)
	if len(all) < len(hostile) {
		t.Errorf("%d records", len(all))
	}
	for line := range strings.Lines(text) {
		if len(line) > 4<<10 {
			t.Errorf("a line of %d bytes", len(line))
		}
		for _, r := range strings.TrimSuffix(line, "\n") {
			if r < ' ' || r > '~' && (r == '\u2028' || r == '\u202e' || r == '\x7f') {
				t.Fatalf("%q is in %q", r, line)
			}
		}
	}
}

// TestWhoSeesWhichRecords: administrators and auditors those of their tenant, and
// those of the default tenant all.
// What the server takes over after a change of a model is on record as its own, so that
// the id of the request finds who made the change.
func TestARequestIsOnRecordOnceThatHasAModelLoaded(t *testing.T) {
	folder := copyModels(t)
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": folder})
	token := s.token(t)
	manifest, err := os.ReadFile(filepath.Join(folder, "iris", "model.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if status, body := s.call(t, http.MethodPut, "https://"+s.AdminAddr()+"/admin/v1/models/iris/manifest", token, "application/yaml", string(manifest)+"# again\n"); status != http.StatusNoContent {
		t.Fatalf("%d %s", status, body)
	}
	s, token = s.again(t)
	var events, loads []string
	s.each(t, token, func(_ string, r *record) {
		switch {
		case r.Event == "model.load":
			loads = append(loads, r.Actor+" "+r.RequestID+r.Address)
		case strings.HasPrefix(r.Event, "model."):
			events = append(events, r.Event+" "+r.Actor)
		}
	})
	if diff := gocmp.Diff([]string{"model.manifest admin"}, events); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]string{"server ", "server ", "server "}, loads); diff != "" { // at two starts, and between
		t.Error(diff)
	}
}

// hook is a log that does something before the first line with a word in it.
type hook struct {
	*testkit.Buffer

	word string
	once sync.Once
	do   func()
}

func (h *hook) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(h.word)) {
		h.once.Do(h.do)
	}
	return h.Buffer.Write(line)
}

// What a look at the folder takes over is on record also when a client changes another
// model at the same time.
func TestALookIsOnRecordBesideAChange(t *testing.T) {
	folder := copyModels(t)
	s := &server{dir: t.TempDir(), log: &testkit.Buffer{}, client: &http.Client{}}
	log, token := &hook{Buffer: s.log, word: "model not taken over"}, ""
	loaded := make(chan int, 1)
	log.do = func() { // the look is over, and nothing is on record of it yet
		done := make(chan struct{})
		go func() {
			defer close(done)
			status, _ := s.call(t, http.MethodPost, "http://"+s.AdminAddr()+"/admin/v1/models/iris/load", token, "application/json", "{}")
			loaded <- status
		}()
		select {
		case <-done:
		case <-time.After(300 * time.Millisecond): // it waits for the look, as it should
		}
	}
	a, err := app.New(t.Context(), load(t, s.dir, map[string]string{"MODELS_DIR": folder, "TLS": "off", "LOG_LEVEL": "error"}), app.Options{Log: log, Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	s.App = a
	a.Start(t.Context())
	t.Cleanup(func() { s.stop(t) })
	token = s.key(t)
	for name, text := range map[string]string{"good": "", "bad": "nothing"} {
		from := filepath.Join(t.TempDir(), name)
		if err := os.CopyFS(from, os.DirFS(filepath.Join(folder, "iris"))); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			write(t, filepath.Join(from, "1", "model.onnx"), text)
		}
		if err := os.Rename(from, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Reload(t.Context(), func() (*config.Config, error) {
		return load(t, s.dir, map[string]string{"MODELS_DIR": folder, "TLS": "off", "LOG_LEVEL": "error"}), nil
	})
	if status := <-loaded; status != http.StatusOK && status != http.StatusNoContent {
		t.Errorf("the load is %d", status)
	}
	s.stop(t)
	reader, err := app.AuditReader(load(t, s.dir, nil))
	if err != nil {
		t.Fatal(err)
	}
	on := map[string]int{}
	if _, err := reader.Read(t.Context(), audit.Query{Tenant: audit.AnyTenant}, func(e *audit.Entry) error {
		if e.Event == audit.ModelLoad {
			on[e.Actor+" "+e.Object]++
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"server iris/1": 1, "server good/1": 1, "apikey:" + token[4:16] + " iris": 1}
	if diff := gocmp.Diff(want, on); diff != "" {
		t.Error(diff)
	}
}

func TestWhoSeesWhichRecords(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	token := s.token(t)
	admin := "https://" + s.AdminAddr() + "/admin/v1/"
	const password = "lamp-violet-orbit-42"
	for _, change := range []struct{ path, body string }{
		{"tenants", `{"name":"acme"}`},
		{"tenants", `{"name":"globex"}`},
		{"users", `{"name":"guy","tenant":"globex","roles":["admin"],"password":"` + password + `"}`},
		{"users", `{"name":"ann","tenant":"acme","roles":["admin"],"password":"` + password + `"}`},
		{"users", `{"name":"aud","tenant":"acme","roles":["auditor"],"password":"` + password + `"}`},
		{"users", `{"name":"usr","tenant":"acme","roles":["user"],"password":"` + password + `"}`},
	} {
		if status, body := s.call(t, http.MethodPost, admin+change.path, token, "application/json", change.body); status != http.StatusCreated {
			t.Fatal(status, body)
		}
	}
	tokens := map[string]string{}
	for _, name := range []string{"ann", "aud", "usr"} {
		_, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
			url.Values{"username": {name}, "password": {password}}.Encode())
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(body)
		}
		tokens[name] = answer.AccessToken
	}
	if status, _ := s.call(t, http.MethodGet, admin+"audit", tokens["usr"], "", ""); status != http.StatusForbidden {
		t.Errorf("a user reads the records: %d", status)
	}
	for name, wrong := range map[string]string{"a format": "format=xml", "a time": "from=yesterday", "a date": "to=2030-13-01", "the zero time": "to=0001-01-01", "a parameter": "tenant=acme"} {
		if status, _ := s.call(t, http.MethodGet, admin+"audit?"+wrong, tokens["ann"], "", ""); status != http.StatusBadRequest {
			t.Errorf("%s that there is not: %d", name, status)
		}
	}
	for _, name := range []string{"ann", "aud"} {
		all, _ := s.records(t, tokens[name])
		// What was done to the tenant by others is there, too.
		var done []string
		for _, r := range all {
			if r.Actor == "admin" && r.ActorTenant == "default" {
				done = append(done, r.Event+" "+r.Object+" "+fmt.Sprint(r.Changes))
			}
		}
		if want := []string{"tenant.create acme []", "user.add ann [{roles  admin}]", "user.add aud [{roles  auditor}]", "user.add usr [{roles  user}]"}; !slices.Equal(done, want) {
			t.Errorf("%s sees that there was done: %q", name, done)
		}
		for _, r := range all {
			if r.Tenant != "acme" {
				t.Errorf("%s sees a record of the tenant %s: %+v", name, r.Tenant, r)
			}
		}
	}
	seen := map[string]bool{}
	all, _ := s.records(t, token)
	for _, r := range all {
		seen[r.Tenant] = true
	}
	if !seen["acme"] || !seen["default"] {
		t.Errorf("the installation's administrator sees the tenants %v", seen)
	}
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	for _, from := range []string{later, "2999-01-31"} {
		if status, body := s.call(t, http.MethodGet, admin+"audit?from="+from, token, "", ""); status != http.StatusOK || body != "" {
			t.Errorf("of the time to come, %s: %d %s", from, status, body)
		}
	}
	_, table := s.call(t, http.MethodGet, admin+"audit?format=csv&to="+later, token, "", "")
	if !strings.HasPrefix(table, "index,time,event,actor,tenant,method,address,model,version,digest,decision,rule,rows,latency_ms,request_id,outcome") {
		t.Errorf("the table begins with %.200s", table)
	}
	// That somebody took them out is on record.
	all, _ = s.records(t, token)
	exports := 0
	for _, r := range all {
		if r.Event == "audit.export" {
			exports++
		}
	}
	if exports < 4 {
		t.Errorf("%d exports are on record", exports)
	}
}

// TestATenantMadeAgainDoesNotReadTheRecordsOfTheFormer: whose name it has.
func TestATenantMadeAgainDoesNotReadTheRecordsOfTheFormer(t *testing.T) {
	s := start(t, t.TempDir(), nil)
	root := s.token(t)
	admin := "https://" + s.AdminAddr() + "/admin/v1/"
	const password = "lamp-violet-orbit-42"
	call := func(method, path, body string) {
		t.Helper()
		if status, answer := s.call(t, method, admin+path, root, "application/json", body); status/100 != 2 {
			t.Fatal(status, answer)
		}
	}
	read := func(name string) (text string) {
		t.Helper()
		call(http.MethodPost, "tenants", `{"name":"beta"}`)
		call(http.MethodPost, "users", `{"name":"`+name+`","tenant":"beta","roles":["admin"],"password":"`+password+`"}`)
		_, body := s.call(t, http.MethodPost, "https://"+s.Addr()+"/token", "", "application/x-www-form-urlencoded",
			url.Values{"username": {name}, "password": {password}}.Encode())
		var answer struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil {
			t.Fatal(body)
		}
		_, text = s.records(t, answer.AccessToken)
		return text
	}
	if text := read("former"); !strings.Contains(text, "tenant.create") || !strings.Contains(text, "former") {
		t.Errorf("a tenant reads of itself %s", text)
	}
	call(http.MethodDelete, "tenants/beta", "")
	if text := read("present"); !strings.Contains(text, "tenant.create") || !strings.Contains(text, "present") || strings.Contains(text, "former") || strings.Contains(text, "tenant.delete") {
		t.Errorf("a tenant that was made again reads %s", text)
	}
}

// TestALayeredPredictionNamesBothCredentials: a model asks for a token and a key.
func TestALayeredPredictionNamesBothCredentials(t *testing.T) {
	models := t.TempDir()
	data, err := os.ReadFile(filepath.Join("..", "..", "models", "iris", "1", "model.onnx"))
	if err == nil {
		err = os.MkdirAll(filepath.Join(models, "iris", "1"), 0o700)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(models, "iris", "1", "model.onnx"), data, 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(models, "iris", "model.yaml"), []byte("access: {require: [bearer, api_key], roles: [admin]}\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	s := start(t, t.TempDir(), map[string]string{"MODELS_DIR": models})
	token, key := s.token(t), s.key(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+s.Addr()+"/predict", strings.NewReader(`{"float_input_0":1,"float_input_1":1,"float_input_2":1,"float_input_3":1}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("X-API-Key", key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	next, reader := s.again(t)
	all, _ := next.records(t, reader)
	for _, r := range all {
		if r.RequestID != resp.Header.Get("X-Request-Id") {
			continue
		}
		if r.Actor != "admin" || r.Method != "bearer" || r.Token == "" || len(r.Beside) != 1 || r.Beside[0].Method != "api_key" || !strings.HasPrefix(r.Beside[0].Actor, "apikey:") {
			t.Errorf("status %d: %+v", resp.StatusCode, r)
		}
		return
	}
	t.Errorf("the request %s is not on record", cmp.Or(resp.Header.Get("X-Request-Id"), "without an id"))
}

// TestAnAnswerThatCannotBeGivenIsOnRecordOnce asks a model of rows for several, of which
// it gives the greatest alone: the prediction has run, and nobody can be told what it gave.
func TestAnAnswerThatCannotBeGivenIsOnRecordOnce(t *testing.T) {
	folder := t.TempDir()
	version := filepath.Join(folder, "greatest", "1")
	if err := os.MkdirAll(version, 0o755); err != nil {
		t.Fatal(err)
	}
	model := Model(Node("ReduceMax", Names("x", "rows"), Names("y")))
	model.Graph.Initializers = []onnx.Initializer{Tensor64("rows", tensor.Shape{1}, 0)}
	if err := os.WriteFile(filepath.Join(version, "model.onnx"), Encode(model), 0o600); err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{"MODELS_DIR": folder}
	s := start(t, t.TempDir(), vars)
	token := s.token(t)
	for _, ask := range []struct{ path, media, body string }{
		{"/predict", "application/json", `[{"x_0":1,"x_1":2},{"x_0":3,"x_1":4}]`},
		{"/predict", "text/csv", "x_0,x_1\n1,2\n3,4\n"},
		{"/v1/models/greatest:predict", "application/json", `{"instances":[[1,2],[3,4]]}`},
	} {
		status, body := s.call(t, http.MethodPost, "https://"+s.Addr()+ask.path, token, ask.media, ask.body)
		if status != http.StatusUnprocessableEntity && status != http.StatusBadRequest || !strings.Contains(body, "send one at a time") {
			t.Errorf("%s, %s: %d %s", ask.path, ask.media, status, body)
		}
	}
	s.stop(t)
	s = start(t, s.dir, vars)
	all, _ := s.records(t, s.token(t))
	got := map[want]int{}
	for _, r := range all {
		if r.Model != "" && r.Event != "model.load" {
			got[want{r.Event, r.Outcome}]++
		}
	}
	if diff := gocmp.Diff(map[want]int{{"predict", "content"}: 3}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
