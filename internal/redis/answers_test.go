package redis_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"onnxgate/internal/limit"
	"onnxgate/internal/redis"
)

func TestNumbersThatTheScriptCannotHaveGivenAreNoAnswer(t *testing.T) {
	t.Parallel()
	good := []any{int64(1), int64(0), int64(9), int64(1000), int64(1_700_000_000_000), int64(1_600_000_000_000)}
	windows := []limit.Window{{N: 1, Limit: 10, Period: time.Second}}
	if _, granted, err := redis.Read(good, windows); err != nil || !granted || windows[0].Remaining != 9 || windows[0].Left != time.Second {
		t.Fatal(granted, err, windows)
	}
	for i := range good {
		for _, n := range []any{int64(math.MaxInt64), int64(math.MinInt64), int64(-1), "1", nil} {
			answer := slices.Clone(good)
			answer[i] = n
			if _, _, err := redis.Read(answer, windows); err == nil {
				t.Errorf("%v is read", answer)
			}
		}
	}
}

func TestCountsFromAServerThatMakesThemUpAreNotFollowed(t *testing.T) {
	t.Parallel()
	one := []limit.Window{{Key: "k", N: 1, Limit: 10, Period: time.Second}}
	for name, answer := range map[string]string{
		"a wait that overflows":             "*6\r\n:0\r\n:9223372036854775807\r\n:0\r\n:1\r\n:0\r\n:0\r\n",
		"granted after a longer wait":       "*6\r\n:1\r\n:5000\r\n:9\r\n:1\r\n:0\r\n:0\r\n",
		"refused although there is room":    "*6\r\n:0\r\n:1000\r\n:9\r\n:1\r\n:0\r\n:0\r\n",
		"a window that lasts for centuries": "*6\r\n:0\r\n:1000\r\n:0\r\n:9000000000000\r\n:0\r\n:0\r\n",
		"fewer numbers":                     "*2\r\n:1\r\n:0\r\n",
	} {
		c := newClient(t, rogue{command: "EVALSHA", answer: answer}.start(t))
		if wait, granted, err := redis.NewLimits(c).Take(time.Second, slices.Clone(one)); err == nil || granted || wait != 0 {
			t.Errorf("%s: %v, %v, %v", name, wait, granted, err)
		}
		if name == "granted after a longer wait" {
			continue // a look may have that
		}
		look := newClient(t, rogue{command: "EVALSHA", answer: answer}.start(t))
		if wait, left, err := redis.NewLimits(look).Look(0, slices.Clone(one)); err == nil || left || wait != 0 {
			t.Errorf("%s, looked at: %v, %v, %v", name, wait, left, err)
		}
	}
}
