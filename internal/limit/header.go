package limit

import (
	"strconv"
	"time"

	"onnxgate/internal/reqctx"
)

// AppendPolicies appends the limits as a RateLimit-Policy field, and AppendStates
// what is left of them as a RateLimit field
// (draft-ietf-httpapi-ratelimit-headers sections 3 and 4).
func AppendPolicies(b []byte, limits []reqctx.Limit) []byte {
	for i := range limits {
		l := &limits[i]
		b = appendName(b, i, l.Policy)
		b = strconv.AppendInt(append(b, ";q="...), l.Quota, 10)
		if l.Unit != "" {
			b = append(append(append(b, `;qu="`...), l.Unit...), '"')
		}
		b = strconv.AppendInt(append(b, ";w="...), int64(l.Window/time.Second), 10)
	}
	return b
}

// AppendStates is described at AppendPolicies.
func AppendStates(b []byte, limits []reqctx.Limit) []byte {
	for i := range limits {
		l := &limits[i]
		b = appendName(b, i, l.Policy)
		b = strconv.AppendInt(append(b, ";r="...), l.Remaining, 10)
		b = strconv.AppendInt(append(b, ";t="...), int64(l.Reset/time.Second), 10)
	}
	return b
}

func appendName(b []byte, i int, name string) []byte {
	if i > 0 {
		b = append(b, ", "...)
	}
	return append(append(append(b, '"'), name...), '"')
}

// SamePolicies reports whether both have the same RateLimit-Policy field.
func SamePolicies(a, b []reqctx.Limit) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Quota != b[i].Quota || a[i].Window != b[i].Window || a[i].Policy != b[i].Policy || a[i].Unit != b[i].Unit {
			return false
		}
	}
	return true
}
