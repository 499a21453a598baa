package audit

// tagOf returns what finds a record again by its request id, beside which others may
// have it, too: FNV-1a (draft-eastlake-fnv, 64 bits); 0 for no id.
func tagOf(requestID string) uint64 {
	if requestID == "" {
		return 0
	}
	const offset, prime = 0xcbf29ce484222325, 0x100000001b3
	tag := uint64(offset)
	for i := range len(requestID) {
		tag = (tag ^ uint64(requestID[i])) * prime
	}
	return max(tag, 1)
}
