package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"onnxgate/internal/app"
	"onnxgate/internal/testkit"
)

// gauge returns what a metric without labels shows.
func (s *server) gauge(t *testing.T, name string) float64 {
	t.Helper()
	family := families(t, s.metrics(t))[name]
	if family == nil || len(family.GetMetric()) != 1 {
		t.Fatalf("no %s", name)
	}
	m := family.GetMetric()[0]
	return m.GetGauge().GetValue() + m.GetCounter().GetValue()
}

// admitted is how many of so many predictions each server answered, asked in turn.
func admitted(t *testing.T, n int, token map[*server]string, servers ...*server) map[*server]int {
	t.Helper()
	counts := map[*server]int{}
	for range n {
		for _, s := range servers {
			switch status, body := s.predict(t, token[s]); status {
			case http.StatusOK:
				counts[s]++
			case http.StatusTooManyRequests:
			default:
				t.Fatalf("%d %s", status, body)
			}
		}
	}
	return counts
}

func TestServersCountRatesInRedisAndByThemselvesWhileItIsAway(t *testing.T) {
	t.Parallel()
	const password = "hush-of-redis"
	store := testkit.StartRedis(t, testkit.RedisConfig{Password: password, CA: testkit.NewCA(t, "Redis's")})
	vars := map[string]string{"REDIS_URL": store.URL(2), "RATE_PREDICT": "9/day", "RATE_TOKEN": "off"}
	one, two := start(t, filepath.Join(t.TempDir(), "one"), vars), start(t, filepath.Join(t.TempDir(), "two"), vars)
	token := map[*server]string{one: one.token(t), two: two.token(t)}
	up := func(want float64) {
		t.Helper()
		for _, s := range []*server{one, two} {
			testkit.Eventually(t, fmt.Sprintf("onnxgate_redis_up is %v", want), func() bool { return s.gauge(t, "onnxgate_redis_up") == want })
		}
	}
	alone := func() int {
		return int(one.gauge(t, "onnxgate_local_rate_decisions_total") + two.gauge(t, "onnxgate_local_rate_decisions_total"))
	}
	up(1)
	got := admitted(t, 9, token, one, two)
	// A loaded machine may have kept Redis from answering in time.
	if n := got[one] + got[two]; n < 9 || n > 9+alone() {
		t.Errorf("with Redis: %d and %d were admitted, want 9 together", got[one], got[two])
	}
	store.Stop(t)
	up(0)
	before := alone()
	got = admitted(t, 10, token, one, two)
	if before == 0 && (got[one] != 9 || got[two] != 9) || got[one] > 9 || got[two] > 9 {
		t.Errorf("without Redis: %d and %d were admitted, want 9 of each", got[one], got[two])
	}
	if n := alone() - before; n != 20 {
		t.Errorf("%d decisions were the servers' own, want 20", n)
	}
	if status, body := one.call(t, http.MethodGet, "https://"+one.AdminAddr()+"/readyz", "", "", ""); status != http.StatusOK {
		t.Errorf("/readyz without Redis: %d %s", status, body)
	}
	store.Start(t)
	up(1)
	if got := admitted(t, 9, token, one, two); got[one]+got[two] != 0 {
		t.Errorf("Redis is back, and empty: %d and %d were admitted, who had used up their rate", got[one], got[two])
	}
	for _, s := range []*server{one, two} {
		text := s.log.String()
		if strings.Contains(text, password) || strings.Count(text, "rates are counted in Redis") != 1+strings.Count(text, "Redis is away") {
			t.Errorf("the log:\n%s", text)
		}
	}
}

func TestDoctorAsksRedis(t *testing.T) {
	t.Parallel()
	store := testkit.StartRedis(t, testkit.RedisConfig{Password: "right"})
	for name, tc := range map[string]struct {
		url  string
		want []string // the findings that are about Redis
	}{
		"as it should be":          {store.URL(0), nil},
		"a wrong password":         {strings.Replace(store.URL(0), "right", "wrong", 1), []string{"redis-unreachable"}},
		"nobody there":             {"redis://:right@127.0.0.1:1", []string{"redis-unreachable"}},
		"in the clear, no address": {"redis://:right@redis.invalid", []string{"redis-unreachable", "redis-insecure"}},
		"no password":              {strings.Replace(store.URL(0), ":right@", "", 1), []string{"redis-unreachable", "redis-insecure"}},
		"a file that is not there": {"rediss://:right@127.0.0.1?ca_file=/nowhere", []string{"start-refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := load(t, filepath.Join(t.TempDir(), "data"), map[string]string{"REDIS_URL": tc.url})
			doctor := app.Doctor{Now: time.Now, Free: plenty}
			found, looked := doctor.Diagnose(t.Context(), cfg)
			var got []string
			for _, f := range found {
				if strings.HasPrefix(f.ID, "redis-") || f.ID == "start-refused" {
					got = append(got, f.ID)
				}
				if strings.Contains(f.Text(), "right@") || strings.Contains(f.Text(), "wrong@") {
					t.Errorf("a finding shows the password: %s", f.Text())
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("found %v, want %v: %v", got, tc.want, found)
			}
			asked := slices.ContainsFunc(looked, func(l string) bool { return strings.HasPrefix(l, "Redis server ") })
			if asked == slices.Contains(tc.want, "start-refused") {
				t.Errorf("looked at %v", looked)
			}
		})
	}
}

func TestExposureSaysThatRatesHoldOverAllServers(t *testing.T) {
	t.Parallel()
	cfg := load(t, t.TempDir(), map[string]string{"REDIS_URL": "redis://:p@127.0.0.1", "RATE_PREDICT": "10/minute"})
	if !slices.ContainsFunc(app.Exposure(cfg), func(e app.Exposed) bool {
		return e.Route == "POST /predict" && e.Limit == "10/minute per address over all servers (shared)"
	}) {
		t.Error("POST /predict does not say so")
	}
}
