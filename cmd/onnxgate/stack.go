package main

// While a request is answered, net/http reads ahead in a goroutine of its own.
// Go starts that with a stack of the size that goroutines used on average at the
// last garbage collection (runtime.gcComputeStartingStackSize), and most of ours
// are idle with next to none: the stack was then grown twice in each request, a
// twentieth of its cost. One goroutine that holds hintBytes lifts the average, so
// that stacks start with the 8 KiB that reading from a TLS connection takes.
const hintBytes = 100 << 10

// holdStack keeps its stack until done is closed.
//
//go:noinline
func holdStack(done <-chan struct{}) byte {
	var room [hintBytes]byte
	at := len(room) / 2
	for range done {
		at++ // nothing is ever sent: the compiler does not know
	}
	return room[at]
}
