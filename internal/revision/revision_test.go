package revision_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"onnxgate/internal/fault"
	"onnxgate/internal/revision"
)

// source answers one after the other, each after a second when it is slow.
type source struct {
	mu      sync.Mutex
	answers []answer
	asked   int
	slow    bool
}

type answer struct {
	revision int64
	err      error
}

func (s *source) Revision(ctx context.Context) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.slow {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
	a := s.answers[min(s.asked, len(s.answers))-1]
	return a.revision, a.err
}

func TestAFailedLookKeepsWhatWasKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("out of reach")
		s := &source{answers: []answer{{0, down}, {7, nil}, {0, down}, {8, nil}}}
		w := revision.New(s, time.Now)
		if diff := cmp.Diff(&revision.Look{}, w.Known()); diff != "" {
			t.Error(diff)
		}
		begin := time.Now()
		at := func(s int) time.Time { return begin.Add(time.Duration(s) * time.Second) }
		for i, want := range []*revision.Look{
			{Started: at(0), Err: down},
			{Started: at(1), Revision: 7, Good: at(1)},
			{Started: at(2), Revision: 7, Good: at(1), Err: down},
			{Started: at(3), Revision: 8, Good: at(3)},
		} {
			got, err := w.After(t.Context(), time.Now())
			if diff := cmp.Diff(want, got, cmpopts.EquateErrors()); err != nil || diff != "" || w.Known() != got {
				t.Errorf("look %d: %v, %s", i, err, diff)
			}
			time.Sleep(time.Second)
		}
	})
}

func TestCallersWhoWaitShareALook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answers: []answer{{7, nil}}, slow: true}
		w := revision.New(s, time.Now)
		begin := time.Now()
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				look, err := w.After(t.Context(), begin.Add(-time.Nanosecond))
				if err != nil || look.Revision != 7 {
					t.Errorf("%+v, %v", look, err)
				}
			})
		}
		all.Wait()
		if s.asked != 1 {
			t.Errorf("asked %d times", s.asked)
		}
	})
}

func TestACallerWhoGoesAwayFailsOnlyItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{answers: []answer{{7, nil}}, slow: true}
		w := revision.New(s, time.Now)
		first, leave := context.WithCancel(t.Context())
		var looking sync.WaitGroup
		defer looking.Wait()
		looking.Go(func() {
			if look, err := w.After(first, time.Now()); err != nil || look.Revision != 7 {
				t.Errorf("who had the turn: %+v, %v", look, err)
			}
		})
		synctest.Wait()
		leave()
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := w.After(first, time.Now()); fault.KindOf(err) != fault.Canceled {
			t.Errorf("who went away: %v", err)
		}
		if _, err := w.After(short, time.Now()); fault.KindOf(err) != fault.Timeout {
			t.Errorf("who had no time: %v", err)
		}
	})
}

func TestASourceThatHangsIsFoundOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := revision.New(hanging{}, time.Now)
		begin := time.Now()
		look, err := w.After(t.Context(), begin)
		if err != nil || !errors.Is(look.Err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%+v, %v after %s", look, err, time.Since(begin))
		}
	})
}

type hanging struct{}

func (hanging) Revision(ctx context.Context) (int64, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}
