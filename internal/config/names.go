package config

import (
	"regexp"
	"strings"
)

const prefix = "ONNXGATE_"

// fileSuffix makes the name of a secret's second form, which names a file.
const fileSuffix = "_FILE"

// injected matches what others put into the environment of a container that
// runs beside a service called onnxgate: Kubernetes' service variables and
// Docker's links.
var injected = regexp.MustCompile(`^ONNXGATE_(` +
	`PORT|NAME|ENV_.+|` +
	`(.+_)?SERVICE_HOST|(.+_)?SERVICE_PORT(_[A-Z0-9_]+)?|` +
	`(.+_)?PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR|START|END|PORT_START|PORT_END))?)$`)

// linkURL is the value of NAME_PORT for a service NAME.
var linkURL = regexp.MustCompile(`^(tcp|udp|sctp)://[^/]+:[0-9]+$`)

// isInjected reports whether a variable of the environment is not a setting
// but an announcement of a service.
func isInjected(name, value string) bool {
	return injected.MatchString(name) || strings.HasSuffix(name, "_PORT") && linkURL.MatchString(value)
}

// claimsToBeSetting reports whether a name is in our name space, in any case:
// a setting that is spelled in small letters must not be dropped in silence.
func claimsToBeSetting(name string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// unknown returns the text for a name that is no setting.
func unknown(name string) string {
	if near := nearest(strings.ToUpper(name)); near != "" {
		return "is no setting; did you mean " + near + "?"
	}
	return "is no setting; .env.example and docs/settings.md list those there are"
}

// nearest returns the known name that is fewest edits away, or "" when none is
// near enough to be what was meant.
func nearest(name string) string {
	best, fewest := "", 0
	for _, known := range names() {
		d := edits(name[len(prefix):], known[len(prefix):])
		if best == "" || d < fewest {
			best, fewest = known, d
		}
	}
	if fewest > 2 && fewest > (len(name)-len(prefix))/2 {
		return ""
	}
	return best
}

// edits returns the Levenshtein distance between two ASCII names.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
