package admission

import (
	"testing"
	"time"
)

func TestRefusalsOfAFloodAreSpread(t *testing.T) {
	t.Parallel()
	p, now := newPace(2), time.Now()
	var waits []time.Duration
	for range 100_000 {
		waits = append(waits, p.turn(now))
	}
	const interval = time.Millisecond // 500 a second for each of two processors
	for i, wait := range waits {
		want := min(max(0, time.Duration(i-pacedAtOnce)*interval), time.Second)
		if wait != want {
			t.Fatalf("refusal %d waits %v, want %v", i, wait, want)
		}
	}
	if wait := p.turn(now.Add(500 * time.Millisecond)); wait < 490*time.Millisecond || wait > 510*time.Millisecond {
		t.Errorf("half a second after a flood a refusal waits %v, want half of the longest", wait)
	}
	if wait := p.turn(now.Add(time.Hour)); wait != 0 {
		t.Errorf("long after a flood a refusal waits %v", wait)
	}
	for i := range pacedAtOnce - 1 {
		if wait := p.turn(now.Add(time.Hour)); wait != 0 {
			t.Fatalf("refusal %d after a pause waits %v, want none of the first %d to wait", i+2, wait, pacedAtOnce)
		}
	}
}

func TestAServerOfUnknownSizeSpreadsRefusals(t *testing.T) {
	t.Parallel()
	if p := newPace(0); p.interval != 2*time.Millisecond {
		t.Errorf("refusals are %v apart, want those of one processor", p.interval)
	}
}
