package httpapi

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type someKey struct{}

func TestRequestContextEndsAtItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parent := context.WithValue(t.Context(), someKey{}, "value")
		c := &requestContext{Context: parent, now: time.Now}
		if _, ok := c.Deadline(); ok || c.Err() != nil || c.Done() != parent.Done() {
			t.Error("a deadline before there is one")
		}
		c.at = time.Now().Add(time.Second)
		if at, ok := c.Deadline(); !ok || !at.Equal(c.at) || c.Err() != nil {
			t.Errorf("Deadline = %v, %v", at, ok)
		}
		if c.Value(someKey{}) != "value" {
			t.Error("a value is lost")
		}
		child, cancel := context.WithCancel(c)
		defer cancel()
		time.Sleep(time.Second)
		synctest.Wait()
		select {
		case <-child.Done():
		default:
			t.Error("a child outlives the deadline")
		}
		if !errors.Is(c.Err(), context.DeadlineExceeded) || !errors.Is(child.Err(), context.DeadlineExceeded) {
			t.Errorf("Err = %v, the child's %v", c.Err(), child.Err())
		}
		c.release()
	})
}

func TestRequestContextTellsTheTimeWithoutATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &requestContext{Context: t.Context(), now: time.Now, at: time.Now().Add(time.Second)}
		time.Sleep(time.Second - 1)
		if c.Err() != nil {
			t.Errorf("too early: %v", c.Err())
		}
		time.Sleep(time.Nanosecond)
		if !errors.Is(c.Err(), context.DeadlineExceeded) {
			t.Errorf("too late: %v", c.Err())
		}
		select {
		case <-c.Done():
		default:
			t.Error("Done of a deadline that passed is open")
		}
		c.release()
	})
}

func TestRequestContextEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(t.Context())
	c := &requestContext{Context: parent, now: time.Now, at: time.Now().Add(time.Hour)}
	soon, stop := context.WithDeadline(parent, time.Now().Add(time.Minute))
	defer stop()
	earlier := &requestContext{Context: soon, now: time.Now, at: time.Now().Add(time.Hour)}
	if at, _ := earlier.Deadline(); time.Until(at) > time.Minute {
		t.Errorf("Deadline is %v away, the parent's a minute", time.Until(at))
	}
	cancel()
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("Err = %v", c.Err())
	}
	<-c.Done()
	if !errors.Is(c.Err(), context.Canceled) {
		t.Errorf("Err after Done = %v", c.Err())
	}
	c.release()
}
