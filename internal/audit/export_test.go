package audit

// AppendString is for tests of what no record may hold.
var AppendString = appendString
