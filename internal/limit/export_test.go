package limit

// Size returns how many keys are remembered.
func (b *Backoff) Size() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.rows)
}
