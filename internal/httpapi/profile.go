package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"runtime/pprof"
	"slices"
	"strconv"
	"time"

	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

const (
	// profilePath and the names behind it are those of net/http/pprof, which
	// people and tools know. Its handlers are not used: they ask nobody for a
	// token, show the command line, and answer errors as they like.
	profilePath = "/debug/pprof/"
	// cpuProfile is taken over a while.
	cpuProfile = "profile"

	defaultSeconds = 10
	maxSeconds     = 30 // well within the time for an answer
	profileTime    = maxSeconds*time.Second + quick
)

// snapshots are the profiles that the runtime has ready.
var snapshots = []string{"allocs", "goroutine", "heap", "threadcreate"}

// profileRoutes are those of the Go runtime's profiles.
func profileRoutes() []Route {
	r := Route{Method: http.MethodGet, Timeout: quick, Auth: Bearer, Permission: identity.DebugRead}
	one := r.at(profilePath + "{profile}").with((*API).profile)
	one.Timeout = profileTime
	return []Route{r.at(profilePath).with(withoutQuery((*API).listProfiles)), one}
}

// listProfiles answers with the names of the profiles.
func (*API) listProfiles(_ context.Context, x *exchange) error {
	body, err := json.Marshal(map[string][]string{"profiles": slices.Sorted(slices.Values(append([]string{cpuProfile}, snapshots...)))})
	if err != nil {
		return fmt.Errorf("encode an answer: %w", err)
	}
	x.sendJSON(append(body, '\n'))
	return nil
}

// profile answers with one of them, as `go tool pprof` reads it.
func (*API) profile(ctx context.Context, x *exchange) error {
	name := x.param("profile")
	switch {
	case name == cpuProfile:
		return x.record(ctx)
	case slices.Contains(snapshots, name):
		return x.snapshot(name)
	}
	return fault.Newf(fault.NotFound, "There is no profile %q; GET %s lists them", cut(name), profilePath)
}

// snapshot sends a profile as it is now.
func (x *exchange) snapshot(name string) error {
	values, err := x.parameters("debug")
	if err != nil {
		return err
	}
	contentType, debug := typeOctets, 0
	switch values.Get("debug") {
	case "", "0":
	case "1":
		contentType, debug = typeText, 1
	default:
		return fault.New(fault.BadRequest, "The parameter debug must be 0, or 1 for text")
	}
	var body bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&body, debug); err != nil {
		return fmt.Errorf("write the profile %s: %w", name, err)
	}
	x.sendOK(contentType, body.Bytes())
	return nil
}

// record sends where the processors spend their time from now on. The runtime
// takes one such profile at a time.
func (x *exchange) record(ctx context.Context) error {
	values, err := x.parameters("seconds")
	if err != nil {
		return err
	}
	length, err := secondsOf(values)
	if err != nil {
		return err
	}
	var body bytes.Buffer
	if err := pprof.StartCPUProfile(&body); err != nil {
		return fault.Wrap(fault.Conflict, "Somebody else takes this profile now; try again in some seconds", err)
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		pprof.StopCPUProfile()
	case <-ctx.Done():
		pprof.StopCPUProfile()
		return fault.OfContext(ctx.Err())
	}
	x.sendOK(typeOctets, body.Bytes())
	return nil
}

func secondsOf(values url.Values) (time.Duration, error) {
	if !values.Has("seconds") {
		return defaultSeconds * time.Second, nil
	}
	n, err := strconv.Atoi(values.Get("seconds"))
	if err != nil || n < 1 || n > maxSeconds {
		return 0, fault.Newf(fault.BadRequest, "The parameter seconds must be a number from 1 to %d", maxSeconds)
	}
	return time.Duration(n) * time.Second, nil
}
