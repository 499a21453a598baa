// Package argon computes argon2id hashes of passwords (RFC 9106), in this process
// or, by a Worker, in one of their own at a low priority.
//
// It must not know what the hashes are for, nor how they are kept.
package argon

import (
	"context"

	"golang.org/x/crypto/argon2"
)

// Version is that of the function (RFC 9106 section 3.1).
const Version = argon2.Version

// Job asks for one hash. Its cost is not checked here.
type Job struct {
	Password, Salt []byte
	// Time is the number of passes, 1 or more.
	Time uint32
	// Memory is in KiB.
	Memory uint32
	// Threads is the degree of parallelism, 1 or more.
	Threads uint8
	// Size is the length of the hash in bytes.
	Size uint32
}

func (j *Job) hash() []byte {
	return argon2.IDKey(j.Password, j.Salt, j.Time, j.Memory, j.Threads, j.Size)
}

// Here computes hashes in this process.
type Here struct{}

// Hash returns the hash. There is never an error.
func (Here) Hash(_ context.Context, job *Job) ([]byte, error) { return job.hash(), nil }
