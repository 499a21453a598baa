package e2e

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rogpeppe/go-internal/testscript"

	"onnxgate/internal/testkit"
)

// TestScripts runs testdata/script. Beside the commands of testscript they
// have these, which drive one server and the real curl:
//
//	serve [-defaults] [NAME=VALUE...]  starts the server with its data in $WORK/data, and again
//	                        after terminate; without -defaults its rates are off. Sets $URL, $ADMIN,
//	                        $ADDR, $PORT, $ADMIN_PORT, $CA and $ADMIN_PASSWORD.
//	terminate               SIGTERM; the server must end with 0 and a clean log
//	hangup                  SIGHUP
//	curl ARG...             runs curl and checks what holds for every answer
//	within DURATION CODE ARG...  repeats curl until the answer has the status
//	status CODE             of the last answer
//	[!] header NAME [REGEXP]
//	body FILE               the last body is this JSON value; scores may differ by 1e-6
//	[!] json PATH [VALUE]   a member of the last body, such as errors.0.pointer
//	problem CODE SLUG [REGEXP]   the last answer is this problem, with this detail
//	faults POINTER...       the last problem names exactly these places
//	oauth-error CODE ERROR [DESCRIPTION]
//	token NAME USER PASSWORD [SCOPE]  asks for a token, and puts it into $NAME and
//	                        its header line into $AUTH_NAME
//	apikey NAME ARG...      runs onnxgate apikey, and puts the key into $NAME, its id and secret into $ID_NAME and
//	                        $SECRET_NAME, and the secret's hash into $HASH_NAME
//	[!] log REGEXP          the server's log, eventually
//	repeat FILE PATTERN N   writes PATTERN N times to FILE
func TestScripts(t *testing.T) {
	testkit.Tool(t, "curl", "curl")
	testscript.Run(t, scripts(testscript.Params{Dir: filepath.Join("testdata", "script"), Setup: setup}))
}

// scripts returns the parameters with the commands of these scripts.
func scripts(params testscript.Params) testscript.Params {
	params.Cmds = map[string]func(*testscript.TestScript, bool, []string){
		"serve": cmdServe, "terminate": cmdTerminate, "hangup": cmdHangup,
		"curl": cmdCurl, "within": cmdWithin, "token": cmdToken,
		"status": cmdStatus, "header": cmdHeader, "body": cmdBody, "json": cmdJSON,
		"problem": cmdProblem, "faults": cmdFaults, "oauth-error": cmdOAuthError,
		"log": cmdLog, "repeat": cmdRepeat, "apikey": cmdAPIKey,
	}
	return params
}

// scoreTolerance is how far a score may be from the one of another engine that
// adds its FP32 numbers in another order.
const scoreTolerance = 1e-6

// state is what the commands of one script share.
type state struct {
	ctx    context.Context
	server *server
	last   *answer
}

type stateKey struct{}

func setup(env *testscript.Env) error {
	s, err := newServer(env.WorkDir)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	env.Values[stateKey{}] = &state{ctx: ctx, server: s}
	env.Defer(func() {
		defer cancel()
		if err := s.stop(); err != nil {
			env.T().Fatal(err)
		}
	})
	env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
	env.Setenv("REPOSITORY", repository)
	env.Setenv("JSON", "Content-Type: application/json")
	// What the server and curl must not take from whoever runs the tests.
	env.Setenv("HOME", env.WorkDir)
	env.Setenv("ONNXGATE_ADDR", s.addr)
	env.Setenv("ONNXGATE_ADMIN_ADDR", s.admin)
	env.Setenv("ONNXGATE_GRPC_ADDR", s.grpc)
	return nil
}

func stateOf(ts *testscript.TestScript) *state {
	st, ok := ts.Value(stateKey{}).(*state)
	if !ok {
		ts.Fatalf("the script has no state")
	}
	return st
}

func noNegation(ts *testscript.TestScript, neg bool, args []string, atLeast int, usage string) {
	if neg || len(args) < atLeast {
		ts.Fatalf("usage: %s", usage)
	}
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 0, "serve [-defaults] [NAME=VALUE...]")
	s := stateOf(ts).server
	if len(args) > 0 && args[0] == "-defaults" {
		args = args[1:]
	} else {
		args = slices.Concat(ratesOff, args)
	}
	if database := ts.Getenv(databaseURL); database != "" {
		args = append(args, databaseURL+"="+database)
	}
	ts.Check(s.start(stateOf(ts).ctx, args...))
	ts.Setenv("URL", s.url())
	ts.Setenv("ADMIN", s.scheme+"://"+s.admin)
	ts.Setenv("ADDR", s.addr)
	_, port, _ := strings.Cut(s.addr, ":")
	ts.Setenv("PORT", port)
	_, port, _ = strings.Cut(s.admin, ":")
	ts.Setenv("ADMIN_PORT", port)
	ts.Setenv("CA", s.cacert())
	if password, err := os.ReadFile(filepath.Join(s.dir, "data", "initial-admin-password")); err == nil {
		ts.Setenv("ADMIN_PASSWORD", strings.TrimSpace(string(password)))
	}
}

func cmdTerminate(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 0, "terminate")
	ts.Check(stateOf(ts).server.stop())
}

func cmdHangup(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 0, "hangup")
	ts.Check(stateOf(ts).server.cmd.Process.Signal(syscall.SIGHUP))
}

func cmdCurl(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 1, "curl ARG...")
	st := stateOf(ts)
	st.last = runCurl(ts, args)
	if wrong := st.last.check(); len(wrong) > 0 {
		ts.Fatalf("%s answered %s, where\n  %s", st.last.url, st.last.summary(), strings.Join(wrong, "\n  "))
	}
	// An error may point at a member by its name, which the client chose.
	if st.last.status >= 400 {
		if secret := st.server.shows(string(st.last.body), "7.6543219", "canary-"); secret != "" {
			ts.Fatalf("%s answered %s, which shows %q", st.last.url, st.last.summary(), secret)
		}
	}
}

func (a *answer) summary() string { return fmt.Sprintf("%d %.2000s", a.status, a.body) }

// runCurl runs the real curl with the server's certificate and returns what it
// received.
func runCurl(ts *testscript.TestScript, args []string) *answer {
	st := stateOf(ts)
	headers, body := ts.MkAbs(".headers"), ts.MkAbs("body")
	_ = os.Remove(body) // curl writes no file for an empty body
	// --disable keeps a .curlrc out, and works in the first place only.
	args = append([]string{
		"--disable", "--silent", "--show-error", "--max-time", "60", "--cacert", st.server.cacert(),
		"--noproxy", "*", "--dump-header", headers, "--output", body,
		"--write-out", `{"url":"%{url_effective}","method":"%{method}","version":"%{http_version}"}`,
	}, args...)
	cmd := exec.CommandContext(st.ctx, "curl", args...)
	cmd.Dir = ts.MkAbs(".")
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		ts.Fatalf("curl %q: %v\n%s", args, err, stderr.Bytes())
	}
	var meta struct{ URL, Method, Version string }
	ts.Check(json.Unmarshal(out.Bytes(), &meta))
	a, err := readAnswer(headers, body)
	ts.Check(err)
	a.url, err = url.Parse(meta.URL)
	ts.Check(err)
	a.admin = a.url.Host == st.server.admin
	a.cors, a.noBody = st.server.cors && !a.admin, meta.Method == http.MethodHead
	a.host = sentHost(args)
	ts.Setenv("HTTP_VERSION", meta.Version)
	return a
}

// sentHost is the Host header that the arguments of curl set, if any.
func sentHost(args []string) string {
	for _, arg := range args {
		if host, ok := strings.CutPrefix(arg, "Host: "); ok {
			return host
		}
	}
	return ""
}

// readAnswer reads what curl wrote. Of several header blocks (100 Continue)
// the last is the answer's.
func readAnswer(headers, body string) (*answer, error) {
	raw, err := os.ReadFile(headers)
	if err != nil {
		return nil, err
	}
	blocks := strings.Split(strings.TrimSpace(string(raw)), "\r\n\r\n")
	status, rest, _ := strings.Cut(blocks[len(blocks)-1], "\r\n")
	header, err := textproto.NewReader(bufio.NewReader(strings.NewReader(rest + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(status)
	if len(fields) < 2 {
		return nil, fmt.Errorf("status line %q", status)
	}
	code, err := strconv.Atoi(fields[1])
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(body)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return &answer{status: code, header: http.Header(header), body: data}, nil
}

func cmdWithin(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 3, "within DURATION CODE ARG...")
	limit, err := time.ParseDuration(args[0])
	ts.Check(err)
	for deadline := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		begun := time.Now()
		cmdCurl(ts, false, args[2:])
		if strconv.Itoa(stateOf(ts).last.status) == args[1] {
			return
		}
		if begun.After(deadline) {
			ts.Fatalf("still %s after %s", stateOf(ts).last.summary(), limit)
		}
	}
}

func cmdToken(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 3, "token NAME USER PASSWORD [SCOPE]")
	st := stateOf(ts)
	st.server.keep(args[2])
	request := []string{
		"--data", "grant_type=password", "--data-urlencode", "username=" + args[1],
		"--data-urlencode", "password=" + args[2],
	}
	if len(args) > 3 {
		request = append(request, "--data-urlencode", "scope="+args[3])
	}
	cmdCurl(ts, false, append(request, st.server.url()+"/token"))
	cmdStatus(ts, false, []string{"200"})
	var response struct {
		AccessToken string `json:"access_token"`
	}
	ts.Check(json.Unmarshal(st.last.body, &response))
	st.server.keep(response.AccessToken)
	ts.Setenv(args[0], response.AccessToken)
	ts.Setenv("AUTH_"+args[0], "Authorization: Bearer "+response.AccessToken)
}

func lastAnswer(ts *testscript.TestScript) *answer {
	if stateOf(ts).last == nil {
		ts.Fatalf("no answer yet")
	}
	return stateOf(ts).last
}

func cmdStatus(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 1, "status CODE")
	if a := lastAnswer(ts); strconv.Itoa(a.status) != args[0] {
		ts.Fatalf("%s answered %s, want %s", a.url, a.summary(), args[0])
	}
}

func cmdHeader(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: [!] header NAME [REGEXP]")
	}
	values := lastAnswer(ts).header.Values(args[0])
	found := len(values) > 0
	if found && len(args) == 2 {
		pattern, err := regexp.Compile("^(?:" + args[1] + ")$")
		ts.Check(err)
		found = pattern.MatchString(strings.Join(values, ", "))
	}
	if found == neg {
		ts.Fatalf("header %q of %s, where neg is %t: it is %q", args, lastAnswer(ts).summary(), neg, values)
	}
}

func cmdBody(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 1, "body FILE")
	var got, want any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &want))
	if err := json.Unmarshal(lastAnswer(ts).body, &got); err != nil {
		ts.Fatalf("the body is not JSON: %v\n%s", err, lastAnswer(ts).summary())
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, scoreTolerance)); diff != "" {
		ts.Fatalf("the body differs (-want +got):\n%s", diff)
	}
}

func cmdJSON(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: [!] json PATH [VALUE]")
	}
	var value, want any
	if err := json.Unmarshal(lastAnswer(ts).body, &value); err != nil {
		ts.Fatalf("the body is not JSON: %v\n%s", err, lastAnswer(ts).summary())
	}
	value, found := member(value, strings.Split(args[0], "."))
	if len(args) == 2 {
		ts.Check(json.Unmarshal([]byte(args[1]), &want))
		found = found && cmp.Equal(want, value)
	}
	if found == neg {
		ts.Fatalf("%s is %v in %s", args[0], value, lastAnswer(ts).summary())
	}
}

// member walks into value. A name may be that of a member that holds dots,
// when it is the last of the path.
func member(value any, path []string) (any, bool) {
	if len(path) == 0 {
		return value, true
	}
	switch v := value.(type) {
	case map[string]any:
		if inner, ok := v[strings.Join(path, ".")]; ok {
			return inner, true
		}
		inner, ok := v[path[0]]
		if !ok {
			return nil, false
		}
		return member(inner, path[1:])
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(v) {
			return nil, false
		}
		return member(v[i], path[1:])
	default:
		return nil, false
	}
}

type problem struct {
	Type   string
	Detail string
	Errors []struct{ Pointer, Detail string }
}

func lastProblem(ts *testscript.TestScript) problem {
	var p problem
	if err := json.Unmarshal(lastAnswer(ts).body, &p); err != nil {
		ts.Fatalf("no problem: %s", lastAnswer(ts).summary())
	}
	return p
}

func cmdProblem(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 2, "problem CODE SLUG [REGEXP]")
	cmdStatus(ts, false, args[:1])
	p := lastProblem(ts)
	if p.Type != "/problems/"+args[1] {
		ts.Fatalf("the problem is %s, want %s", lastAnswer(ts).summary(), args[1])
	}
	if len(args) > 2 && !regexp.MustCompile(args[2]).MatchString(p.Detail) {
		ts.Fatalf("the detail is %q, want %s", p.Detail, args[2])
	}
}

func cmdFaults(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 1, "faults POINTER...")
	var got []string
	for _, fault := range lastProblem(ts).Errors {
		got = append(got, fault.Pointer)
		if fault.Detail == "" {
			ts.Fatalf("%s has no detail", fault.Pointer)
		}
	}
	slices.Sort(got)
	slices.Sort(args)
	if diff := cmp.Diff(args, got); diff != "" {
		ts.Fatalf("the faults differ (-want +got):\n%s\n%s", diff, lastAnswer(ts).summary())
	}
}

func cmdOAuthError(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 2, "oauth-error CODE ERROR [DESCRIPTION]")
	cmdStatus(ts, false, args[:1])
	var got struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	ts.Check(json.Unmarshal(lastAnswer(ts).body, &got))
	if got.Error != args[1] || len(args) > 2 && got.Description != args[2] {
		ts.Fatalf("the error is %s, want %q", lastAnswer(ts).summary(), args[1:])
	}
	cmdHeader(ts, false, []string{"Cache-Control", "no-store"})
}

func cmdLog(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: [!] log REGEXP")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	log := stateOf(ts).server.log
	// The access log may be buffered for 100 ms, and what is noticed takes as long as
	// the machine is busy.
	deadline := time.Now().Add(30 * time.Second)
	if neg {
		time.Sleep(200 * time.Millisecond)
		deadline = time.Now()
	}
	for !pattern.MatchString(log.String()) {
		if time.Now().After(deadline) {
			if neg {
				return
			}
			ts.Fatalf("the log has no %s:\n%s", args[0], log)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if neg {
		ts.Fatalf("the log has %s:\n%s", args[0], log)
	}
}

func cmdRepeat(ts *testscript.TestScript, neg bool, args []string) {
	noNegation(ts, neg, args, 3, "repeat FILE PATTERN N")
	n, err := strconv.Atoi(args[2])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat(args[1], n)), 0o600))
}
