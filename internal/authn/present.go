package authn

import (
	"encoding/base64"
	"slices"
	"strings"

	"onnxgate/internal/apikey"
	"onnxgate/internal/fault"
	"onnxgate/internal/identity"
)

// Fields are the values of the header fields, or of the metadata of another
// protocol, in which a request may present credentials.
type Fields struct {
	Authorization []string
	// APIKey and OtherAPIKey are two names of one field: X-API-Key and Api-Key.
	APIKey, OtherAPIKey []string
}

// Claimed returns the first value that a request presents, before anybody looks at
// it; empty for none. It proves nothing.
func (f *Fields) Claimed() string {
	for _, values := range [...][]string{f.Authorization, f.APIKey, f.OtherAPIKey} {
		if len(values) > 0 {
			return values[0]
		}
	}
	return ""
}

// secretPrefixes begin what is a secret wherever it stands.
var secretPrefixes = [...]string{apikey.Prefix, identity.RefreshPrefix}

// HoldsSecret reports whether an API key or a refresh token stands in the text.
func HoldsSecret(text string) bool {
	return slices.ContainsFunc(secretPrefixes[:], func(prefix string) bool { return strings.Contains(text, prefix) })
}

// WithoutCredential cuts off a text of a client, such as a path, that somebody has
// put an API key, a refresh token or a JSON Web Token into: for logs.
func WithoutCredential(text string) string {
	for _, prefix := range secretPrefixes {
		if at := strings.Index(text, prefix); at >= 0 {
			text = text[:at+len(prefix)]
		}
	}
	// The header of a token is a JSON object, and a dot stands behind it (RFC 7515
	// section 3.1).
	if at := strings.Index(text, jsonObject); at >= 0 && strings.IndexByte(text[at:], '.') >= 0 {
		text = text[:at+len(jsonObject)]
	}
	return text
}

// jsonObject is how the base64url of a JSON object begins.
const jsonObject = "eyJ"

// Read returns what a request presents: a token or a key, and both only where
// each has a field of its own. Faults: BadRequest for what cannot be a
// credential, Unauthenticated for an empty one.
func Read(f Fields) (c Credentials, err error) {
	if c.APIKey, err = keyField(f.APIKey, f.OtherAPIKey); err != nil {
		return c, err
	}
	scheme, rest, err := SplitAuthorization(f.Authorization)
	if err != nil || scheme == "" {
		return c, err
	}
	var key string
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		if err = oneWord(rest, "The access token is empty: send one as Authorization: Bearer TOKEN", "Authorization must be: Bearer TOKEN"); err != nil {
			return c, err
		}
		if !strings.HasPrefix(rest, apikey.Prefix) {
			c.Bearer = rest
			return c, nil
		}
		key = rest
	case strings.EqualFold(scheme, "Basic"):
		if key, err = basicKey(rest); err != nil {
			return c, err
		}
	case c.APIKey == "":
		return c, nil // a scheme that is not ours proves nothing
	}
	if c.APIKey != "" {
		return c, oneCredential()
	}
	c.APIKey = key
	return c, nil
}

// keyField returns the key of the one field that carries it, empty without one.
func keyField(values, others []string) (string, error) {
	if len(values)+len(others) > 1 {
		return "", malformed("Send one API key, in one header")
	}
	if len(values) == 0 {
		values = others
	}
	if len(values) == 0 {
		return "", nil
	}
	return values[0], oneWord(values[0], "The API key is empty: send one as X-API-Key", "X-API-Key must be one API key and nothing else")
}

// oneWord refuses what cannot be one credential.
func oneWord(s, empty, several string) error {
	if s == "" {
		// What a shell sends for a variable that was never set.
		return fault.New(fault.Unauthenticated, empty)
	}
	// One search for each byte is many times faster on a long token than one
	// for all of them.
	if strings.IndexByte(s, ' ') >= 0 || strings.IndexByte(s, '\t') >= 0 || strings.IndexByte(s, ',') >= 0 {
		return malformed(several)
	}
	return nil
}

// basicKey returns the API key of "Authorization: Basic", for clients that know
// no other way: the name is the key's id, the password the whole key. A pair that
// is none is as wrong as a key that is none.
func basicKey(encoded string) (string, error) {
	name, password, err := DecodeBasic(encoded)
	if err != nil {
		return "", err
	}
	if key, err := apikey.Parse(password); err == nil && key.ID == name {
		return password, nil
	}
	return apikey.Prefix, nil // which is no key
}

// SplitAuthorization splits the one Authorization field into scheme and the
// rest. The fault is BadRequest for several.
func SplitAuthorization(values []string) (scheme, rest string, err error) {
	switch len(values) {
	case 0:
		return "", "", nil
	case 1:
		scheme, rest, _ = strings.Cut(values[0], " ")
		return scheme, strings.Trim(rest, " "), nil
	}
	return "", "", malformed("Send one Authorization header, not several")
}

// DecodeBasic splits the pair of RFC 7617. The fault is BadRequest.
func DecodeBasic(encoded string) (name, password string, err error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return "", "", malformed("Authorization: Basic is not valid base64")
	}
	name, password, ok := strings.Cut(string(raw), ":")
	if !ok {
		return "", "", malformed("Authorization: Basic must hold a name, a colon and a secret")
	}
	return name, password, nil
}

func oneCredential() error {
	return malformed("Send one credential: an access token or an API key")
}

// malformed is the fault of RFC 6750 section 3.1, invalid_request.
func malformed(msg string) error {
	return &fault.Error{Kind: fault.BadRequest, Code: "invalid_request", Msg: msg}
}
