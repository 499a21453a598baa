package config

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
)

const redacted = "[redacted]"

// Secret is a value that never shows itself: fmt, slog and JSON get
// "[redacted]", and only Reveal gives the value. The zero value is not set.
type Secret struct {
	// A pointer, because fmt prints an address where it may not call Format:
	// in an unexported field of somebody else's struct.
	value *string
}

// NewSecret returns a secret that holds value; the empty string is not set.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{value: &value}
}

// IsSet reports whether there is a value.
func (s Secret) IsSet() bool { return s.value != nil }

// Reveal returns the value.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String returns "[redacted]", or nothing when the secret is not set.
func (s Secret) String() string {
	if s.value == nil {
		return ""
	}
	return redacted
}

// shown quotes a value that was refused. One as long as a secret that signs may
// be one that was put into the wrong setting, so only its beginning is shown.
func shown(value string) string {
	if len(value) < minSecret {
		return strconv.Quote(value)
	}
	return fmt.Sprintf("%q… (%d bytes)", value[:shownBytes], len(value))
}

// shownBytes is how much of a long value is shown: enough to find it by.
const shownBytes = 8

// shownPath is shown for what should be a path: an absolute one is no secret.
func shownPath(path string) string {
	if filepath.IsAbs(path) {
		return strconv.Quote(path)
	}
	return shown(path)
}

// Format writes the redacted form, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue returns the redacted form.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the redacted form.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
