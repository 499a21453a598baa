package e2e

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"

	"onnxgate/internal/testkit"
)

// oneIssuer has servers of one data directory take each other's tokens.
const oneIssuer = "ONNXGATE_ISSUER=https://gate.example"

// without the database nobody signs in, changes anything or is looked up; who is
// known goes on.
var withoutDatabase = answers{signIn: closed, byOtherKey: closed, adminWrite: closed, readiness: degraded}

// beyondTheBound nobody is served who may have been refused meanwhile.
var beyondTheBound = answers{byToken: closed, byKey: closed, readiness: degraded}

// everythingClosed but health: nothing is done that is not on record.
var everythingClosed = answers{signIn: closed, byToken: closed, byKey: closed, byOtherKey: closed, adminWrite: closed, readiness: notReady}

func outages() []outage {
	return []outage{
		{name: "sqlite locked", begin: sqliteLocked, want: answers{adminWrite: closed, readiness: degraded}},
		{name: "sqlite corrupt", begin: sqliteCorrupt, want: withoutDatabase, later: beyondTheBound},
		{name: "postgresql gone", begin: postgresGone, want: withoutDatabase, later: beyondTheBound},
		{name: "postgresql hung", begin: postgresHung, want: withoutDatabase, later: beyondTheBound},
		{name: "redis gone", begin: redisLost((*testkit.Redis).Stop, (*testkit.Redis).Start)},
		{name: "redis hung", begin: redisLost((*testkit.Redis).Hang, (*testkit.Redis).Resume)},
		{name: "issuer gone", begin: issuerLost((*testkit.Proxy).Refuse), want: answers{byUnknownKid: unknown, byOutsider: closed}},
		{name: "issuer hung", begin: issuerLost((*testkit.Proxy).Hang), want: answers{byUnknownKid: unknown, byOutsider: closed}},
		{name: "audit disk full", begin: full("audit", "strict"), want: everythingClosed},
		{name: "audit disk full, best effort", begin: full("audit", "best-effort"), want: answers{signIn: closed, adminWrite: closed, readiness: degraded}},
		{name: "audit disk hung", begin: auditHung, want: everythingClosed},
		{name: "key-encryption key gone", begin: kekFile(moveKEK), want: answers{sealsFirst: closed}},
		{name: "key-encryption key changed", begin: kekFile(changeKEK)},
		{name: "disk full", begin: full("", "strict"), want: everythingClosed},
		{name: "disk full without audit", begin: full("", "off"), want: answers{adminWrite: closed, readiness: degraded}},
		{name: "certificate gone", begin: certificateFiles(filesGone)},
		{name: "certificate bad", begin: certificateFiles(fileCut)},
	}
}

const shortBound = "ONNXGATE_REVOCATION_MAX_AGE=2s"

// databaseUp checks what tells of the database.
func (c *callers) databaseUp(t *testing.T, over bool) {
	t.Helper()
	value := "0"
	if over {
		value = "1"
	}
	c.metricIs(t, "onnxgate_database_up", value)
}

func sqliteLocked(t *testing.T) *stage {
	t.Helper()
	c := stand(t, shortBound)
	other, err := sql.Open("sqlite", "file:"+filepath.Join(c.dir, "data", "onnxgate.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	lock, err := other.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	run := func(statement string) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if _, err := lock.ExecContext(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &stage{callers: c, gone: run("PRAGMA busy_timeout = 10000; BEGIN EXCLUSIVE"), back: run("ROLLBACK"), shown: c.databaseUp}
}

// sqliteCorrupt writes noise over the files of the database, and later what was
// there.
func sqliteCorrupt(t *testing.T) *stage {
	t.Helper()
	c := stand(t, oneIssuer)
	impatient := c.second(t, oneIssuer, shortBound)
	database := filepath.Join(c.dir, "data", "onnxgate.db")
	files := []string{database, database + "-wal"}
	var good [][]byte
	return &stage{
		callers: c, impatient: impatient, shown: c.databaseUp,
		gone: func(t *testing.T) {
			t.Helper()
			release := holdWriters(t, database)
			for _, s := range []*callers{c, impatient} {
				s.pause(t)
				defer s.resume(t)
			}
			release()
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				good = append(good, data)
				overwrite(t, file, noise(len(data)))
			}
			forget(t, database)
		},
		back: func(t *testing.T) {
			t.Helper()
			for _, s := range []*callers{c, impatient} {
				s.pause(t)
				defer s.resume(t)
			}
			for i, file := range files {
				overwrite(t, file, good[i])
			}
			forget(t, database)
		},
	}
}

// holdWriters waits until no process writes to a database, and keeps all from it until
// release: one that is stopped in the middle would go on with what it has read before.
func holdWriters(t *testing.T, database string) (release func()) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+database+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := db.Conn(t.Context())
	if err == nil {
		_, err = conn.ExecContext(t.Context(), "BEGIN IMMEDIATE")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(conn.Close(), db.Close()); err != nil { // which ends what was begun
			t.Fatal(err)
		}
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// forget has SQLite read the write-ahead log again instead of what it knows of it,
// which is in the two headers of the index (SQLite's "WAL-mode File Format", section
// 2.1), of 48 bytes each.
func forget(t *testing.T, database string) {
	t.Helper()
	overwrite(t, database+"-shm", noise(2*48))
}

// overwrite writes over the beginning of a file that others have open.
func overwrite(t *testing.T, file string, data []byte) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(data, 0)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// pause stops the process as it is, all its threads, and resume has it go on.
func (s *server) pause(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	testkit.Eventually(t, "all threads have stopped", func() bool {
		threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.cmd.Process.Pid))
		for _, thread := range threads {
			text, err := os.ReadFile(thread)
			if _, state, _ := strings.Cut(string(text), ") "); err == nil && !strings.HasPrefix(state, "T") {
				return false
			}
		}
		return len(threads) > 0
	})
}

func (s *server) resume(t *testing.T) { t.Helper(); s.signal(t, syscall.SIGCONT) }

func (s *server) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}

func postgresGone(t *testing.T) *stage {
	t.Helper()
	p := testkit.StartPostgres(t)
	return onPostgres(t, p.Database(t), p.Stop, p.Start)
}

func postgresHung(t *testing.T) *stage {
	t.Helper()
	p := testkit.StartPostgres(t)
	proxy := p.Proxy(t)
	return onPostgres(t, proxy.Through(t, p.Database(t)), func(testing.TB) { proxy.Hang() }, proxy.Pass)
}

func onPostgres(t *testing.T, url string, gone, back func(testing.TB)) *stage {
	t.Helper()
	where := databaseURL + "=" + url
	c := stand(t, where, oneIssuer)
	return &stage{
		callers: c, impatient: c.second(t, where, oneIssuer, shortBound), shown: c.databaseUp,
		gone: func(t *testing.T) { t.Helper(); gone(t) }, back: func(t *testing.T) { t.Helper(); back(t) },
	}
}

// certificateFiles are the operator's, and what becomes of them.
func certificateFiles(spoil func(t *testing.T, dir string) (mend func(t *testing.T))) func(t *testing.T) *stage {
	return func(t *testing.T) *stage {
		t.Helper()
		dir := t.TempDir()
		serial := writePair(t, dir)
		s, err := newServer(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s.ca = filepath.Join(dir, "cert.pem")
		s.startFor(t, "ONNXGATE_TLS_CERT_FILE="+s.ca, "ONNXGATE_TLS_KEY_FILE="+filepath.Join(dir, "key.pem"))
		c := newCallers(t, s)
		var mend func(t *testing.T)
		return &stage{
			callers: c,
			gone:    func(t *testing.T) { t.Helper(); mend = spoil(t, dir) },
			back:    func(t *testing.T) { t.Helper(); mend(t) },
			shown: func(t *testing.T, over bool) {
				t.Helper()
				c.partIs(t, "certificate", over)
				if got := servedSerial(t, s); got.Cmp(serial) != 0 {
					t.Errorf("the server shows another certificate, %s", got)
				}
				s.awaitLog(t, 0, `"kept the old certificate"`)
			},
		}
	}
}

// partIs waits until a part of the server is in use as it was last read, or is not.
func (c *callers) partIs(t *testing.T, part string, read bool) {
	t.Helper()
	value := "0"
	if read {
		value = "1"
	}
	c.metricIs(t, `onnxgate_reload_successful{part="`+part+`"}`, value)
}

func filesGone(t *testing.T, dir string) (mend func(t *testing.T)) {
	t.Helper()
	cert, key := moveAway(t, filepath.Join(dir, "cert.pem")), moveAway(t, filepath.Join(dir, "key.pem"))
	return func(t *testing.T) { t.Helper(); cert(t); key(t) }
}

func fileCut(t *testing.T, dir string) (mend func(t *testing.T)) {
	t.Helper()
	return replace(t, filepath.Join(dir, "cert.pem"), []byte("-----BEGIN"))
}

// replace puts something else in the place of a file, and returns how to undo that.
func replace(t *testing.T, file string, data []byte) (back func(t *testing.T)) {
	t.Helper()
	back = moveAway(t, file)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return back
}

const (
	seals      = "seal text"
	sealsFirst = "seal the first text of a tenant"
)

// kekFile is a server whose key-encryption key goes. What needs no new key goes on;
// none is made that would be wrapped under a key that is nowhere kept.
func kekFile(spoil func(t *testing.T, file string) (mend func(t *testing.T))) func(t *testing.T) *stage {
	return func(t *testing.T) *stage {
		t.Helper()
		c := stand(t)
		file := filepath.Join(c.dir, "data", "kek")
		another := c.administers(t, "acme")
		var mend func(t *testing.T)
		return &stage{
			callers: c,
			more: map[string]func(t *testing.T) got{
				seals:      func(t *testing.T) got { t.Helper(); return c.seal(t, c.token) },
				sealsFirst: func(t *testing.T) got { t.Helper(); return c.seal(t, another) },
			},
			gone: func(t *testing.T) { t.Helper(); c.seal(t, c.token); mend = spoil(t, file); c.hangup(t) },
			back: func(t *testing.T) { t.Helper(); mend(t); c.hangup(t) },
			shown: func(t *testing.T, over bool) {
				t.Helper()
				c.partIs(t, "key_encryption_key", over)
			},
		}
	}
}

func moveKEK(t *testing.T, file string) (mend func(t *testing.T)) {
	t.Helper()
	return moveAway(t, file)
}

func changeKEK(t *testing.T, file string) (mend func(t *testing.T)) {
	t.Helper()
	return replace(t, file, []byte(base64.StdEncoding.EncodeToString(noise(32))+"\n"))
}

func (c *callers) seal(t *testing.T, token string) got {
	t.Helper()
	return c.timed(t, seals, http.MethodPost, c.url()+"/encrypt", token, `{"plaintext":"text"}`)
}

// timed sends JSON with a token.
func (c *callers) timed(t *testing.T, column, method, at, token, body string) got {
	t.Helper()
	began := time.Now()
	status, answer, wait := c.do(t, method, at, http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}, body)
	return got{verdict(column, status, answer, wait), fmt.Sprint(status, " ", answer), time.Since(began)}
}

// administers makes a tenant with an administrator, whose token it returns.
func (c *callers) administers(t *testing.T, tenant string) (token string) {
	t.Helper()
	const password = "lamp-violet-orbit-42"
	admin := c.scheme + "://" + c.admin + "/admin/v1/"
	for _, made := range []struct{ at, body string }{
		{"tenants", `{"name":"` + tenant + `"}`},
		{"users", `{"name":"of-` + tenant + `","tenant":"` + tenant + `","roles":["admin"],"password":"` + password + `"}`},
	} {
		if a := c.timed(t, adminWrite, http.MethodPost, admin+made.at, c.root, made.body); a.verdict != open {
			t.Fatal(a.body)
		}
	}
	return passwordToken(t, c.server, "of-"+tenant, password)
}

const (
	slowedDown = "guessing a password is never free"
	withinRate = "a rate is never off"
	keyRate    = 3
)

// redisLost is a server that counts rates in Redis, and goes on counting by itself.
func redisLost(gone, back func(*testkit.Redis, testing.TB)) func(t *testing.T) *stage {
	return func(t *testing.T) *stage {
		t.Helper()
		r := testkit.StartRedis(t, testkit.RedisConfig{})
		c := stand(t, "ONNXGATE_REDIS_URL="+r.URL(0), "ONNXGATE_RATE_PREDICT=1000/minute", "ONNXGATE_RATE_TOKEN=1000/minute")
		limited := c.newKey(t, "limited", "--rate", fmt.Sprint(keyRate, "/hour"))
		return &stage{
			callers: c,
			more: map[string]func(t *testing.T) got{
				withinRate: func(t *testing.T) got { t.Helper(); return c.usesUp(t, limited) },
				slowedDown: func(t *testing.T) got { t.Helper(); return c.guesses(t) },
			},
			gone: func(t *testing.T) { t.Helper(); gone(r, t); c.metricAfter(t, "onnxgate_redis_up", "0", byToken) },
			back: func(t *testing.T) { t.Helper(); back(r, t); c.metricAfter(t, "onnxgate_redis_up", "1", byToken) },
		}
	}
}

// metricAfter waits until a metric has a value, while something is asked for.
func (c *callers) metricAfter(t *testing.T, name, value, column string) {
	t.Helper()
	testkit.Eventually(t, name+" is "+value, func() bool {
		if a := c.ask(t, column); a.verdict != open {
			t.Errorf("%s meanwhile: %s", column, a.body)
		}
		return c.shows(t, name, value)
	})
}

// usesUp is open when a key is refused after as many requests as its rate allows, at
// the latest.
func (c *callers) usesUp(t *testing.T, key string) got {
	t.Helper()
	began := time.Now()
	header := http.Header{"X-Api-Key": {key}, "Content-Type": {"application/json"}}
	for range keyRate + 1 {
		status, answer, wait := c.do(t, http.MethodPost, c.url()+"/predict", header, iris)
		if status == http.StatusTooManyRequests && wait != "" {
			return got{open, answer, time.Since(began)}
		}
		if status != http.StatusOK {
			return got{fmt.Sprint("unexpected ", status), answer, time.Since(began)}
		}
	}
	return got{"unlimited", "", time.Since(began)}
}

// guesses is open when the tenth wrong password for a new name has to wait.
func (c *callers) guesses(t *testing.T) got {
	t.Helper()
	began := time.Now()
	form := fmt.Sprintf("username=guessed-%d&password=wrong-Canyon-17-ferry", c.tenants.Add(1))
	for free := 0; ; free++ {
		status, answer, wait := c.do(t, http.MethodPost, c.url()+"/token", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, form)
		switch {
		case status == http.StatusTooManyRequests && wait != "" && free == 9:
			return got{open, answer, time.Since(began)}
		case status != http.StatusUnauthorized || free == 9:
			return got{fmt.Sprint("unexpected ", status, " after ", free), answer, time.Since(began)}
		}
	}
}

// issuerLost is a server whose tokens are a real provider's, the keys of which it
// cannot fetch any more; the provider has another key by then.
func issuerLost(lose func(*testkit.Proxy)) func(t *testing.T) *stage {
	return func(t *testing.T) *stage {
		t.Helper()
		first, second := newKey(t), newKey(t)
		p := newProvider(t)
		p.start(t, jwkSet(t, "k1", first, true))
		between := testkit.StartProxy(t, "tcp", strings.TrimPrefix(p.issuer, "https://"))
		file := filepath.Join(t.TempDir(), "issuers.yaml")
		entry := "issuers:\n  - issuer: " + p.issuer + "\n    jwks_uri: https://" + between.Addr() + "/jwks\n    ca_file: " + p.ca +
			"\n    audience: [" + apiAudience + "]\n    networks: [127.0.0.0/8]\n    claims: {roles: [groups]}\n    roles: {ml-users: admin}\n"
		if err := os.WriteFile(file, []byte(entry), 0o600); err != nil {
			t.Fatal(err)
		}
		c := stand(t, "ONNXGATE_ISSUERS_FILE="+file)
		c.token = p.token(t, "scoring", "models:predict")
		other := c.token // of a key that the server does not know, during the outage
		write := func(t *testing.T) got {
			t.Helper()
			return c.timed(t, adminWrite, http.MethodPost, c.scheme+"://"+c.admin+"/admin/v1/tenants", c.token, fmt.Sprintf(`{"name":"tenant-%d"}`, c.tenants.Add(1)))
		}
		return &stage{
			callers: c,
			more: map[string]func(t *testing.T) got{
				byUnknownKid: func(t *testing.T) got {
					t.Helper()
					return c.timed(t, byToken, http.MethodPost, c.url()+"/predict", other, iris)
				},
				byOutsider: write,
			},
			gone: func(t *testing.T) {
				t.Helper()
				lose(between)
				p.stop()
				p.start(t, jwkSet(t, "k2", second, true), jwkSet(t, "k1", first, true))
				other = p.token(t, "scoring", "models:predict")
				c.keep(other)
				settles(closed, func() got { return write(t) }) // 30 s after the last answer at the latest
			},
			back: func(t *testing.T) { t.Helper(); between.Pass(t) },
			shown: func(t *testing.T, over bool) {
				t.Helper()
				value := "0"
				if over {
					value = "1"
				}
				c.metricIs(t, `onnxgate_issuer_up{issuer="`+p.issuer+`"}`, value)
			},
		}
	}
}

const (
	byUnknownKid = "predict with a token of a key it has not seen"
	byOutsider   = "administration write of an outside administrator"
)

// smallDisk is a file system of 8 MiB in a directory, where the tests may mount one.
func smallDisk(t *testing.T, dir string) (mounted bool) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=8m,mode=0700"); err != nil {
		return false
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	return true
}

// full is a server on whose disk there is no room: in the data directory, or in that
// of the audit log alone. Where no file system can be mounted, no file of the process
// can grow, which comes to the same.
func full(part, mode string) func(t *testing.T) *stage {
	return func(t *testing.T) *stage {
		t.Helper()
		dir := t.TempDir()
		disk := filepath.Join(dir, "data", part)
		mounted := smallDisk(t, disk)
		s, err := newServer(dir)
		if err != nil {
			t.Fatal(err)
		}
		s.startFor(t, "ONNXGATE_AUDIT="+mode)
		c := newCallers(t, s)
		filler := filepath.Join(disk, "filler")
		return &stage{
			callers: c,
			gone: func(t *testing.T) {
				t.Helper()
				if mounted {
					fill(t, filler)
				} else {
					s.limitFiles(t, 1)
				}
				for audited := mode != "off"; ; {
					settles(closed, func() got { return c.ask(t, adminWrite) })
					if !audited || c.staysFull(t) {
						return
					}
				}
			},
			back: func(t *testing.T) {
				t.Helper()
				if !mounted {
					s.limitFiles(t, unix.RLIM_INFINITY)
				} else if err := os.Remove(filler); err != nil {
					t.Fatal(err)
				}
			},
		}
	}
}

// staysFull reports whether the audit log stays broken while it tries again several
// times: in the last page of a file there may be room for a short record.
func (c *callers) staysFull(t *testing.T) bool {
	t.Helper()
	before := c.ask(t, readiness).verdict
	for range 8 {
		time.Sleep(200 * time.Millisecond) // the log tries again every 250 ms
		if now := c.ask(t, readiness).verdict; now == ready || now != before {
			return false
		}
	}
	return true
}

// fill writes until there is no room for one byte more.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
	if err := f.Close(); err != nil && !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}

// auditHung holds the lock of the audit log, so that its writer waits as it does for
// a disk that does not answer.
func auditHung(t *testing.T) *stage {
	t.Helper()
	c := stand(t)
	lock, err := os.OpenFile(filepath.Join(c.dir, "data", "audit", "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = lock.Close() })
	hold := func(how int) func(t *testing.T) {
		return func(t *testing.T) {
			t.Helper()
			if err := unix.Flock(int(lock.Fd()), how); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := hold(unix.LOCK_EX)
	return &stage{callers: c, back: hold(unix.LOCK_UN), gone: func(t *testing.T) {
		t.Helper()
		take(t)
		if a := c.ask(t, adminWrite); a.verdict != closed || a.took > longestAnswer {
			t.Errorf("the first change on a hung disk is %s after %v: %s", a.verdict, a.took, a.body)
		}
	}}
}

// TestAServerEndsWhileItsAuditDiskHangs: within seconds, and says what may be lost.
func TestAServerEndsWhileItsAuditDiskHangs(t *testing.T) {
	t.Parallel()
	s, err := newServer(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.start(context.WithoutCancel(t.Context()), ratesOff...); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(filepath.Join(s.dir, "data", "audit", "lock"), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lock.Close() }()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if err := s.end(); err == nil || !strings.Contains(s.log.String(), "may be lost") || strings.Contains(err.Error(), "did not end") {
		t.Errorf("the end of a server whose audit disk hangs: %v\n%s", err, s.log)
	}
}
