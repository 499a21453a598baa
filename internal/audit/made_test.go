package audit_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"onnxgate/internal/audit"
)

// TestATenantMadeAgainReadsNothingOfBefore: the name is the same, and in one log the
// second is, too; a log in which another server's making is not on record goes by time.
func TestATenantMadeAgainReadsNothingOfBefore(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	made := noon.Add(10 * s)
	type done struct {
		at    time.Duration // after noon
		event audit.Event
		actor string
		how   string
	}
	for name, tc := range map[string]struct {
		records []done
		want    []string
	}{
		"made here, in the second in which the other was deleted": {
			[]done{
				{1 * s, audit.TenantCreate, "root", audit.OK},
				{2 * s, audit.Login, "bo", audit.OK},
				{10*s + 1*ms, audit.Login, "bo", audit.OK},
				{10*s + 2*ms, audit.TenantCreate, "root", "conflict"},
				{10*s + 3*ms, audit.TenantDelete, "root", audit.OK},
				{10*s + 4*ms, audit.TenantCreate, "new root", audit.OK},
				{10*s + 5*ms, audit.Login, "new bo", audit.OK},
				{200 * s, audit.TenantCreate, "new root", "conflict"},
			},
			[]string{"new root", "new bo", "new root"},
		},
		"made by another server": {
			[]done{
				{1 * s, audit.TenantCreate, "root", audit.OK},
				{9 * s, audit.Login, "bo", audit.OK},
				{11*s + 900*ms, audit.Login, "bo", audit.OK}, // this server's clock is ahead
				{12 * s, audit.Login, "new bo", audit.OK},
			},
			[]string{"new bo"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(t, t.TempDir())
			l := open(t, cfg)
			for _, d := range tc.records {
				rec := &audit.Record{Time: noon.Add(d.at), Event: d.event, Actor: d.actor, Tenant: "beta", Object: "beta", Outcome: d.how}
				if err := l.Record(t.Context(), rec); err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			_, err := audit.NewReader(cfg).Read(t.Context(), audit.Query{Tenant: "beta", Made: made}, func(e *audit.Entry) error {
				got = append(got, e.Actor)
				return nil
			})
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Error(diff, err)
			}
		})
	}
}
