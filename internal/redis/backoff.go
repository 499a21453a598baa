package redis

import (
	_ "embed" // the script
	"strconv"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/limit"
)

//go:embed backoff.lua
var failing string

// Backoff counts failures in a row for all servers that ask the same database. It is a
// limit.SharedBackoff.
type Backoff struct {
	client *Client
	script *Script
}

var _ limit.SharedBackoff = (*Backoff)(nil)

// NewBackoff returns what counts over the client.
func NewBackoff(c *Client) *Backoff { return newBackoff(c, clock) }

func newBackoff(c *Client, clock string) *Backoff {
	return &Backoff{client: c, script: NewScript(clock + failing)}
}

// steps are the script's words. Read only.
var steps = [...]string{limit.StepBegin: "begin", limit.StepFail: "fail", limit.StepSucceed: "succeed", limit.StepAbandon: "abandon"}

// Step is described at limit.SharedBackoff.
func (b *Backoff) Step(call *limit.BackoffCall) (limit.Standing, error) {
	p := call.Policy
	ended := int64(0)
	if call.Ended {
		ended = 1
	}
	answer, err := redigo.Int64s(b.client.Run(b.script, 1, namespace+call.Key, steps[call.Step],
		numbers(p.Free, p.First.Milliseconds(), p.Last.Milliseconds(), p.Each.Milliseconds(), p.Longest.Milliseconds(), p.Turn.Milliseconds()),
		numbers(call.Turn.Milliseconds(), call.Began.Milliseconds(), call.Known, ended, call.Alone, call.Age.Milliseconds())))
	if err != nil {
		return limit.Standing{}, err
	}
	return stand(call, answer)
}

// numbers are written as the script reads them.
func numbers(all ...int64) []byte {
	b := make([]byte, 0, 64)
	for _, n := range all {
		b = append(strconv.AppendInt(b, max(0, n), 10), ' ')
	}
	return b
}

// maxFailures is how many the script counts at most.
const maxFailures = 1 << 20

// stand takes how the row stands out of the answer. Errors: errAnswer, also for what the
// script cannot have found.
func stand(call *limit.BackoffCall, answer []int64) (s limit.Standing, err error) {
	most := [...]int64{maxFailures, call.Policy.Longest.Milliseconds(), maxMoment, call.Policy.Last.Milliseconds(), maxMoment}
	if len(answer) != len(most) {
		return s, errAnswer
	}
	for i, n := range answer {
		if n < 0 || n > most[i] {
			return s, errAnswer
		}
	}
	s = limit.Standing{
		Failures: answer[0], Age: milliseconds(answer[1]), Began: milliseconds(answer[2]), Wait: milliseconds(answer[3]), Turn: milliseconds(answer[4]),
	}
	if !possible(call, &s) {
		return limit.Standing{}, errAnswer
	}
	return s, nil
}

// possible reports whether what was answered fits together: who has to wait has failed
// often enough, whoever else has a turn, and a failure counts.
func possible(call *limit.BackoffCall, s *limit.Standing) bool {
	waited := s.Failures > call.Policy.Free
	switch call.Step {
	case limit.StepBegin:
		return waited == (s.Wait > 0 || s.Turn > 0) && (s.Wait == 0 || s.Turn == 0) && (s.Failures > 0) == (s.Began > 0)
	case limit.StepFail:
		return waited == (s.Wait > 0) && s.Failures > 0 && s.Began > 0
	case limit.StepSucceed:
		return s.Failures == 0
	case limit.StepAbandon:
	}
	return true
}
