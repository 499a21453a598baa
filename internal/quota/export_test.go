package quota

// Accounts returns how many are in memory.
func (s *Service) Accounts() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.accounts)
}
