package oidc

import (
	"io"
	"log"
)

// discard drops what a test's own server complains of.
func discard() *log.Logger { return log.New(io.Discard, "", 0) }
