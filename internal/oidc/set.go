package oidc

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"onnxgate/internal/keys"
)

// maxKeys bounds what one set holds.
const maxKeys = 100

// keySet is the keys of one issuer at one time. It does not change.
type keySet struct {
	byKID map[string][]*keys.Verifier
	// lone is the only key, when there is one: tokens need not name it.
	lone []*keys.Verifier
	live map[*keys.Verifier]bool
	// leftOut says why keys are not used.
	leftOut []string
}

// parseSet reads a JWK Set (RFC 7517 section 5). A key that cannot be used is
// left out, and so are keys of one name, because a token would not say which.
func parseSet(data []byte, allowed []keys.Algorithm) (*keySet, error) {
	var doc struct {
		Keys *[]jsontext.Value `json:"keys"`
	}
	switch err := json.Unmarshal(data, &doc); {
	case err != nil || doc.Keys == nil:
		return nil, &documentError{errors.New(`not a JWK Set (RFC 7517 section 5), which is {"keys": […]}`)}
	case len(*doc.Keys) > maxKeys:
		return nil, &documentError{fmt.Errorf("a JWK Set of more than %d keys", maxKeys)}
	}
	s := &keySet{byKID: map[string][]*keys.Verifier{}, live: map[*keys.Verifier]bool{}}
	usable := 0
	for i, raw := range *doc.Keys {
		kid, fit, err := parseKey(raw, allowed)
		if err != nil {
			s.leftOut = append(s.leftOut, fmt.Sprintf("key %s: %s", nameOf(kid, i), err))
			continue
		}
		usable++
		s.lone = fit
		s.add(kid, fit)
	}
	if usable != 1 {
		s.lone = nil
	}
	s.index()
	return s, nil
}

// add takes a key in by its name. One without can only be the lone one.
func (s *keySet) add(kid *string, fit []*keys.Verifier) {
	if kid == nil {
		return
	}
	if _, taken := s.byKID[*kid]; taken {
		s.leftOut = append(s.leftOut, fmt.Sprintf("key %q: another one has its kid", *kid))
		fit = nil // neither: the name stays taken
	}
	s.byKID[*kid] = fit
}

func (s *keySet) index() {
	for _, fit := range s.byKID {
		for _, v := range fit {
			s.live[v] = true
		}
	}
	for _, v := range s.lone {
		s.live[v] = true
	}
}

// find returns the key for an algorithm, and whether there is one of that name
// at all. An empty name is the lone one's.
func (s *keySet) find(kid string, alg keys.Algorithm) (key *keys.Verifier, named bool) {
	fit, named := s.lone, true
	if kid != "" {
		fit, named = s.byKID[kid]
	}
	i := slices.IndexFunc(fit, func(v *keys.Verifier) bool { return v.Algorithm == alg })
	if i < 0 {
		return nil, named
	}
	return fit[i], true
}

// nameOf names a key in a report.
func nameOf(kid *string, position int) string {
	if kid == nil {
		return strconv.Itoa(position + 1)
	}
	return shown(*kid)
}
