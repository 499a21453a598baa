package schema

import (
	"strings"
	"unicode"
)

// maxSuggested bounds the length of a name for which a known one is looked up.
const maxSuggested = 64

// suggestWork bounds the cells of edit-distance tables in one request: below a
// few milliseconds, whatever the names.
const suggestWork = 1 << 20

// fold maps a name to what is left of it without case, blanks and punctuation.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, name)
}

// nearest returns the index of the known name with the smallest edit distance
// to name, if that is at most a third of its length, or else -1. A name that
// goes on where the other ends, as one with its unit does, counts as one edit.
// folded are the known names after fold. It spends *work, at least one for each known name and
// one for each cell of the tables, and gives up when that is gone.
func nearest(name string, folded []string, work *int) int {
	if len(name) > maxSuggested {
		return -1
	}
	target := fold(name)
	best, found := max(1, len(target)/3)+1, -1
	if target == "" || len(target) > maxSuggested {
		return -1
	}
	for i, candidate := range folded {
		*work--
		if best > 1 && continues(target, candidate) {
			best, found = 1, i
			continue
		}
		if diff := len(candidate) - len(target); len(candidate) > maxSuggested || diff >= best || -diff >= best {
			continue
		}
		if *work -= (len(candidate) + 1) * (len(target) + 1); *work < 0 {
			break
		}
		if d := distance(target, candidate); d < best {
			best, found = d, i
		}
	}
	return found
}

// continues reports whether one of two names of some length begins the other.
func continues(a, b string) bool {
	const enough = 3
	return min(len(a), len(b)) >= enough && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}

// distance is the Levenshtein distance with transpositions of neighbours
// (optimal string alignment), over bytes; a and b are at most maxSuggested long.
func distance(a, b string) int {
	var rows [3][maxSuggested + 1]int
	before, previous, current := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		previous[j] = j
	}
	for i := 1; i <= len(a); i++ {
		current[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			current[j] = min(previous[j]+1, current[j-1]+1, previous[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				current[j] = min(current[j], before[j-2]+1)
			}
		}
		before, previous, current = previous, current, before
	}
	return previous[len(b)]
}
