package audit

// AppendString is for tests of what no record may hold.
var AppendString = appendString

// Events and Properties are the closed lists. Read only.
var (
	Events     = events
	Properties = properties
)
