package reqctx

import "time"

// Limit is what is left of one window of a limit, after a request was counted in
// it or refused by it.
type Limit struct {
	// Policy is the limit's name in RateLimit headers.
	Policy string
	// Key is whose count it is, among those of the policy. It is not for clients.
	Key string
	// Unit is what is counted; empty for requests.
	Unit string
	// Number is which of the windows in that unit it is, from 0.
	Number int
	// Quota is how much one window admits.
	Quota int64
	// Remaining is how much more this window admits.
	Remaining int64
	// Window is the length of one window.
	Window time.Duration
	// Reset is what is left of this one, rounded up to whole seconds.
	Reset time.Duration
}
