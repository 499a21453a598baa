//go:build !linux

package argon

import "os/exec"

func apart(*exec.Cmd) {}

func lowerPriority() error { return nil }
