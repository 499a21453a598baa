package httpapi

import (
	"strconv"
	"strings"
)

// preference is how much a client wants a media type (RFC 9110 section 12.5.1).
type preference struct {
	weight float64
	// exact is 3 for a range that names the type, 2 for type/*, 1 for */*, and 0
	// where none of them is about it. The most exact one decides.
	exact int
}

// wantsTable reports whether the values of Accept ask for CSV rather than for
// JSON: by a greater weight, or by a more exact range of the same weight. Where
// neither is wanted the answer is JSON, as errors are never tables anyway.
func wantsTable(accept []string) bool {
	if len(accept) == 0 || len(accept) == 1 && (accept[0] == "*/*" || accept[0] == mediaJSON) {
		return false
	}
	var csv, json preference
	for _, value := range accept {
		for element := range strings.SplitSeq(value, ",") {
			media, weight, ok := parseRange(element)
			if ok {
				csv.heed(mediaCSV, media, weight)
				json.heed(mediaJSON, media, weight)
			}
		}
	}
	if csv.weight != json.weight {
		return csv.weight > json.weight
	}
	return csv.weight > 0 && csv.exact > json.exact
}

// heed takes over the weight of a range that is about the type, unless a more
// exact one was.
func (p *preference) heed(media, accepted string, weight float64) {
	exact := 0
	family, _, _ := strings.Cut(media, "/")
	switch {
	case strings.EqualFold(accepted, media):
		exact = 3
	case strings.EqualFold(accepted, family+"/*"):
		exact = 2
	case accepted == "*/*":
		exact = 1
	}
	if exact > p.exact {
		p.exact, p.weight = exact, weight
	}
}

// parseRange reads a media range. One whose weight is none says nothing.
func parseRange(element string) (media string, weight float64, ok bool) {
	media, params, _ := strings.Cut(element, ";")
	weight = 1
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if !strings.EqualFold(strings.TrimSpace(name), "q") {
			continue
		}
		var err error
		if weight, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil || !(weight >= 0 && weight <= 1) {
			return "", 0, false
		}
	}
	return strings.TrimSpace(media), weight, true
}
