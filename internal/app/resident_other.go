//go:build !linux

package app

// forgetStart is for systems whose kernels say what they have mapped.
func forgetStart() {}
