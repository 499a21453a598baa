package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	pb "onnxgate/api/inferencepb"
	"onnxgate/internal/testkit"
)

// traffic is predictions that come all the time.
type traffic struct {
	sent   atomic.Int64
	failed atomic.Int64
	pause  time.Duration // between two of one client
	end    context.CancelFunc
	group  sync.WaitGroup
}

// someFailures is how many of them are told.
const someFailures = 5

// beginTraffic has clients ask until it is stopped.
func beginTraffic(t *testing.T, pause time.Duration, clients ...func(context.Context) error) *traffic {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	load := &traffic{end: end, pause: pause}
	for _, ask := range clients {
		load.group.Go(func() { load.run(ctx, t, ask) })
	}
	t.Cleanup(load.stop)
	return load
}

// clients are two of each protocol that predict through a balancer.
func (b *balancer) clients(t *testing.T, token string) (all []func(context.Context) error) {
	t.Helper()
	for range 2 {
		all = append(all, askOver(b.client(t, false), token), askOver(b.client(t, true), token), askGRPC(t, b.grpc, b.fleet.trust(), token))
	}
	return all
}

func (l *traffic) run(ctx context.Context, t *testing.T, ask func(context.Context) error) {
	t.Helper()
	for ctx.Err() == nil {
		if err := ask(context.WithoutCancel(ctx)); err != nil && l.failed.Add(1) <= someFailures {
			t.Errorf("after %d predictions: %v", l.sent.Load(), err)
		}
		l.sent.Add(1)
		time.Sleep(l.pause)
	}
}

func (l *traffic) stop() {
	l.end()
	l.group.Wait()
}

// askOver returns what predicts once over HTTP, without trying again.
func askOver(client *http.Client, token string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+fleetName+"/predict", strings.NewReader(iris))
		if err != nil {
			return err
		}
		req.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(body), `"label":"setosa"`) {
			return fmt.Errorf("%s %s: %s (%w)", resp.Proto, resp.Status, body, err)
		}
		return nil
	}
}

// askGRPC returns what predicts once over gRPC, without trying again.
func askGRPC(tb testing.TB, addr string, trust *tls.Config, token string) func(context.Context) error {
	tb.Helper()
	infer := inferGRPC(tb, addr, trust)
	return func(ctx context.Context) error { return infer(ctx, token) }
}

// inferGRPC is askGRPC for any token.
func inferGRPC(tb testing.TB, addr string, trust *tls.Config) func(ctx context.Context, token string) error {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithDisableRetry(), grpc.WithTransportCredentials(credentials.NewTLS(trust)))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() })
	client := pb.NewGRPCInferenceServiceClient(conn)
	return func(ctx context.Context, token string) error {
		answer, err := client.ModelInfer(metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token), &pb.ModelInferRequest{
			ModelName: "iris", Inputs: []*pb.ModelInferRequest_InferInputTensor{{
				Name: "X", Datatype: "FP32", Shape: []int64{1, 4}, Contents: &pb.InferTensorContents{Fp32Contents: []float32{5.1, 3.5, 1.4, .2}},
			}},
		})
		if err == nil && len(answer.GetOutputs()) == 0 {
			err = fmt.Errorf("an empty answer: %v", answer)
		}
		return err
	}
}

// rollingLoad is how many predictions come while replicas are restarted: as many as
// come anyhow, or as ROLLING says.
func rollingLoad(t *testing.T) (least int64, pause time.Duration) {
	t.Helper()
	if n := testkit.Number(t, "ROLLING", 0); n > 0 {
		return int64(n), 0
	}
	return 0, 20 * time.Millisecond
}

// TestARollingRestartLosesNoRequest: each replica is stopped by SIGTERM and started
// again in turn, and the keys that sign tokens rotate, while clients predict through
// a balancer that is configured as deploy/replicas says.
func TestARollingRestartLosesNoRequest(t *testing.T) {
	t.Parallel()
	database := testkit.StartPostgres(t)
	for name, c := range map[string]struct {
		begin    func(*testing.T, *fleet) *balancer
		settings []string
		told     bool // the replicas are told who the client is
		retries  bool // and a request that a killed one has not answered is asked of the other
	}{
		"behind HAProxy that passes TLS through": {
			begin: func(t *testing.T, f *fleet) *balancer { t.Helper(); return beginHAProxy(t, f, "haproxy.cfg") },
		},
		"behind HAProxy that ends TLS": {
			begin: func(t *testing.T, f *fleet) *balancer { t.Helper(); return beginHAProxy(t, f, "haproxy-http.cfg") },
			told:  true, retries: true,
		},
		"behind nginx": {
			begin: beginNginx,
			told:  true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			settings := []string{"ONNXGATE_TOKEN_TTL=24h"}
			if c.told {
				settings = append(settings, "ONNXGATE_TRUSTED_PROXIES=127.0.0.1")
			}
			f := beginFleet(t, database.Database(t), settings...)
			b := c.begin(t, f)
			least, pause := rollingLoad(t)
			load := beginTraffic(t, pause, b.clients(t, passwordToken(t, f.replicas[0], "admin", adminPassword))...)
			restarts := f.roll(t, b, load, least, c.told)
			if strings.Contains(b.log.String(), "prematurely closed connection") { // as nginx puts it
				t.Error("a replica that stopped closed a connection without an answer, which the other one had to give")
			}
			if c.retries && least > 0 {
				f.crash(t, b, load)
			}
			load.stop()
			t.Logf("in all: %d predictions, %d restarts and rotations", load.sent.Load(), restarts)
			if failed := load.failed.Load(); failed > 0 {
				t.Errorf("%d of %d predictions were lost", failed, load.sent.Load())
			}
		})
	}
}

// roll restarts every replica in turn, and rotates the keys, again until that many predictions were asked
// for, and returns how many restarts that were.
func (f *fleet) roll(t *testing.T, b *balancer, load *traffic, least int64, told bool) (restarts int) {
	t.Helper()
	for restarts == 0 || load.sent.Load() < least {
		for _, s := range f.replicas {
			if err := s.stop(); err != nil {
				t.Fatal(err)
			}
			if log := s.log.String(); strings.Contains(log, `"client":"127.0.0.2"`) != told || !strings.Contains(log, `"path":"/predict","status":200`) {
				t.Errorf("the client's address is known: %v, want %v; or the replica served nobody", !told, told)
			}
			if err := f.start(t, s); err != nil {
				t.Fatal(err)
			}
			b.awaitBoth(t)
			f.command(t, s, "keys", "rotate", "--use", "token")
			restarts++
		}
	}
	return restarts
}

// crash kills a replica while it serves, and starts it again.
func (f *fleet) crash(t *testing.T, b *balancer, load *traffic) {
	t.Helper()
	s := f.replicas[0]
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.done
	for more := load.sent.Load() + 200; load.sent.Load() < more; {
		time.Sleep(10 * time.Millisecond)
	}
	if err := f.start(t, s); err != nil {
		t.Fatal(err)
	}
	b.awaitBoth(t)
}
