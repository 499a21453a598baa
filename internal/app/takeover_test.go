package app_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"onnxgate/internal/accounts"
	"onnxgate/internal/apikey"
	"onnxgate/internal/config"
	"onnxgate/internal/testkit"
)

// mounted is a server whose secrets are in files, as Kubernetes and Vault's agent have
// them.
type mounted struct {
	*server

	files string
	vars  map[string]string
}

func startMounted(t *testing.T, secrets, vars map[string]string) *mounted {
	t.Helper()
	m := &mounted{files: t.TempDir(), vars: map[string]string{}}
	maps.Copy(m.vars, vars)
	for name, value := range secrets {
		m.vars[name+"_FILE"] = filepath.Join(m.files, name)
		m.write(t, name, value)
	}
	m.server = start(t, filepath.Join(m.files, "data"), m.vars)
	return m
}

func (m *mounted) write(t *testing.T, name, value string) {
	t.Helper()
	write(t, filepath.Join(m.files, name), value+"\n")
}

// reload reads the files again, and returns what is logged of that.
func (m *mounted) reload(t *testing.T) string {
	t.Helper()
	before := len(m.log.String())
	m.Reload(t.Context(), func() (*config.Config, error) { return loadAgain(t, m.dir, m.vars) })
	return m.log.String()[before:]
}

// refused reloads with a secret that cannot be taken over, and puts the former one back.
func (m *mounted) refused(t *testing.T, name, value, former, want string) {
	t.Helper()
	m.write(t, name, value)
	log := m.reload(t)
	if !strings.Contains(log, "not reloaded: nothing changes until the configuration is right") || !strings.Contains(log, want) || strings.Contains(log, `"reloaded"`) {
		t.Errorf("%s: want %q in\n%s", name, want, log)
	}
	if strings.Contains(log, value) {
		t.Errorf("the log shows %s:\n%s", name, log)
	}
	if got, _ := gauge(families(t, m.metrics(t)), "onnxgate_reload_successful", "configuration"); got != 0 {
		t.Errorf("%s: the metric says that it was taken over", name)
	}
	m.write(t, name, former)
}

// taken reloads with another secret.
func (m *mounted) taken(t *testing.T, name, value string) {
	t.Helper()
	m.write(t, name, value)
	if log := m.reload(t); !strings.Contains(log, `"changed":["ONNXGATE_`+name+`"]`) || strings.Contains(log, value) {
		t.Errorf("%s:\n%s", name, log)
	}
	if got, _ := gauge(families(t, m.metrics(t)), "onnxgate_reload_successful", "configuration"); got != 1 {
		t.Errorf("%s: the metric says that it was not taken over", name)
	}
}

// recorded are the events on record, in their order.
func (m *mounted) recorded(t *testing.T) (events []string) {
	t.Helper()
	all, _ := m.records(t, m.token(t))
	for _, r := range all {
		events = append(events, r.Event)
	}
	return events
}

// occupy has the server make every connection to its database that it may have.
func (m *mounted) occupy(t *testing.T) {
	t.Helper()
	var inside, done sync.WaitGroup
	inside.Add(8)
	for range 8 {
		done.Go(func() {
			var once sync.Once
			if err := m.Viewing(t.Context(), func() { once.Do(inside.Done); inside.Wait() }); err != nil {
				once.Do(inside.Done)
				t.Error(err)
			}
		})
	}
	done.Wait()
}

// TestAnotherPasswordOfTheDatabaseIsTakenOverWithoutLosingARequest: sign-ins and
// predictions go on, nothing that is wrong is taken over, and the key of the
// configuration is made in the same database.
func TestAnotherPasswordOfTheDatabaseIsTakenOverWithoutLosingARequest(t *testing.T) {
	t.Parallel()
	postgres := testkit.StartPostgres(t)
	database, other := postgres.Database(t), postgres.Database(t)
	postgres.AskPasswords(t, "first-hush")
	url := func(password string) string { return testkit.WithPassword(t, database, testkit.Role, password) }
	startMounted(t, map[string]string{"DATABASE_URL": testkit.WithPassword(t, other, testkit.Role, "first-hush")}, nil)
	key := newKey(t)
	m := startMounted(t, map[string]string{"DATABASE_URL": url("first-hush"), "BOOTSTRAP_API_KEY": key}, map[string]string{"BOOTSTRAP_API_KEY_ROLE": "admin"})
	m.occupy(t)
	token, password := m.token(t), m.password(t)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	for _, ask := range []func() (int, string){
		func() (int, string) {
			return m.call(t, http.MethodPost, "https://"+m.Addr()+"/token", "", "application/x-www-form-urlencoded", "username=admin&password="+password)
		},
		func() (int, string) { return m.predict(t, token) },
		func() (int, string) { return m.predict(t, key) },
		func() (int, string) {
			return m.call(t, http.MethodGet, "https://"+m.AdminAddr()+"/admin/v1/users", token, "", "")
		},
	} {
		running.Go(func() {
			for ctx.Err() == nil {
				if status, body := ask(); status != http.StatusOK {
					t.Errorf("%d %s", status, body)
					return
				}
			}
		})
	}
	postgres.Exec(t, "ALTER ROLE onnxgate PASSWORD 'second-hush'")
	m.refused(t, "DATABASE_URL", url("no-hush"), url("first-hush"), "password authentication failed")
	m.refused(t, "DATABASE_URL", testkit.WithPassword(t, other, testkit.Role, "second-hush"), url("first-hush"), "it is not the database that this server works with")
	m.refused(t, "DATABASE_URL", "mysql://hush", url("first-hush"), "it is no PostgreSQL URL")
	m.taken(t, "DATABASE_URL", url("second-hush"))
	postgres.Exec(t, "CREATE ROLE vault LOGIN PASSWORD 'third-hush' IN ROLE onnxgate")
	m.taken(t, "DATABASE_URL", testkit.WithPassword(t, database, "vault", "third-hush"))
	postgres.Exec(t, "ALTER ROLE onnxgate NOLOGIN")
	m.occupy(t)
	stop()
	running.Wait()
	if status, body := m.predict(t, m.token(t)); status != http.StatusOK {
		t.Errorf("afterwards: %d %s", status, body)
	}
	delete(m.vars, "DATABASE_URL_FILE")
	if log := m.reload(t); !strings.Contains(log, `"setting":"ONNXGATE_DATABASE_URL"`) || !strings.Contains(log, "setting needs a restart") {
		t.Errorf("without a URL:\n%s", log)
	}
}

func TestAnotherPasswordOfRedisIsTakenOver(t *testing.T) {
	t.Parallel()
	const wrong = "WRONGPASS"
	store := testkit.StartRedis(t, testkit.RedisConfig{Password: "first-hush"})
	first := store.URL(0)
	m := startMounted(t, map[string]string{"REDIS_URL": first}, map[string]string{"RATE_PREDICT": "9/day", "RATE_TOKEN": "off"})
	token := m.token(t)
	counted := admitted(t, 4, map[*server]string{m.server: token}, m.server)[m.server]
	store.SetPassword(t, "second-hush")
	m.refused(t, "REDIS_URL", strings.Replace(first, "first", "third", 1), first, wrong)
	m.refused(t, "REDIS_URL", "http://hush", first, "it is no URL of a Redis server")
	m.taken(t, "REDIS_URL", store.URL(0))
	store.Do(t, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes") // whoever is still there under the first
	testkit.Eventually(t, "Redis is used", func() bool { return m.gauge(t, "onnxgate_redis_up") == 1 })
	counted += admitted(t, 10, map[*server]string{m.server: token}, m.server)[m.server]
	if alone := int(m.gauge(t, "onnxgate_local_rate_decisions_total")); counted < 9 || counted > 9+alone {
		t.Errorf("%d were admitted of 9, %d by the server itself", counted, alone)
	}
}

func TestAnotherSharedSecretSignsAndTokensOfTheFormerAreGood(t *testing.T) {
	t.Parallel()
	const first, second = "q7Jm0Y2cVv6mS1cW3r8u0e5bTz4hXk9L", "Zx1Nw8Lq4Rt6Yp2Vb9Kd3Hf7Js5Mg0Ca"
	m := startMounted(t, map[string]string{"JWT_SECRET": first}, nil)
	old := m.token(t)
	m.refused(t, "JWT_SECRET", "too short", first, "a secret shorter than 32 bytes can be found by trying")
	m.refused(t, "JWT_SECRET", strings.Repeat("abcdefghi", 4), first, "this looks like a sample secret")
	if again := m.token(t); kid(t, again) != kid(t, old) {
		t.Error("a refused secret signs")
	}
	m.taken(t, "JWT_SECRET", second)
	fresh := m.token(t)
	if kid(t, fresh) == kid(t, old) {
		t.Error("the former secret signs on")
	}
	for name, token := range map[string]string{"former": old, "new": fresh} {
		if status, body := m.predict(t, token); status != http.StatusOK {
			t.Errorf("the %s token: %d %s", name, status, body)
		}
	}
	if !strings.Contains(m.log.String(), "a new key signs tokens now") || !slices.Contains(m.recorded(t), "key.rotate") {
		t.Errorf("%v is on record", m.recorded(t))
	}
	delete(m.vars, "JWT_SECRET_FILE")
	if log := m.reload(t); !strings.Contains(log, `"setting":"ONNXGATE_JWT_SECRET"`) {
		t.Errorf("without a secret:\n%s", log)
	}
	if status, _ := m.predict(t, m.token(t)); status != http.StatusOK {
		t.Errorf("without a secret: %d", status)
	}
}

// kid returns the name of the key that a token says that it is signed by.
func kid(t *testing.T, token string) string {
	t.Helper()
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		KID string `json:"kid"`
	}
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header.KID
}

func newKey(t *testing.T) string {
	t.Helper()
	key, err := apikey.New(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestAnotherKeyOfTheConfigurationEndsTheFormer(t *testing.T) {
	t.Parallel()
	first, second := newKey(t), newKey(t)
	m := startMounted(t, map[string]string{"BOOTSTRAP_API_KEY": first}, map[string]string{"BOOTSTRAP_API_KEY_ROLE": "admin"})
	status := func(key string) int { status, _ := m.predict(t, key); return status }
	if got := status(first); got != http.StatusOK {
		t.Fatalf("the first key: %d", got)
	}
	m.refused(t, "BOOTSTRAP_API_KEY", "not a key at all", first, "onnxgate apikey generate")
	if got := status(first); got != http.StatusOK {
		t.Errorf("the first key, after a bad one: %d", got)
	}
	m.taken(t, "BOOTSTRAP_API_KEY", second)
	if a, b := status(first), status(second); a != http.StatusUnauthorized || b != http.StatusOK {
		t.Errorf("the former key: %d, the new one: %d", a, b)
	}
	events := m.recorded(t)
	if i := slices.Index(events, "apikey.revoke"); i < 0 || !slices.Contains(events[i:], "apikey.create") {
		t.Errorf("%v is on record", events)
	}
	// A key of somebody else is known to be one when it is to be made.
	taken := m.keyOf(t, accounts.NewKey{Name: "own", Roles: []string{"admin"}})
	m.write(t, "BOOTSTRAP_API_KEY", taken)
	for range 2 {
		if log := m.reload(t); !strings.Contains(log, "another key has that id") || !strings.Contains(log, "kept a setting as it was") || strings.Contains(log, taken) {
			t.Errorf("the key of somebody else:\n%s", log)
		}
	}
	if got, _ := gauge(families(t, m.metrics(t)), "onnxgate_reload_successful", "configuration"); got != 0 || status(second) != http.StatusOK {
		t.Errorf("after the key of somebody else: %d", status(second))
	}
	delete(m.vars, "BOOTSTRAP_API_KEY_FILE")
	m.reload(t)
	if a, b := status(second), status(taken); a != http.StatusUnauthorized || b != http.StatusOK {
		t.Errorf("without a key: %d, and that of somebody else: %d", a, b)
	}
}
