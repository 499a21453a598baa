package ship_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"onnxgate/internal/telemetry/otlp"
	"onnxgate/internal/telemetry/ship"
	"onnxgate/internal/testkit/collector"
)

// log is a log of so many records, of which one may be damaged.
type log struct {
	size    int64
	damaged int64 // 0: none
}

func (l *log) Size(context.Context) (int64, error) { return l.size, nil }

var errDamaged = errors.New("damaged")

func (l *log) Read(_ context.Context, from int64, do func(*ship.Record) error) error {
	buf := []byte{}
	for i := from; i < l.size; i++ {
		if l.damaged > 0 && i == l.damaged {
			return errDamaged
		}
		buf = fmt.Appendf(buf[:0], `{"index":%d}`, i) // used again, as a reader does
		if err := do(&ship.Record{Index: i, Time: time.Unix(i, 0), Event: "predict", Failed: i%2 == 1, JSON: buf}); err != nil {
			return err
		}
	}
	return nil
}

// sink keeps what it gets, unless it is away.
type sink struct {
	got  []string
	away atomic.Bool
	// after loses the answer to a batch that it has taken.
	after bool
	tries atomic.Int64
}

func (s *sink) Send(_ context.Context, records []ship.Record) error {
	s.tries.Add(1)
	if s.away.Load() {
		return errors.New("away")
	}
	for i := range records {
		s.got = append(s.got, string(records[i].JSON))
	}
	if s.after {
		s.after = false
		return errors.New("lost the answer")
	}
	return nil
}

func indexes(from, to int64) (all []string) {
	for i := from; i < to; i++ {
		all = append(all, fmt.Sprintf(`{"index":%d}`, i))
	}
	return all
}

func start(t *testing.T, path string, source ship.Source, to ship.Sink, told func(error)) (s *ship.Shipper, stop func()) {
	t.Helper()
	s, err := ship.New(ship.Config{Source: source, Sink: to, Log: "mine", Path: path, Told: told})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); s.Run(ctx) }()
	return s, func() { cancel(); <-ended }
}

func TestShippingGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path, source, to := filepath.Join(t.TempDir(), "position"), &log{size: 2500}, &sink{}
		_, stop := start(t, path, source, to, nil)
		synctest.Wait()
		stop()
		source.size = 2600
		s, stop := start(t, path, source, to, nil)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(indexes(0, 2600), to.got); diff != "" || s.Lag() != 0 {
			t.Errorf("lag %d, records (-want +got):\n%s", s.Lag(), diff)
		}
	})
}

func TestARecordWhoseReceiptIsLostIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &sink{after: true}
		_, stop := start(t, filepath.Join(t.TempDir(), "position"), &log{size: 3}, to, nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(append(indexes(0, 3), indexes(0, 3)...), to.got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestASinkThatIsAwayIsTriedSeldomAndLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var news []string
		to := &sink{}
		to.away.Store(true)
		s, stop := start(t, filepath.Join(t.TempDir(), "position"), &log{size: 10}, to, func(err error) { news = append(news, fmt.Sprint(err)) })
		time.Sleep(time.Hour)
		synctest.Wait()
		if s.Lag() != 10 || to.tries.Load() > 200 || to.tries.Load() < 30 {
			t.Errorf("after an hour: lag %d, %d tries", s.Lag(), to.tries.Load())
		}
		to.away.Store(false)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(indexes(0, 10), to.got); diff != "" || s.Lag() != 0 {
			t.Errorf("lag %d, records (-want +got):\n%s", s.Lag(), diff)
		}
		if diff := cmp.Diff([]string{"away", "<nil>"}, news); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALogThatWasReplacedIsShippedFromItsBeginning(t *testing.T) {
	for position, from := range map[string]int64{
		"700\n": 0, "700 mine\n": 0, // an older copy
		"3 another\n": 0, "7 another\n": 0, // moved away, and begun anew
		"3\n": 3, "3 mine\n": 3,
	} {
		synctest.Test(t, func(t *testing.T) {
			path, to := filepath.Join(t.TempDir(), "position"), &sink{}
			if err := os.WriteFile(path, []byte(position), 0o600); err != nil {
				t.Fatal(err)
			}
			_, stop := start(t, path, &log{size: 7}, to, nil)
			synctest.Wait()
			stop()
			if diff := cmp.Diff(indexes(from, 7), to.got); diff != "" {
				t.Errorf("%q: %s", position, diff)
			}
			if text, err := os.ReadFile(path); string(text) != "7 mine\n" {
				t.Errorf("%q becomes %q, %v", position, text, err)
			}
		})
	}
}

func TestWhatIsBeforeADamagedRecordIsShippedAndTheDamageTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var news []error
		to := &sink{}
		s, stop := start(t, filepath.Join(t.TempDir(), "position"), &log{size: 9, damaged: 4}, to, func(err error) { news = append(news, err) })
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		if diff := cmp.Diff(indexes(0, 4), to.got); diff != "" || s.Lag() != 5 || len(news) != 1 || !errors.Is(news[0], errDamaged) {
			t.Errorf("lag %d, told %v, records (-want +got):\n%s", s.Lag(), news, diff)
		}
	})
}

func TestAPositionThatCannotBeReadIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "position")
	for _, text := range []string{"", "x", "-1", "1\n2\n", "99999999999999999999"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ship.New(ship.Config{Source: &log{}, Sink: &sink{}, Log: "mine", Path: path}); err == nil || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%q: %v, want what to do", text, err)
		}
	}
}

func TestACollectorGetsRecordsAsLogs(t *testing.T) {
	c := collector.Start(t, nil)
	for name, target := range map[string]*otlp.Target{
		"HTTP": {URL: c.URL + "/v1/logs", Timeout: time.Minute}, "gRPC": {Address: c.Address, Timeout: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.Records())
			client, err := otlp.NewClient(target, otlp.Logs, "test")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = client.Close() }()
			rejected := 0
			to := &ship.Collector{
				Exporter: client, Envelope: otlp.NewEnvelope(nil, "onnxgate", "v1"), Log: "key", Now: func() time.Time { return time.Unix(9, 0) },
				Rejected: func(error) { rejected++ },
			}
			records := []ship.Record{
				{Index: 7, Time: time.Unix(8, 0), Event: "login", JSON: []byte(`{"index":7}`)},
				{Index: 8, Time: time.Unix(8, 0), Event: "refused", Failed: true, JSON: []byte(`{"index":8}`)},
			}
			c.Refuse(status.Error(codes.Unavailable, ""))
			if err := to.Send(t.Context(), records); err == nil {
				t.Error("what a collector refused counts as delivered")
			}
			c.Refuse(nil)
			c.Reject(1)
			if err := to.Send(t.Context(), records); err != nil || rejected != 1 {
				t.Errorf("%v, %d rejected", err, rejected)
			}
			c.Reject(0)
			got := c.Records()[before:]
			if len(got) != 2 {
				t.Fatalf("%d records, want 2", len(got))
			}
			second := got[1]
			if second.GetBody().GetStringValue() != `{"index":8}` || second.GetEventName() != "onnxgate.audit.refused" || second.GetSeverityNumber() != 13 ||
				second.GetSeverityText() != "WARN" || second.GetTimeUnixNano() != 8e9 || second.GetObservedTimeUnixNano() != 9e9 {
				t.Errorf("the record is %v", second)
			}
			want := map[string]any{"onnxgate.audit.index": int64(8), "log.record.uid": "key/8"}
			if diff := cmp.Diff(want, second.Attributes()); diff != "" {
				t.Error(diff)
			}
		})
	}
}
