//go:build !linux

package app

import "errors"

// freeSpace is for systems that are not asked.
func freeSpace(string) (uint64, error) { return 0, errors.ErrUnsupported }
