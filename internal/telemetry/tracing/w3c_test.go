package tracing_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestTraceContextLevelOne holds the server to the cases of the validation suite that
// the W3C publishes for Trace Context. The suite itself drives a service that calls
// others, by URLs in its requests, which no server should do for a stranger.
func TestTraceContextLevelOne(t *testing.T) {
	const (
		parent = "00-12345678901234567890123456789012-1234567890123456-01"
		id     = "12345678901234567890123456789012"
	)
	member := func(n int) string { return strings.TrimSuffix(strings.Repeat("k=v,", n), ",") }
	taken := map[string][]string{ // by the parent
		"as it is": {parent}, "flags 00": {parent[:53] + "00"}, "all flags": {parent[:53] + "ff"},
		"version cc": {"cc" + parent[2:]}, "version cc and more": {"cc" + parent[2:] + "-what-the-future-will-be-like"},
		"version cc and an end": {"cc" + parent[2:] + "-"},
	}
	anew := map[string][]string{
		"missing": nil, "empty": {""}, "duplicated": {parent, strings.Replace(parent, "1234", "5678", 1)}, "in one field": {parent + "," + parent},
		"version 00 and more": {parent + "-what"}, "version 00 and an end": {parent + "-"}, "version ff": {"ff" + parent[2:]},
		"version cc, glued": {"cc" + parent[2:] + ".what"}, "version .0": {".0" + parent[2:]}, "version 0.": {"0." + parent[2:]},
		"version 000": {"0" + parent}, "version 0": {parent[1:]}, "no version": {parent[3:]},
		"trace zero": {"00-" + strings.Repeat("0", 32) + parent[35:]}, "trace .": {"00-.2345678901234567890123456789012" + parent[35:]},
		"trace too long": {"00-" + id + "1" + parent[35:]}, "trace too short": {"00-" + id[1:] + parent[35:]},
		"span zero": {parent[:36] + "0000000000000000-01"}, "span .": {parent[:36] + ".234567890123456-01"},
		"span too long": {parent[:36] + "12345678901234561-01"}, "span too short": {parent[:36] + "123456789012345-01"},
		"flags .0": {parent[:53] + ".0"}, "flags 0.": {parent[:53] + "0."}, "flags 001": {parent[:53] + "001"}, "flags 1": {parent[:53] + "1"},
		"capitals": {strings.ToUpper(strings.Replace(parent, "12", "ab", 1))},
	}
	kept := map[string][]string{ // of the state
		"one": {"foo=1"}, "two": {"foo=1,bar=2"}, "two fields": {"foo=1", "bar=2"}, "spaces": {"foo=1 \t , \t bar=2, \t baz=3"},
		"every character": {"abcdefghijklmnopqrstuvwxyz0123456789_-*/= !\"#$%&'()*+-./0123456789:;<>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"},
		"a vendor":        {"foo@bar=1"}, "32 members": {member(32)}, "a key of 256": {strings.Repeat("z", 256) + "=1"},
		"a tenant of 241, a vendor of 14": {strings.Repeat("t", 241) + "@" + strings.Repeat("v", 14) + "=1"}, "512 characters": {"a=" + strings.Repeat("1", 250) + ",b=" + strings.Repeat("2", 256)},
	}
	dropped := map[string][]string{
		"empty": {""}, "33 members": {member(33)}, "a key with a space": {"foo =1"}, "a key of capitals": {"FOO=1"}, "a key with a point": {"foo.bar=1"},
		"no vendor": {"foo@=1,bar=2"}, "no tenant": {"@foo=1,bar=2"}, "two @": {"foo@@bar=1,bar=2"}, "three parts": {"foo@bar@baz=1,bar=2"},
		"a key of 257": {strings.Repeat("z", 257) + "=1"}, "a tenant of 242": {strings.Repeat("t", 242) + "@v=1"}, "a vendor of 15": {"t@" + strings.Repeat("v", 15) + "=1"},
		"two equals": {"foo=bar=baz"}, "no value": {"foo=,bar=3"},
	}
	out := func(parents, states []string) (id, span, state string) {
		trace := start(t, nil).Begin(parents, states)
		header := http.Header{"Traceparent": {trace.TraceParent()}}
		text := header.Get("Traceparent")
		if len(text) != 55 || text[:3] != "00-" {
			t.Fatalf("hands on %q", text)
		}
		return text[3:35], text[36:52], trace.State
	}
	for name, values := range taken {
		if got, span, _ := out(values, nil); got != id || span == "1234567890123456" {
			t.Errorf("%s: trace %s, span %s; want the caller's trace and a span of our own", name, got, span)
		}
	}
	for name, values := range anew {
		if got, _, state := out(values, []string{"foo=1"}); got == id || state != "" {
			t.Errorf("%s: trace %s with the state %q, want a new one without", name, got, state)
		}
	}
	for name, values := range kept {
		if _, _, state := out([]string{parent}, values); state != strings.Join(values, ",") {
			t.Errorf("%s: the state is %q", name, state)
		}
	}
	for name, values := range dropped {
		if got, _, state := out([]string{parent}, values); got != id || state != "" {
			t.Errorf("%s: trace %s, state %q, want the trace without its state", name, got, state)
		}
	}
}
