package e2e

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"onnxgate/internal/testkit"
)

// BenchmarkTwoReplicas compares how many predictions two replicas answer in a second of
// CPU each with how many one of them does: 2 where sharing a database costs nothing.
// The same number of requests goes over the same number of connections to one, while
// the other is idle, and to each of both at the same time; what is counted is the CPU
// time of the processes that serve them, not that of the database or of the clients.
// The key has a quota, which both take leases of, and everything is recorded in strict
// mode. Each iteration is a slice of both.
func BenchmarkTwoReplicas(b *testing.B) {
	const requests, connections = 4000, 4
	f := beginFleet(b, testkit.StartPostgres(b).Database(b))
	_, key := f.newKey(b, "--quota", "calls=1000000000/month")
	one, both := f.replicas[:1], f.replicas
	cost := func(among []*server) float64 {
		before := cpuOf(b, among)
		f.predictions(b, among, key, requests, connections)
		return float64(cpuOf(b, among)-before) / float64(time.Microsecond) / float64(requests*len(among))
	}
	cost(both) // warm-up
	var alone, shared, gains []float64
	for b.Loop() {
		a, s := cost(one), cost(both)
		alone, shared, gains = append(alone, a), append(shared, s), append(gains, 2*a/s)
	}
	b.ReportMetric(0, "ns/op") // of a slice, which says nothing
	b.ReportMetric(median(alone), "CPU-µs/request-to-one")
	b.ReportMetric(median(shared), "CPU-µs/request-to-two")
	b.ReportMetric(median(gains), "×-one")
}

// predictions asks each of some replicas for that many, over kept-alive connections.
func (f *fleet) predictions(tb testing.TB, among []*server, key string, requests, connections int) {
	tb.Helper()
	var group errgroup.Group
	for i := range connections * len(among) {
		b := &balancer{fleet: f, addr: among[i%len(among)].addr}
		ask := askOver(b.client(tb, false), key)
		group.Go(func() error {
			for range requests / connections {
				if err := ask(context.WithoutCancel(tb.Context())); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		tb.Fatal(err)
	}
}

// cpuOf returns the user and system time that the processes, and the children that
// they have now, have used.
func cpuOf(tb testing.TB, all []*server) (sum time.Duration) {
	tb.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		tb.Skip("no CPU times of processes here")
	}
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		// The fields follow the command's name in brackets: the parent is the 4th,
		// utime and stime are the 14th and 15th of all (proc(5)), in ticks of 10 ms.
		pid := filepath.Base(filepath.Dir(file))
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		if slices.ContainsFunc(all, func(s *server) bool { own := strconv.Itoa(s.cmd.Process.Pid); return own == pid || own == fields[1] }) {
			for _, field := range fields[11:13] {
				ticks, _ := strconv.Atoi(field) // a number
				sum += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	return sum
}

func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}
