// Package telemetry shows what the server does: log lines, one access line a
// request, and metrics. It owns their formats and names. It knows no transport
// and opens no listener; whoever serves a request hands over what to say.
//
// What a client sends reaches a line only escaped and cut to a bounded length:
// no request can end a line, forge another one, or colour a terminal.
package telemetry

import (
	"io"
	"log/slog"
	"unicode/utf8"
)

// Format is how log lines are written.
type Format string

// The formats.
const (
	// Text is key=value, for people.
	Text Format = "text"
	// JSON is one object a line, for machines.
	JSON Format = "json"
)

// maxText is how many bytes of one text a log line shows.
const maxText = 4096

// NewHandler returns the handler of the server's log. A *slog.LevelVar as
// level can be changed while the server runs.
func NewHandler(w io.Writer, format Format, level slog.Leveler) slog.Handler {
	opts := &slog.HandlerOptions{Level: level, ReplaceAttr: bound}
	if format == JSON {
		return slog.NewJSONHandler(w, opts)
	}
	return slog.NewTextHandler(w, opts)
}

// bound cuts texts that are too long for a line.
func bound(_ []string, a slog.Attr) slog.Attr {
	switch a.Value.Kind() {
	case slog.KindString:
		if s := a.Value.String(); len(s) > maxText {
			a.Value = slog.StringValue(cut(s, maxText) + "…")
		}
	case slog.KindAny:
		if err, ok := a.Value.Any().(error); ok {
			a.Value = slog.StringValue(cut(err.Error(), maxText))
		}
	case slog.KindBool, slog.KindDuration, slog.KindFloat64, slog.KindInt64,
		slog.KindTime, slog.KindUint64, slog.KindGroup, slog.KindLogValuer:
	}
	return a
}

// cut returns at most n bytes of s, and no part of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
