package audit

import (
	"strings"
)

// Property is what of an object can become another: a word of a closed list.
type Property string

// The properties. Lists are written with blanks between.
const (
	PropertyName        Property = "name"
	PropertyRoles       Property = "roles"
	PropertyScopes      Property = "scopes"
	PropertyGrants      Property = "grants"
	PropertyModels      Property = "models"
	PropertyNetworks    Property = "networks"
	PropertyCertificate Property = "certificate" // the name in it
	PropertyRate        Property = "rate"
	PropertyQuota       Property = "quota"
	PropertyExpiry      Property = "expires"  // RFC 3339
	PropertyState       Property = "state"    // enabled, disabled; of keys active, former, retired
	PropertyPassword    Property = "password" // without a value
	PropertySecret      Property = "secret"   // without a value
	PropertyManifest    Property = "manifest" // its SHA-256, in hexadecimal
	PropertyServing     Property = "serving"  // the version of a model where none is named
)

// properties is the closed list, in the order of a record.
var properties = []Property{
	PropertyName, PropertyRoles, PropertyScopes, PropertyGrants, PropertyModels, PropertyNetworks, PropertyCertificate,
	PropertyRate, PropertyQuota, PropertyExpiry, PropertyState, PropertyPassword, PropertySecret, PropertyManifest, PropertyServing,
}

// Change says what became of one property of an object. An empty value is none; of
// a secret there never is one.
type Change struct {
	What Property `json:"what"`
	Old  string   `json:"old"`
	New  string   `json:"new"`
}

// Changes are what became of one object, each property once.
type Changes []Change

// Text adds a property that has another value than before.
func (c *Changes) Text(what Property, before, after string) {
	if before != after {
		*c = append(*c, Change{What: what, Old: before, New: after})
	}
}

// List adds a property that has other values than before.
func (c *Changes) List(what Property, before, after []string) {
	c.Text(what, strings.Join(before, " "), strings.Join(after, " "))
}

// Secret adds a property of which nobody may read the value, where one took the
// place of another. What is compared may be hashes.
func (c *Changes) Secret(what Property, before, after string) {
	if before != after && before != "" && after != "" {
		*c = append(*c, Change{What: what})
	}
}

// The values of PropertyState.
const (
	Enabled  = "enabled"
	Disabled = "disabled"
)

// State adds that something was disabled or enabled.
func (c *Changes) State(before, after bool) {
	word := map[bool]string{false: Enabled, true: Disabled}
	c.Text(PropertyState, word[before], word[after])
}

const (
	// maxValue bounds a value of a change, in bytes: more than the longest list of
	// models, roles or networks has, so that nobody hides a word behind others.
	maxValue = 18 << 10
	// maxChanges bounds all values of a record, and with them its line.
	maxChanges = 3 * maxValue
)

// appendChanges appends a JSON array of the first changes, at most one for each
// property.
func appendChanges(dst []byte, changes Changes) []byte {
	left := maxChanges
	value := func(name, text string) {
		if text == "" {
			return
		}
		bound := min(valueBound(text), left)
		left -= min(bound, len(text))
		dst = appendBounded(appendName(dst, name), text, bound)
	}
	dst = append(dst, '[')
	for i, c := range changes[:min(len(changes), len(properties))] {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(append(dst, `{"what":`...), string(c.What))
		value("old", c.Old)
		value("new", c.New)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// valueBound is how many bytes of a value are kept: fewer where some take more room
// than one each.
func valueBound(text string) int {
	for i := range len(text) {
		if !plain(text[i]) {
			return maxText
		}
	}
	return maxValue
}
