package testkit

import "onnxgate/internal/identity"

// Rates returns the rates that a text stands for, for tables of tests. It panics for
// a text that stands for none.
func Rates(text string) identity.Rates {
	rates, err := identity.ParseRates(text)
	if err != nil {
		panic(err)
	}
	return rates
}

// Limit returns the limit that a text stands for, as Rates does.
func Limit(text string) identity.Limit {
	l, err := identity.ParseLimit(text)
	if err != nil {
		panic(err)
	}
	return l
}
